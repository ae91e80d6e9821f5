"""`codemie-proxy demo`: the proxy at work, on this machine alone."""

from __future__ import annotations

import typer


def demo() -> None:
    """Watch the proxy work for half a minute, with no account and no network.

    Plays a scripted model API and a real proxy: a stream, an overloaded upstream, one that is down, a cut stream,
    a failing addon, a pool of two accounts of which one is limited, and what a conversation cost.
    """
    from codemie_core.demo.story import tell

    raise typer.Exit(tell())
