"""Which messages of a WebSocket stay to be looked at: the newest, and what the client has asked for last."""

from __future__ import annotations

from typing import Protocol


class Message(Protocol):
    """As mitmproxy has it."""

    content: bytes
    from_client: bool


class KeptMessages:
    """Trims the list of one WebSocket. It holds at most `most` messages and `most_bytes`, but always the newest one."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0

    def added[M: Message](self, messages: list[M]) -> None:
        """Another message stands at the end of the list."""
        if not messages:
            return  # Whoever looks at them has cleared the list.
        self._bytes += len(messages[-1].content)
        if len(messages) > self._most or self._bytes > self._most_bytes:
            # Down to three quarters at once: to find out what stays costs as much as what stays is long.
            messages[:] = _newest(messages, max(1, self._most * 3 // 4), self._most_bytes * 3 // 4)
            self._bytes = sum(len(message.content) for message in messages)


def _newest[M: Message](messages: list[M], most: int, most_bytes: int) -> list[M]:
    last = len(messages) - 1
    asked = next((n for n in reversed(range(last)) if messages[n].from_client), None)
    room = most_bytes - len(messages[last].content)
    stays = {last}
    if asked is not None and len(messages[asked].content) <= room and most > 1:
        stays.add(asked)
        room -= len(messages[asked].content)
    for n in reversed(range(last)):
        if n == asked:
            continue
        room -= len(messages[n].content)
        if room < 0 or len(stays) >= most:
            break
        stays.add(n)
    return [messages[n] for n in sorted(stays)]
