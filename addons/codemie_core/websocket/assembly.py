"""A message of a WebSocket that is still arriving, up to a bound."""

from __future__ import annotations


class Assembly:
    """Takes the pieces in which frames arrive; the frames stay apart, because some servers want them as they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: list[list[bytes]] = [[]]
        self._size = 0

    def add(self, piece: bytes, frame_finished: bool) -> bool:
        """False when the message is too large by now; what there was of it is let go then."""
        self._size += len(piece)
        if self._size > self._most:
            self.take()
            return False
        self._frames[-1].append(piece)
        if frame_finished:
            self._frames.append([])
        return True

    def take(self) -> list[bytes]:
        """The frames of the whole message, and begin the next one."""
        frames = [b"".join(pieces) for pieces in self._frames]
        self._frames, self._size = [[]], 0
        return frames[:-1]  # The last one had not begun.
