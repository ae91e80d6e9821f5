"""bare_stream with the indexed dispatch: what that seam saves by itself."""

from mitmproxy import ctx

from bench.bare_stream import responseheaders as responseheaders
from codemie_core.seams import dispatch


def running() -> None:
    """Every addon is there."""
    dispatch.install(ctx.master.addons)
