"""How a WebSocket ends, and what each side is told: a code and words that an agent connects again on.

A side that goes without a close frame would be passed on as "normal closure" otherwise, to an agent that waits for the
rest of its answer. Codex connects again and repeats the turn whatever the code; 1012 says the same to others. 1014, bad
gateway, would fit too, but several libraries take it for a violation of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

GOING_AWAY, NO_CODE, POLICY, TOO_BIG, FAILED, RESTART = 1001, 1005, 1008, 1009, 1011, 1012
"""NO_CODE stands for a close frame without one, and never on the wire."""


@dataclass(frozen=True, slots=True)
class Close:
    """A code of RFC 6455 and words for people, at most 123 bytes of UTF-8."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """What the two sides are told."""

    client: Close
    upstream: Close


CLIENT_LEFT = Close(GOING_AWAY, "The client went away.")
UPSTREAM_LOST = Close(RESTART, "The connection to the upstream was lost; connect again.")
UPSTREAM_BROKEN = Close(RESTART, "The upstream broke the WebSocket protocol; connect again.")
STOPPING = Ending(
    Close(RESTART, "The proxy is stopping; connect again."), Close(GOING_AWAY, "The client's proxy stops.")
)
PROXY_FAILED = Ending(Close(FAILED, "The proxy itself failed over this connection; its log says how."), CLIENT_LEFT)
KEY_REVOKED = Ending(Close(POLICY, "The client key of this connection is no longer valid."), CLIENT_LEFT)
OTHER_ACCOUNT = Ending(Close(RESTART, "This account is limited; connect again for another one."), CLIENT_LEFT)
BUSY = Ending(Close(RESTART, "The upstream is overloaded; connect again."), CLIENT_LEFT)
SILENT = Ending(Close(RESTART, "The upstream fell silent while it was to answer; connect again."), CLIENT_LEFT)
UNREADABLE = Ending(
    Close(FAILED, "The upstream agreed on a compression that this proxy cannot read."),
    Close(POLICY, "These parameters of permessage-deflate cannot be kept."),
)


def lost(client: bool) -> Ending:
    """The connection of one side ended without a close frame. That side hears nothing any more."""
    return Ending(CLIENT_LEFT if client else UPSTREAM_LOST, CLIENT_LEFT)


def broken(client: bool, own: Close) -> Ending:
    """One side sent what is no WebSocket, or what cannot be unpacked, and is told so with `own`."""
    return Ending(own, CLIENT_LEFT) if client else Ending(UPSTREAM_BROKEN, own)


def too_large(client: bool, most: int) -> Ending:
    """A message of one side is larger than `most` bytes. The client hears of it whoever sent it."""
    size = f"{most / 1024 / 1024:g} MiB"
    if client:
        return Ending(Close(TOO_BIG, f"The message is larger than the {size} this proxy takes."), CLIENT_LEFT)
    own = Close(TOO_BIG, f"The upstream's message is larger than the {size} this proxy takes.")
    return Ending(own, own)
