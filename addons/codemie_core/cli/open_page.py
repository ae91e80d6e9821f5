"""`codemie-proxy open`: the dashboard of a running proxy, in the browser."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from codemie_core.running import RunningProxy

EXAMPLES = """[bold]Examples[/]

codemie-proxy open

codemie-proxy open --port 9000    (of several proxies, the one that listens there)

codemie-proxy open --no-browser    (prints the address: for a browser elsewhere, see docs/admin.md)"""

PATIENCE = 20.0
"""Seconds: whoever comes first waits until the pages are loaded."""


def open_page(
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Where the proxy listens, when several run.", show_default=False)
    ] = None,
    page: Annotated[str, typer.Option(help="The page to open, like /accounts.")] = "/",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address instead.")] = False,
) -> None:
    """Open the dashboard. The address signs one browser in and is good for a minute."""
    from codemie_core.errors import SettingsError
    from codemie_core.places import Places
    from codemie_core.sso.browser import open_browser
    from codemie_core.top.proxies import address, running, token

    if not page.startswith("/"):
        raise SettingsError(f"--page {page}: write it like /accounts")
    places = Places.from_env(os.environ)
    found = running(places, port)
    if not found.shown:
        where = "is running" if port is None else f"listens on port {port}"
        raise SettingsError(f"no proxy {where}; start one: codemie-proxy start")
    entry = found.shown[0]
    url = _signed(entry, token(places), page)
    if no_browser:
        typer.echo(url)
        return
    typer.echo(f"The dashboard of the proxy at {address(entry)}")
    if not asyncio.run(open_browser(url, os.environ)):
        typer.echo(f"There is no browser here. Within a minute, open:\n\n  {url}\n")


def _signed(entry: RunningProxy, token: str, page: str) -> str:
    """The address that signs a browser in. SettingsError when the proxy does not give one."""
    import http.client
    import json

    from codemie_core.errors import SettingsError

    connection = http.client.HTTPConnection("127.0.0.1", entry.admin_port, timeout=PATIENCE)
    try:
        connection.request("POST", "/api/session/code", headers={"authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        if answer.status != 201:
            raise SettingsError(f"the proxy gave no way in: {told['detail']}")
        code = str(told["code"])
    except (OSError, ValueError, KeyError, http.client.HTTPException) as problem:
        words = f"the admin API on port {entry.admin_port} does not answer ({type(problem).__name__})"
        raise SettingsError(f"{words}; the proxy's log says why") from None
    finally:
        connection.close()
    return f"http://127.0.0.1:{entry.admin_port}{page}{'&' if '?' in page else '?'}code={code}"
