"""Long secrets from terminals, pipes and files."""

import asyncio
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from codemie_core.sso.paste import Lines, can_ask, hidden, lines
from support.cli import environ

LONG = "planted" + "x" * 10_000
BEGIN, END = b"\x1b[200~", b"\x1b[201~"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """(the person's side, the program's side)"""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


def modes(fd: int) -> tuple[int, int]:
    found = termios.tcgetattr(fd)
    return found[3] & termios.ICANON, found[3] & termios.ECHO


@pytest.mark.parametrize(
    "typed, expected",
    [
        ([b"abc\n"], ["abc"]),
        ([b"a", b"b", b"\r"], ["ab"]),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"\n"], [""]),
        ([b"  abc \n"], ["abc"]),
        ([b"abd\x7fc\n"], ["abc"]),
        ([b"wrong\x15abc\n"], ["abc"]),
        ([b"abc\x1b[D\x1b[3~\x1bOA\n"], ["abc"]),
        ([BEGIN + b"abc" + END + b"\n"], ["abc"]),
        ([BEGIN + b"a\r\nb\nc" + END, b"\r"], ["abc"]),
        ([b"\x1b", b"[20", b"0~abc\x1b[2", b"01~", b"\n"], ["abc"]),
        ([b"\xc3", b"\xa4\n"], ["\u00e4"]),
        ([b"a\x00\x04b\n"], ["ab"]),
    ],
)
def test_bytes_become_lines(typed: list[bytes], expected: list[str]) -> None:
    assembling = Lines(100)
    assert [line for data in typed for line in assembling.feed(data)] == expected


def test_of_a_line_too_long_only_so_much_is_kept_that_it_shows() -> None:
    assembling = Lines(10)
    assert list(assembling.feed(b"x" * 1000)) == []
    assert list(assembling.feed(b"x" * 1000 + b"\nshort\n")) == ["x" * 11, "short"]


def test_ctrl_c_interrupts_where_the_terminal_sends_no_signal() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(Lines(10).feed(b"ab\x03"))


async def test_ten_kilobytes_pasted_into_a_terminal_arrive_whole_and_unseen(terminal: tuple[int, int]) -> None:
    person, program = terminal
    with hidden(program):
        assert modes(program) == (0, 0)

        def paste() -> None:
            rest = BEGIN + LONG.encode() + END + b"\r"
            while rest:
                rest = rest[os.write(person, rest[:1000]) :]

        async with asyncio.timeout(60), aclosing(lines(program, 64 * 1024)) as arriving:
            pasting = asyncio.get_running_loop().run_in_executor(None, paste)
            assert await anext(arriving) == LONG
            await pasting
    assert modes(program) != (0, 0)
    os.set_blocking(person, False)
    with pytest.raises(BlockingIOError):  # nothing was echoed
        os.read(person, 100)


def test_the_terminal_is_restored_whatever_happens(terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    with pytest.raises(KeyboardInterrupt), hidden(program):
        raise KeyboardInterrupt
    assert termios.tcgetattr(program) == before


def test_what_was_not_read_does_not_reach_the_shell(terminal: tuple[int, int]) -> None:
    person, program = terminal
    with hidden(program):
        os.write(person, b"planted rest\n")
        assert select.select([program], [], [], 60)[0]  # the kernel takes its time
    os.set_blocking(program, False)
    with pytest.raises(BlockingIOError):
        os.read(program, 100)


@pytest.mark.parametrize(
    "content, expected", [(b"", []), (b"abc", ["abc"]), (b"abc\ndef", ["abc", "def"]), (LONG.encode(), [LONG])]
)
@pytest.mark.parametrize("kind", ["pipe", "file"])
async def test_a_pipe_and_a_file_are_read_to_their_end(
    kind: str, content: bytes, expected: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "content"
    path.write_bytes(content)
    if kind == "file":
        fd = os.open(path, os.O_RDONLY)
    else:
        fd, write = os.pipe()
        os.write(write, content)
        os.close(write)
    try:
        async with asyncio.timeout(60):
            assert [line async for line in lines(fd, 64 * 1024)] == expected
    finally:
        os.close(fd)


async def test_an_open_pipe_that_says_nothing_can_be_given_up() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), aclosing(lines(read, 10)) as arriving:
                await anext(arriving)
        assert not asyncio.get_running_loop().remove_reader(read)
    finally:
        os.close(read)
        os.close(write)


def test_nobody_is_asked_without_a_terminal() -> None:
    read, write = os.pipe()
    assert not can_ask(read)
    os.close(read)
    os.close(write)
    assert not can_ask(read)


@pytest.mark.parametrize("foreground", [True, False])
def test_only_the_foreground_of_a_terminal_is_asked(foreground: bool) -> None:
    program = (
        "import os, sys\n"
        "from codemie_core.sso.paste import can_ask\n"
        f"{'' if foreground else 'os.setpgid(0, 0)'}\n"
        "os.write(1, str(can_ask(0)).encode())\n"
    )
    person, side = pty.openpty()
    # A shell of its own session holds the terminal; what it starts in another group is in the background.
    command = [
        sys.executable,
        "-c",
        f"import os, subprocess, sys\nos.setsid()\nfd = os.open(os.ttyname(0), os.O_RDWR)\n"
        f"subprocess.run([sys.executable, '-c', {program!r}], stdin=fd)\n",
    ]
    done = subprocess.run(command, stdin=side, capture_output=True, env=environ(), timeout=60, check=True)
    os.close(person)
    os.close(side)
    assert done.stdout.decode() == str(foreground)
