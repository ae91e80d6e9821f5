"""The proxy inside mitmproxy: commands for its console, for mitmweb and for scripts.

Those of the pool's accounts are in codemie_core/accounts/commands.py.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mitmproxy import command, ctx, exceptions, flow, http, types
from mitmproxy.utils import asyncio_utils

from codemie_core.addon import Addon
from codemie_core.core_addon import CoreAddon
from codemie_core.errors import CodemieError
from codemie_core.exchange import BOOK
from codemie_core.settings import nearest

if TYPE_CHECKING:
    from codemie_core.access.client_keys import KeyStore
    from codemie_core.inspection.desk import Desk

DISABLED_OPTION = "codemie_disabled"
ENABLED_OPTION = "codemie_enabled"
NOBODY_LOOKS = "there is no list of flows here: start mitmweb, or mitmproxy with its console"

logger = logging.getLogger(__name__)


def named[F: Callable[..., Any]](path: str) -> Callable[[F], F]:
    """mitmproxy's decorator, with types; what is wrong with a call is told in one line."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def telling(*args: Any) -> Any:
            try:
                return function(*args)
            except (CodemieError, ValueError, OSError) as problem:
                raise exceptions.CommandError(str(problem)) from None
            except ImportError as problem:
                missing = f"{problem.name} is not installed: pip install 'codemie-proxy[store]'"
                raise exceptions.CommandError(missing) from None

        decorated: F = command.command(path)(telling)
        return decorated

    return decorate


class InspectionCommands:
    """For the addon that has the desk."""

    desk: Desk | None

    @named("codemie.status")
    def show_status(self) -> Sequence[str]:
        """Show how the proxy is: where it listens, each addon, what it has served."""
        core = _core()
        listening = ", ".join(f"{host}:{port}" for host, port in core.listening()) or "nowhere"
        tally, endings = core.tally, core.tally.endings.items()
        served = ", ".join((f"{len(BOOK)} open", *(f"{number} {name}" for name, number in endings)))
        lines = [f"listening: {listening}", f"requests: {served}", f"attempts: {tally.attempts}, {tally.retries} again"]
        return [*lines, *self.addons_list()]

    @named("codemie.addons.list")
    def addons_list(self) -> Sequence[str]:
        """Show the addons in their order, and the state of each."""
        return [_addon_line(addon) for addon in _core().addons_in_order]

    @named("codemie.addons.enable")
    def addons_enable(self, name: str) -> str:
        """Switch an addon on, in this proxy until it ends."""
        return _switch(name, on=True)

    @named("codemie.addons.disable")
    def addons_disable(self, name: str) -> str:
        """Switch an addon off, in this proxy until it ends."""
        return _switch(name, on=False)

    @named("codemie.why")
    def why(self, flow: flow.Flow) -> Sequence[str]:
        """Say why a request went where it went: the route, the account, each attempt, how it ended."""
        from codemie_core.admin.reasons import of_exchange

        exchange = BOOK.known(_http(flow))
        if exchange is not None:
            return of_exchange(exchange)
        from codemie_core.inspection.facts import facts_of, facts_rows

        rows = [f"{title}: {text}" for title, text in facts_rows(facts_of(flow.metadata)) if text]
        if not rows:
            raise exceptions.CommandError("this flow has not passed through the proxy")
        return rows

    @named("codemie.conversation")
    def conversation(self, flow: flow.Flow) -> Sequence[str]:
        """Show a request and its answer as the conversation they are."""
        return self._pages(flow).splitlines()

    @named("codemie.conversation.save")
    def conversation_save(self, flow: flow.Flow, path: types.Path) -> None:
        """Write a request and its answer into a file, as the conversation they are. It may hold code and secrets."""
        place = Path(path).expanduser()
        text = self._pages(flow)
        place.touch(mode=0o600, exist_ok=False)
        place.write_text(text, "utf-8")
        logger.info("The conversation is in %s", place)

    @named("codemie.sessions")
    def sessions(self) -> Sequence[str]:
        """Show the sessions among the flows listed: agent, requests, tokens, cost."""
        from codemie_core.inspection.sessions import session_lines

        return session_lines(self._desk().flows())

    @named("codemie.session.show")
    def session_show(self, flow: flow.Flow) -> str:
        """List only the flows of this one's session."""
        session = flow.metadata.get("codemie.session_id")
        if not session:
            raise exceptions.CommandError("this flow belongs to no session")
        ctx.options.update(view_filter=f'~meta "codemie.session_id: {session}"')
        return str(session)

    @named("codemie.session.all")
    def session_all(self) -> None:
        """List the flows of all sessions again."""
        ctx.options.update(view_filter=None)

    @named("codemie.keys.list")
    def keys_list(self) -> Sequence[str]:
        """Show the client keys: whose, and whether they are revoked. Never the keys themselves."""
        lines = []
        for key in _keys().ring().keys:
            state = "valid" if key.active else "revoked"
            lines.append(f"{key.name} ({key.id}), made {key.created_at:%Y-%m-%d %H:%M}: {state}")
        return lines or ["there are none: every client on this machine may use the proxy; codemie-proxy keys add NAME"]

    @named("codemie.keys.revoke")
    def keys_revoke(self, name: str) -> str:
        """Make a client's key useless, for all proxies of this home, within a second."""
        revoked = _keys().revoke(name)
        return f"the key of {revoked.name} is revoked"

    @named("codemie.metrics.sync")
    def metrics_sync(self) -> None:
        """Send to CodeMie now what is counted, instead of waiting for the next round; the log says what came of it."""
        addon = _named(_core(), "metrics_sync")
        sync: Callable[[], Coroutine[Any, Any, str]] | None = getattr(addon, "sync_now", None)
        if sync is None or not addon.status.at_work:
            raise exceptions.CommandError("metrics_sync is not at work")

        async def syncing() -> None:
            logger.info("metrics: %s", await sync())

        asyncio_utils.create_task(syncing(), name="sync metrics", keep_ref=True)

    def _desk(self) -> Desk:
        if self.desk is None:
            raise exceptions.CommandError(NOBODY_LOOKS)
        return self.desk

    def _pages(self, flow: flow.Flow) -> str:
        return self._desk().pages(_http(flow))


def _core() -> CoreAddon:
    core = ctx.master.addons.get(CoreAddon.name)
    assert isinstance(core, CoreAddon)  # It is there as long as any addon of the bundle is.
    return core


def _http(found: flow.Flow) -> http.HTTPFlow:
    if not isinstance(found, http.HTTPFlow):
        raise exceptions.CommandError("this flow is no HTTP")
    return found


def _named(core: CoreAddon, name: str) -> Addon:
    known = {addon.name: addon for addon in core.addons_in_order}
    if name in known:
        return known[name]
    close = nearest(name, list(known))
    meant = f"did you mean {close!r}?" if close else "codemie.addons.list shows all"
    raise exceptions.CommandError(f"there is no addon {name!r}; {meant}")


def _switch(name: str, on: bool) -> str:
    core = _core()
    addon = _named(core, name)
    disabled = [each for each in ctx.options.codemie_disabled if each != name] + ([] if on else [name])
    enabled = list(ctx.options.codemie_enabled)
    if on and enabled and name not in enabled:
        enabled.append(name)
    try:
        ctx.options.update(**{DISABLED_OPTION: disabled, ENABLED_OPTION: enabled})
    except exceptions.OptionsError as problem:
        raise exceptions.CommandError(str(problem)) from None
    return f"{name} is {addon.status.state}"


def _addon_line(addon: Addon) -> str:
    error = f": {addon.status.error}" if addon.status.error else ""
    return f"{addon.priority:>3} {addon.name} ({addon.fail}): {addon.status.state}{error}"


def _keys() -> KeyStore:
    from codemie_core.access.client_keys import KeyStore

    return KeyStore(_core().places)
