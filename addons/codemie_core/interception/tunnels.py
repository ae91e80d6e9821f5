"""What addons have to say about a tunnel whose bytes nobody looks into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codemie_core.egress import OutboundProxy


def _directly(scheme: str, host: str, port: int) -> OutboundProxy | None:
    return None


def _always(client: object) -> bool:
    return True


@dataclass(slots=True)
class TunnelRules:
    """Each is set by the addon whose business it is."""

    way_out: Callable[[str, str, int], OutboundProxy | None] = _directly
    """The outbound proxy for a scheme, host and port."""
    may_pass: Callable[[object], bool] = _always
    """May bytes still pass on this client connection?"""
