"""Hook dispatch through an index, in place of mitmproxy's walk over every addon for every event.

mitmproxy asks each of its some 35 addons for each hook, and most have none. The index remembers who listens
to what and is compared with the live chain before each use, so addons may come, go and change places at any
time. Order, AddonHalt, OptionsError and the containment of each top-level addon stay mitmproxy's own.

Two differences, on purpose: a handler that appears on an addon already loaded is seen after the next
configure, running, register or `refresh`; an addon that arrives during an event hears the next one.
This is only speed: where mitmproxy is not the one tested, it steps aside with one warning.
"""

import inspect
import logging
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mitmproxy import addonmanager, exceptions, hooks
from mitmproxy.addonmanager import AddonManager

from codemie_core.seams.shape import Shape

logger = logging.getLogger(__name__)

SHAPE = Shape(
    name="hook dispatch",
    functions=(
        "mitmproxy.addonmanager:cut_traceback",
        "mitmproxy.addonmanager:safecall",
        "mitmproxy.addonmanager:traverse",
        "mitmproxy.addonmanager:AddonManager",
    ),
    fingerprints=frozenset({"49bfbdb4de504adc"}),  # 12.2.0 to 12.3.1
)

# In these, handlers appear and children are loaded half-way through: mitmproxy walks them itself.
_LIFECYCLE = frozenset({"configure", "running", "done"})
_REPLACED = ("trigger_event", "trigger", "register")

type _Group = tuple[object, ...]
"""A top-level addon and its children, as far as they listen: one failing skips the rest of its group."""


class Dispatch:
    """The index of one AddonManager. `install` puts it in place, `uninstall` takes it away."""

    def __init__(self, manager: AddonManager) -> None:
        self._manager = manager
        self._stock: dict[str, Callable[..., Any]] = {name: getattr(manager, name) for name in _REPLACED}
        self._chain: list[object] = []
        self._children: list[tuple[Any, list[object]]] = []
        self._groups: list[_Group] | None = None
        self._listeners: dict[str, list[_Group]] = {}

    def listeners(self, event_name: str) -> list[_Group] | None:
        """Who has a handler for an event, in order; None where mitmproxy has to walk."""
        if event_name in _LIFECYCLE:
            return None
        if self._groups is None or not self._is_fresh():
            self._listeners = {}
            self._groups = self._read_chain()
        if self._groups is None:
            return None
        found = self._listeners.get(event_name)
        if found is None:
            groups = [tuple(addon for addon in group if _listens(addon, event_name)) for group in self._groups]
            found = self._listeners[event_name] = [group for group in groups if group]
        return found

    def forget(self) -> None:
        """Mark the index stale: the next event builds it anew."""
        self._groups = None

    def uninstall(self) -> None:
        """Give the manager its own methods back."""
        for name in _REPLACED:
            if self._manager.__dict__.get(name) == getattr(self, name):
                del self._manager.__dict__[name]

    async def trigger_event(self, event: hooks.Hook) -> None:
        groups = self.listeners(event.name)
        if groups is None:
            try:
                await self._stock["trigger_event"](event)
            finally:
                self.forget()
            return
        args = event.args() if groups else []
        for group in groups:
            try:
                await invoke_addon(group, event.name, args)
            except exceptions.AddonHalt:
                return
            except Exception:
                with addonmanager.safecall():
                    raise

    def trigger(self, event: hooks.Hook) -> None:
        groups = self.listeners(event.name)
        if groups is None:
            try:
                self._stock["trigger"](event)
            finally:
                self.forget()
            return
        args = event.args() if groups else []
        for group in groups:
            try:
                invoke_addon_sync(group, event.name, args)
            except exceptions.AddonHalt:
                return
            except Exception:
                with addonmanager.safecall():
                    raise

    def register(self, addon: object) -> object:
        try:
            return self._stock["register"](addon)
        finally:
            self.forget()

    def _is_fresh(self) -> bool:
        try:
            if self._manager.chain != self._chain:
                return False
            for parent, children in self._children:
                if list(parent.addons) != children:
                    return False
        except Exception:
            return False
        return True

    def _read_chain(self) -> list[_Group] | None:
        self._chain = list(self._manager.chain)
        try:
            groups = [tuple(_flatten([top])) for top in self._chain]
            parents: list[Any] = [addon for group in groups for addon in group if hasattr(addon, "addons")]
            self._children = [(parent, list(parent.addons)) for parent in parents]
        except Exception:
            # An `addons` property that raises: mitmproxy's walk contains and logs it, event by event.
            return None
        return groups


# Named as in mitmproxy: its safecall cuts the traceback it logs at a frame called so.
async def invoke_addon(group: _Group, event_name: str, args: list[Any]) -> None:
    """Call a group's handlers, awaiting what is awaitable."""
    for _, handler in _iter_hooks(group, event_name):
        result = handler(*args)
        if result is not None and inspect.isawaitable(result):
            await result


def invoke_addon_sync(group: _Group, event_name: str, args: list[Any]) -> None:
    """Call a group's handlers; AddonManagerError at the first that is async."""
    for addon, handler in _iter_hooks(group, event_name):
        if inspect.iscoroutinefunction(handler):
            raise exceptions.AddonManagerError(
                f"Async handler {event_name} ({addon}) cannot be called from sync context"
            )
        handler(*args)


def _iter_hooks(group: Iterable[object], event_name: str) -> Iterator[tuple[object, Callable[..., Any]]]:
    for addon in group:
        # Looked up at each event, so that a handler replaced on a living addon counts at once.
        handler = getattr(addon, event_name, None)
        if not handler or isinstance(handler, types.ModuleType):
            continue
        if not callable(handler):
            raise exceptions.AddonManagerError(f"Addon handler {event_name} ({addon}) not callable")
        yield addon, handler


def _flatten(chain: list[Any]) -> Iterator[object]:
    yield from addonmanager.traverse(chain)


def _listens(addon: object, event_name: str) -> bool:
    try:
        handler = getattr(addon, event_name, None)
        return bool(handler) and not isinstance(handler, types.ModuleType)
    except Exception:
        # A property that raises: it does so again when called, inside the containment.
        return True


def _is_marked(addon: object, event_name: str, mark: str) -> bool:
    try:
        return getattr(getattr(addon, event_name), mark, False) is True
    except Exception:
        # A property that raises: it does so again when called, inside the containment.
        return False


def install(manager: AddonManager) -> Dispatch | None:
    """Put an index into this manager (once); None, with one warning, where mitmproxy is not a tested one."""
    if present := _installed(manager):
        return present
    problem = SHAPE.mismatch()
    if problem is None and (type(manager) is not AddonManager or not manager.__dict__.keys().isdisjoint(_REPLACED)):
        problem = "something else already replaces mitmproxy's dispatch"
    if problem is not None:
        logger.warning("Hook dispatch stays mitmproxy's own, which costs CPU: %s", problem)
        return None
    dispatch = Dispatch(manager)
    manager.__dict__.update({name: getattr(dispatch, name) for name in _REPLACED})
    return dispatch


def has_listeners(manager: AddonManager, event_name: str, unmarked: str = "") -> bool:
    """Whether any addon has a handler for an event: a custom hook need not be fired for nobody.

    Handlers that bear the mark `unmarked`, an attribute, do not count then.
    """
    dispatch = _installed(manager)
    groups = dispatch.listeners(event_name) if dispatch else None
    if groups is not None:
        if unmarked:
            return any(not _is_marked(addon, event_name, unmarked) for group in groups for addon in group)
        return bool(groups)
    try:
        return any(_listens(addon, event_name) for addon in _flatten(manager.chain))
    except Exception:
        # An `addons` property that raises: mitmproxy's walk will contain and log it.
        return True


def refresh(manager: AddonManager) -> None:
    """Have handlers seen that an addon put on or took off while the proxy runs."""
    if dispatch := _installed(manager):
        dispatch.forget()


def _installed(manager: AddonManager) -> Dispatch | None:
    owner = getattr(manager.trigger_event, "__self__", None)
    return owner if isinstance(owner, Dispatch) else None
