"""The chunk observers of one response, between upstream and client.

mitmproxy loses a chunk when the callable in `flow.response.stream` raises, so nothing here can: an observer that fails
is dropped, the bytes pass untouched. Observers get decompressed copies, bounded in total.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codemie_core.decoding import stream_decoder

type Observer = Callable[[bytes], None]

MAX_OBSERVED = 256 * 1024 * 1024
"""Decoded bytes per compressed response after which observers see no more: a bound against bombs."""
MOST_AHEAD = 1024 * 1024
MOST_GROWTH = 50
"""No more than so many bytes, and so many for each compressed one: answers of models grow to ten or twenty times.

What half a megabyte can decode to would keep the observers, and with them the loop, busy for half a minute.
"""
_SLICE = 4096
"""Compressed bytes that are decoded before it is looked how much came out."""


class Tap:
    """A callable for `flow.response.stream`: hands copies to the observers and returns its input."""

    def __init__(
        self,
        content_encoding: str,
        observers: Sequence[Observer],
        failed: Callable[[Observer, Exception], None],
        max_observed: int = MAX_OBSERVED,
    ) -> None:
        # What is not encoded is its own copy: no decoder between each event and its observers.
        plain = content_encoding in ("", "identity")
        decoder = None if plain else stream_decoder(content_encoding, max_observed)
        self._observers = list(observers) if plain or decoder else []
        self._decoder = decoder
        self._came = self._grown = 0
        self._failed = failed

    def __call__(self, data: bytes) -> bytes:
        """One chunk as it came from the upstream; b"" at the end, which observers do not see."""
        if data and self._observers:
            decoded = self._decoded(data) if self._decoder else data
            if decoded:
                for observer in tuple(self._observers):
                    try:
                        observer(decoded)
                    except Exception as error:
                        self._observers.remove(observer)
                        self._failed(observer, error)
        return data

    def _decoded(self, data: bytes) -> bytes:
        """What this chunk brings; b"", and no observer is left, once the body has grown beyond bounds."""
        assert self._decoder is not None
        pieces = []
        for start in range(0, len(data), _SLICE):
            piece = data[start : start + _SLICE]
            decoded = self._decoder.feed(piece)
            self._came += len(piece)
            self._grown += len(decoded)
            if self._grown > MOST_AHEAD + MOST_GROWTH * self._came:
                self._observers.clear()
                return b""
            pieces.append(decoded)
        return b"".join(pieces)
