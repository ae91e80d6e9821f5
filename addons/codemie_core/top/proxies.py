"""Which of the running proxies is shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codemie_core.admin.token import read_token, token_file
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.redact import redact_url
from codemie_core.running import RunningProxy, running_proxies

COMING = 10.0
"""Seconds in which a proxy that is up may still open its admin port."""
OFF = (
    "The proxy at {where} has no admin API: take admin_server out of codemie_disabled there and start it again; "
    "if it is not there, what it needs is missing: pip install 'codemie-proxy[admin]'"
)


@dataclass(frozen=True, slots=True)
class Running:
    """`shown` are those with an admin API, the newest first; `coming` says that one has only just come up."""

    shown: Sequence[RunningProxy] = ()
    coming: bool = False


def running(places: Places, port: int | None = None, clock: Callable[[], float] = time.time) -> Running:
    """Those that run; with `port` the one that listens there.

    SettingsError when some run and none of them can be asked.
    """
    found = [one for one in running_proxies(places) if port is None or port in ports(one)]
    shown = [one for one in reversed(found) if one.admin_port]
    coming = any(one.started_at + COMING > clock() for one in found if not one.admin_port)
    if found and not shown and not coming:
        raise SettingsError(OFF.format(where=address(found[-1])))
    return Running(shown, coming)


def ports(entry: RunningProxy) -> Sequence[int]:
    """Where it listens."""
    return [int(found) for _, _, found in (one.rpartition(":") for one in entry.addresses) if found.isdigit()]


def address(entry: RunningProxy) -> str:
    """Where agents find it, as far as one line goes."""
    return entry.addresses[0] if entry.addresses else f"pid {entry.pid}"


def target(entry: RunningProxy) -> str:
    """Like api.anthropic.com, or `any host`."""
    modes = [redact_url(mode.partition(":")[2]).partition("://")[2] for mode in entry.mode if ":" in mode]
    return ", ".join(filter(None, modes)) or "any host"


def token(places: Places) -> str:
    """What the admin API of these proxies lets in. SettingsError names what helps."""
    found = read_token(places)
    if found is None:
        raise SettingsError(f"{token_file(places)} is not there; a proxy makes it when it starts: start it again")
    return found.get_secret_value()
