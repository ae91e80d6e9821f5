"""bare_stream with the indexed dispatch: what that seam saves by itself."""

from bare_stream import responseheaders as responseheaders
from mitmproxy import ctx

from codemie_core.seams import dispatch


def running() -> None:
    """Every addon is there."""
    dispatch.install(ctx.master.addons)
