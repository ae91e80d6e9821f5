"""Taking a long secret from a terminal or a pipe: hidden, whole, and without hanging.

A terminal hands out a line only when it is finished, and cuts it at 4096 bytes (MAX_CANON); what is pasted here is
longer. So the terminal's line mode is off while we wait, and lines are put together here.
"""

from __future__ import annotations

import asyncio
import os
import re
import termios
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_INTERRUPT = b"\x03"
_OTHER_KEYS = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.")
_DELETE, _KILL_LINE = "\x7f\x08", "\x15"
_CHUNK = 64 * 1024


def can_ask(fd: int) -> bool:
    """Whether a person sits there: a terminal, and we are in its foreground (else reading it would stop us)."""
    try:
        return os.isatty(fd) and os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def hidden(fd: int) -> Iterator[None]:
    """Switch echo and line mode off; whatever ends the block, the terminal is as before, without unread input."""
    before = termios.tcgetattr(fd)
    mode = termios.tcgetattr(fd)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    # Ctrl-Z would leave the shell with a mute terminal, and us with a loud one on return.
    mode[6][termios.VSUSP] = b"\0"
    mode[6][termios.VMIN], mode[6][termios.VTIME] = b"\1", b"\0"
    termios.tcsetattr(fd, termios.TCSANOW, mode)
    try:
        yield
    finally:
        # The rest of a secret must not land on the command line of the shell.
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


async def lines(fd: int, limit: int) -> AsyncGenerator[str, None]:
    """The lines that come on a terminal, a pipe or from a file, until its end; the last one may lack its newline.

    Of a line longer than `limit` bytes just so much is kept that it can be told to be longer.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    try:
        loop.add_reader(fd, lambda: arrived.put_nowait(_read(fd)))
        follows = True
    except OSError:  # epoll takes no files, which never make anybody wait either
        follows = False
    assembling = Lines(limit)
    try:
        while data := await arrived.get() if follows else _read(fd):
            for line in assembling.feed(data):
                yield line
        if rest := assembling.rest():
            yield rest
    finally:
        if follows:
            loop.remove_reader(fd)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:  # the terminal is gone
        return b""


class Lines:
    """Puts lines together. Newlines inside of a bracketed paste are the terminal's wrapping, not the end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._tail = b""
        self._pasting = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Take bytes in, give finished lines out. KeyboardInterrupt on Ctrl-C where the terminal makes no signal."""
        pieces = re.split(rb"([\r\n\x03]|\x1b\[20[01]~)", self._tail + data)
        # A marker may be torn between two reads: keep what could become one.
        torn = re.search(rb"\x1b(?:\[(?:2(?:0[01]?)?)?)?\Z", pieces[-1])
        self._tail = torn[0] if torn else b""
        pieces[-1] = pieces[-1].removesuffix(self._tail)
        for piece in pieces:
            if piece in (_PASTE_BEGINS, _PASTE_ENDS):
                self._pasting = piece == _PASTE_BEGINS
            elif piece == _INTERRUPT:
                raise KeyboardInterrupt
            elif piece in (b"\r", b"\n"):
                if not self._pasting:
                    yield self.rest()
            else:
                self._buffer += piece[: self._limit + 1 - len(self._buffer)]

    def rest(self) -> str:
        """What there is of an unfinished line."""
        text, self._buffer = self._buffer.decode("utf-8", "replace"), bytearray()
        return _edited(_OTHER_KEYS.sub("", text))


def _edited(text: str) -> str:
    """As the terminal's own line mode would give it: with characters and lines taken back."""
    kept: list[str] = []
    for character in text:
        if character in _DELETE:
            del kept[-1:]
        elif character == _KILL_LINE:
            kept.clear()
        elif character.isprintable():
            kept.append(character)
    return "".join(kept).strip()
