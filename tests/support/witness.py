"""A script with an addon that writes down each hook it hears, and an observer that writes down what the client gets."""

from __future__ import annotations

import os
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codemie_core.addon import Addon
from codemie_core.containment import HOOKS
from codemie_core.exchange import exchange_of

SCRIPT = Path(__file__)
_VARIABLE = "WITNESS_FILE"


def env(file: Path) -> dict[str, str]:
    """The environment for the process that is to write to `file`."""
    return {_VARIABLE: str(file)}


def heard(file: Path) -> Counter[str]:
    """How often each hook was heard so far."""
    return Counter(file.read_text().split())


def hears(hook: str) -> Callable[..., Any]:
    """A handler that writes the hook's name down."""

    def handler(self: Addon, *args: Any) -> None:
        write(hook)
        if hook == "request":
            exchange_of(args[0]).observers.append(observe)

    return handler


def write(word: str) -> None:
    """One more line."""
    with Path(os.environ[_VARIABLE]).open("a") as file:
        file.write(f"{word}\n")


def observe(_: bytes) -> None:
    """See a chunk."""
    write("chunk")


def handlers() -> dict[str, Any]:
    """All that the addon can hear."""
    return {hook: hears(hook) for hook in (*HOOKS, "start", "stop")}


Witness = types.new_class(
    "Witness", (Addon,), {"priority": 1000, "name": SCRIPT.stem}, lambda body: body.update(handlers())
)
addons = [Witness()]
