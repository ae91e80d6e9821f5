"""The base of every addon of the bundle: containment by construction, settings declared once, a life cycle.

mitmproxy puts one error barrier around a whole script: a hook that raises silences every later addon for that event. So
each hook of a subclass is wrapped when the class is made; nobody can forget it. `fail="open"` means that the flow goes
on without the addon. `fail="closed"` means that up to and including the request side the flow is answered with a JSON
502; from the response head on every addon is open, because killing then would only cut a good answer short.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.utils import asyncio_utils
from pydantic import BaseModel, ConfigDict

from codemie_core import options
from codemie_core.containment import HOOKS, REQUEST_SIDE, Mishap, answer_closed
from codemie_core.errors import SettingsError

logger = logging.getLogger(__name__)


class AddonSettings(BaseModel):
    """The base of every `Settings`: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class State(StrEnum):
    """What /health says about an addon."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(slots=True)
class Status:
    """The condition of one addon instance."""

    enabled: bool = True
    started: bool = False
    failed: bool = False
    error: str | None = None
    """The newest mishap, redacted."""
    mishaps: Counter[str] = field(default_factory=Counter)
    """How often each hook raised."""

    @property
    def at_work(self) -> bool:
        """Does it get to see events?"""
        return self.enabled and not self.failed

    @property
    def state(self) -> State:
        """One word for all of it."""
        if self.failed:
            return State.FAILED
        if not self.enabled:
            return State.DISABLED
        return State.DEGRADED if self.mishaps else State.ACTIVE


class Addon:
    """Subclass with `class HeaderInjection(Addon, priority=20)`; the module's name is the addon's name."""

    name: str
    priority: ClassVar[int]
    version: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    fail: ClassVar[Literal["open", "closed"]]
    switchable: ClassVar[bool] = True
    """May `codemie_enabled` and `codemie_disabled` switch it while the proxy runs?"""

    class Settings(AddonSettings):
        """No settings."""

    settings: Any
    status: Status

    def __init_subclass__(
        cls,
        *,
        priority: int,
        version: str = "1.0.0",
        requires: tuple[str, ...] = (),
        fail: Literal["open", "closed"] = "open",
        name: str = "",
    ) -> None:
        super().__init_subclass__()
        cls.priority, cls.version, cls.requires, cls.fail = priority, version, requires, fail
        # A script's module is called __mitmproxy_script__.header_injection when it is loaded alone.
        cls.name = name or cls.__module__.rpartition(".")[2]
        for hook, handler in list(vars(cls).items()):
            if hook in HOOKS and callable(handler):
                if hook in ("load", "configure") and inspect.iscoroutinefunction(handler):
                    raise TypeError(f"{cls.name}: mitmproxy calls {hook} synchronously; it cannot be async")
                setattr(cls, hook, contained(hook, handler))
        for hook, base in _LIFECYCLE.items():
            setattr(cls, hook, _chained(base, contained(hook, vars(cls)[hook])) if hook in vars(cls) else base)

    def __new__(cls, *args: object, **kwargs: object) -> Addon:
        """Give every instance its status, also where a subclass forgets to call its parent's constructor."""
        self = super().__new__(cls)
        self.status = Status()
        return self

    def start(self) -> Coroutine[Any, Any, None] | None:
        """Begin to work: called when the proxy runs and when the addon is switched on. May be async."""
        return None

    async def drain(self) -> None:
        """The proxy ends: pass on what is in hand to the addons behind this one, before any of them stops."""

    def stop(self) -> Coroutine[Any, Any, None] | None:
        """End what `start` began. May be async; bounded in time by the core addon."""
        return None

    def settled(self) -> None:
        """New settings are in `self.settings`. Raise SettingsError to refuse them."""

    def health(self) -> Mapping[str, object]:
        """What /health says of it beside its state: numbers and short words, no secrets."""
        return {}

    def switch(self, on: bool) -> None:
        """Turn the addon on or off while the proxy runs."""
        if on != self.status.enabled:
            self.status.enabled = on
            self._begin() if on else self._end()

    def _begin(self) -> None:
        if not self.status.started and self.status.at_work:
            self.status.started = True
            self._run("start", self.start)

    def _end(self) -> None:
        if self.status.started:
            self.status.started = False
            self._run("stop", self.stop)

    async def finish(self, within: float) -> None:
        """Stop, waiting for it up to `within` seconds: for the end of the proxy."""
        if self.status.started:
            self.status.started = False
            await self._bounded("stop", self.stop, within)

    async def hand_over(self, within: float) -> None:
        """Drain, waiting for it up to `within` seconds."""
        if self.status.started:
            await self._bounded("drain", self.drain, within)

    async def _bounded(self, what: str, work: Callable[[], Coroutine[Any, Any, None] | None], within: float) -> None:
        try:
            pending = work()
            if inspect.isawaitable(pending):
                await asyncio.wait_for(pending, within)
        except Exception as error:  # The other addons have their own ends to come to.
            note(self, what, error)

    def _run(self, what: str, work: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
        try:
            pending = work()
        except Exception as error:
            note(self, what, error)
            return
        if inspect.isawaitable(pending):
            # Awaited by no hook: an async `running` would break mitmproxy's live reload, which calls it synchronously.
            asyncio_utils.create_task(self._finish(what, pending), name=f"{what} {self.name}", keep_ref=True)

    async def _finish(self, what: str, pending: Coroutine[Any, Any, None]) -> None:
        try:
            await pending
        except Exception as error:
            note(self, what, error)


def note(addon: Addon, hook: str, error: Exception, flow: http.HTTPFlow | None = None) -> None:
    """Count a mishap, log the first of its kind, keep the newest for /health."""
    status = addon.status
    mishap = Mishap.of(addon.name, hook, error, flow)
    status.mishaps[hook] += 1
    status.error = mishap.text
    if status.mishaps[hook] == 1:
        # Until start-up is over an ERROR makes mitmdump exit, and that is for addons that fail closed.
        core = ctx.master.addons.get("codemie_core")
        starting = core is None or not core.running_since
        level = logging.WARNING if starting and addon.fail == "open" else logging.ERROR
        logger.log(level, "%s", mishap.line)


def errors_only[Handler: Callable[..., Any]](handler: Handler) -> Handler:
    """For an `upstream_response` that needs only statuses from 400 on: a hook that is fired for nobody costs CPU."""
    vars(handler)["errors_only"] = True
    return handler


def contained(hook: str, handler: Callable[..., Any]) -> Callable[..., Any]:
    """`handler` with an error barrier. AddonHalt passes, and so does OptionsError from `configure`."""
    passing: tuple[type[Exception], ...] = (exceptions.AddonHalt,)
    if hook == "configure":
        passing += (exceptions.OptionsError,)

    def close(self: Addon, args: tuple[Any, ...]) -> None:
        if self.fail == "closed" and hook in REQUEST_SIDE:
            answer_closed(self.name, *args)

    def trouble(self: Addon, error: Exception, args: tuple[Any, ...]) -> None:
        note(self, hook, error, args[0] if args and isinstance(args[0], http.HTTPFlow) else None)
        close(self, args)

    def wanted(self: Addon, args: tuple[Any, ...]) -> bool:
        if self.status.failed and hook not in _LIFECYCLE:
            close(self, args)
        return self.status.at_work or hook in _LIFECYCLE

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def guarded_async(self: Addon, *args: Any) -> None:
            if wanted(self, args):
                try:
                    await handler(self, *args)
                except passing:
                    raise
                except Exception as error:
                    trouble(self, error, args)

        return guarded_async

    @functools.wraps(handler)
    def guarded(self: Addon, *args: Any) -> None:
        if wanted(self, args):
            try:
                handler(self, *args)
            except passing:
                raise
            except Exception as error:
                trouble(self, error, args)

    return guarded


def _chained(base: Callable[..., None], own: Callable[..., Any]) -> Callable[..., Any]:
    """The base's part of a life-cycle hook, then the subclass's."""
    if inspect.iscoroutinefunction(own):

        @functools.wraps(own)
        async def both_async(self: Addon, *args: Any) -> None:
            base(self, *args)
            await own(self, *args)

        return both_async

    @functools.wraps(own)
    def both(self: Addon, *args: Any) -> None:
        base(self, *args)
        try:
            own(self, *args)
        except exceptions.OptionsError as problem:
            report(self, str(problem))

    return both


def report(addon: Addon, problem: str) -> None:
    """A setting that cannot be used: refused while the proxy runs, collected for one clear line at start-up.

    Raised at start-up, mitmproxy would print a traceback and leave the addons after this one unconfigured.
    """
    from codemie_core.core_addon import core_of

    core = core_of(addon)
    if core.running_since:
        raise exceptions.OptionsError(problem)
    core.layers.problems.append(problem)


def _load(self: Addon, loader: Loader) -> None:
    from codemie_core.core_addon import core_of

    core = core_of(self)
    try:
        options.declare(loader, self.name, self.Settings, core.layers)
    except Exception as error:
        # Raised here it would take every addon of the script with it.
        self.status.failed = True
        note(self, "load", error)
        return
    core.layers.problems.extend(options.apply_deferred(ctx.options, self.name, self.Settings))


def _configure(self: Addon, updated: set[str]) -> None:
    from codemie_core.core_addon import core_of

    core = core_of(self)
    core.configure_first(updated)
    if self.status.failed:
        return
    prefix = f"{options.PREFIX}{self.name}_"
    if not any(name.startswith(prefix) for name in updated) and hasattr(self, "settings"):
        return
    before = getattr(self, "settings", None)
    try:
        self.settings = options.read(ctx.options, self.name, self.Settings)
        self.settled()
    except SettingsError as problem:
        self.settings = before if before is not None else self.Settings()
        report(self, str(problem))
    except Exception as error:
        note(self, "configure", error)


def _running(self: Addon) -> None:
    self._begin()


def _done(self: Addon) -> None:
    # At shutdown the core addon stops all in reverse order; a removed addon (live reload) stops by itself.
    if ctx.master.addons.get(self.name) is not self:
        self._end()


_LIFECYCLE: dict[str, Callable[..., None]] = {
    "load": _load,
    "configure": _configure,
    "running": _running,
    "done": _done,
}
