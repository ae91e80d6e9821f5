"""An addon that says, once a request has ended, what `inspection` has imported and which hooks it listens to."""

import logging
import sys

from mitmproxy import ctx

from codemie_core.exchange import Exchange

ROOMS = "codemie_core.inspection."


def exchange_done(exchange: Exchange) -> None:
    own = ctx.master.addons.get("inspection")
    hooks = [hook for hook in ("requestheaders", "exchange_done", "usage_recorded") if getattr(own, hook, None)]
    rooms = sorted(name.removeprefix(ROOMS) for name in sys.modules if name.startswith(ROOMS))
    logging.getLogger(__name__).warning("rooms of inspection: %s, hooks: %s", rooms, hooks)
