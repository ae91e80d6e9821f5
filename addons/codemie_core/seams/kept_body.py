"""What mitmproxy keeps of streamed bodies under `store_streamed_bodies`: all of it, but here no more than a bound."""

from __future__ import annotations

import math

from mitmproxy.proxy.utils import ReceiveBuffer


class Bound:
    """How many bytes of each streamed body are kept; the first ones."""

    def __init__(self) -> None:
        self.most: float = math.inf


BOUND = Bound()
"""One process runs one proxy; `inspection` sets it."""


class KeptBody(ReceiveBuffer):
    """Takes what comes until it is full; what comes then only passes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mitmproxy's has no annotations
        self._room = BOUND.most

    def __iadd__(self, data: bytes) -> KeptBody:
        if self._room > 0:
            part = data if len(data) <= self._room else data[: int(self._room)]
            self._room -= len(part)
            super().__iadd__(part)
        return self
