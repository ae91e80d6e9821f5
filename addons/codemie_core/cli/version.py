"""`codemie-proxy version`: what is installed, and whether it fits together."""

from __future__ import annotations

import typer

from codemie_core import __version__


def print_short() -> None:
    """One line, as `--version` wants it."""
    typer.echo(f"codemie-proxy {__version__}")


def version() -> None:
    """Show the versions of the proxy and of what it builds on, and whether they fit together."""
    import platform

    from mitmproxy import version as mitmproxy_version

    from codemie_core.cli.event_loop import uvloop_state
    from codemie_core.seams import dispatch, install, socket_layer, tunnel

    print_short()
    typer.echo(f"mitmproxy         {mitmproxy_version.VERSION}")
    typer.echo(f"Python            {platform.python_version()} ({platform.system()} {platform.machine()})")
    typer.echo(f"uvloop            {uvloop_state()}")
    attempts = None if install.installed() else install.SHAPE.mismatch()
    typer.echo(f"upstream attempts {attempts or 'supported'}")
    sockets = None if socket_layer.installed() else socket_layer.SHAPE.mismatch()
    typer.echo(f"WebSocket bounds  {sockets or 'supported'}")
    typer.echo(f"tunnels           {tunnel.SHAPE.mismatch() or 'supported'}")
    typer.echo(f"fast dispatch     {dispatch.SHAPE.mismatch() or 'supported'}")
