"""A script with an addon that raises in every hook there is, sync or async, and when it starts and stops."""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codemie_core.addon import Addon
from codemie_core.containment import HOOKS

SCRIPT = Path(__file__)
NAME = SCRIPT.stem
ALWAYS_SYNC = frozenset({"load", "configure"})
_VARIABLE = "MISBEHAVING"


def env(kind: str) -> dict[str, str]:
    """The environment for the process; `kind` is sync or async. The script may come before the bundle's own."""
    return {_VARIABLE: kind, "PYTHONPATH": str(SCRIPT.parents[2] / "addons")}


def raising(hook: str, kind: str) -> Callable[..., Any]:
    """A handler that always fails."""

    def handler(self: Addon, *args: object) -> None:
        raise RuntimeError(f"{hook} always fails here")

    async def handler_async(self: Addon, *args: object) -> None:
        raise RuntimeError(f"{hook} always fails here")

    return handler if kind == "sync" or hook in ALWAYS_SYNC else handler_async


def misbehaving(kind: str, fail: str = "open", name: str = NAME) -> type[Addon]:
    """The class, with a handler for each hook."""
    handlers = {hook: raising(hook, kind) for hook in (*HOOKS, "start", "stop")}
    keywords = {"priority": 1, "fail": fail, "name": name}
    return types.new_class("Misbehaving", (Addon,), keywords, lambda body: body.update(handlers))


addons = [misbehaving(os.environ.get(_VARIABLE, "sync"))()]
