"""`codemie-proxy status`: the proxies that run on this machine under this CodeMie home."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from codemie_core.running import RunningProxy

HEALTH_SECONDS = 2.0


def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")] = False,
) -> None:
    """Show the running proxies: where they listen, for what, how long, and how they are."""
    import json

    from codemie_core.places import Places
    from codemie_core.running import running_proxies

    found = [_seen(entry) for entry in running_proxies(Places.from_env(os.environ))]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif not found:
        typer.echo("No proxy is running. Start one: codemie-proxy start")
    else:
        _print_table(found)


def _seen(entry: RunningProxy) -> dict[str, Any]:
    import dataclasses

    from codemie_core.redact import redact_url

    healths = (_health(address) for address in entry.addresses)
    return {
        **dataclasses.asdict(entry),
        "mode": [redact_url(mode) for mode in entry.mode],
        "uptime_seconds": round(max(0.0, time.time() - entry.started_at), 1),
        "health": next((health for health in healths if health is not None), None),
    }


def _health(address: str) -> dict[str, Any] | None:
    """What /health says there; None when it does not answer in time."""
    import http.client
    import json

    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    connection = http.client.HTTPConnection(host, int(port), timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        found = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) else None


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("PID", "Listens on", "Mode", "Up", "Version", "Health", box=None, header_style="bold", pad_edge=False)
    for proxy in found:
        table.add_row(
            str(proxy["pid"]),
            "\n".join(proxy["addresses"]),
            "\n".join([*proxy["mode"], *(["(ends with its agent)"] if proxy["lent"] else [])]),
            uptime(proxy["uptime_seconds"]),
            proxy["version"],
            in_words(proxy["health"]),
        )
    Console(highlight=False, markup=False, width=None if os.isatty(1) else 160).print(table)


def in_words(health: dict[str, Any] | None) -> str:
    """The answer of /health in a line; names the addons that are in trouble."""
    if health is None:
        return "no answer"
    troubled = [
        f"{addon['name']} {addon['state']}"
        for addon in health.get("addons", ())
        if addon.get("state") in ("degraded", "failed")
    ]
    return f"{health.get('status', 'unknown')}{': ' if troubled else ''}{', '.join(troubled)}"


def uptime(seconds: float) -> str:
    """Like 42 s, 17 min, 3 h 05 min, 2 d 4 h."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
