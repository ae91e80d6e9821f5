"""A message of a WebSocket that is still arriving, up to a bound."""

from __future__ import annotations

from io import BytesIO

MOST_FRAMES = 1000


class Assembly:
    """Takes the pieces in which frames arrive; the frames stay apart, because some servers want them as they came.

    Those beyond MOST_FRAMES become one: a frame may be empty, and endless many of them would be within every bound.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames = [BytesIO()]  # What it holds it gives away without a copy.
        self._begun = False
        self._size = 0

    def add(self, piece: bytes, frame_finished: bool) -> bool:
        """False when the message is too large by now; what there was of it is let go then."""
        self._size += len(piece)
        if self._size > self._most:
            self.take()
            return False
        self._frames[-1].write(piece)
        self._begun = not (frame_finished and len(self._frames) < MOST_FRAMES)
        if not self._begun:
            self._frames.append(BytesIO())
        return True

    def take(self) -> list[bytes]:
        """The frames of the whole message, and begin the next one."""
        frames = [frame.getvalue() for frame in (self._frames if self._begun else self._frames[:-1])]
        self._frames, self._begun, self._size = [BytesIO()], False, 0
        return frames
