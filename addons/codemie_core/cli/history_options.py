"""The options that say which turns, the same for every command that looks at the history."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from codemie_core.cli.history_book import Given
from codemie_core.cli.history_names import known

AsJson = Annotated[bool, typer.Option("--json", help="For programs: one object.")]
AsList = Annotated[bool, typer.Option("--json", help="For programs: a list of objects.")]
Many = list[str] | None


def _one_of(flag: str, dimension: str, text: str, metavar: str) -> Any:
    option = typer.Option(flag, help=text, metavar=metavar, autocompletion=known(dimension), show_default=False)
    return Annotated[Many, option]


_SINCE = typer.Option(
    "--since", help='From then on: "7d" (ago), "24h", "today", "2026-11-01".', metavar="WHEN", show_default=False
)
_UNTIL = typer.Option("--until", help="Before then; in the same forms.", metavar="WHEN", show_default=False)
_STATUS = typer.Option("--status", help="ok or error.", metavar="STATUS", show_default=False)
_OPTIONS: dict[str, tuple[Any, object]] = {
    "since": (Annotated[str, _SINCE], ""),
    "until": (Annotated[str, _UNTIL], ""),
    "models": (_one_of("--model", "model", "A model: its name, the start of it, or a pattern.", "NAME"), None),
    "accounts": (_one_of("--account", "account", 'An account; "-" for none.', "NAME"), None),
    "agents": (_one_of("--agent", "agent", "An agent: claude, codex, gemini, opencode, ...", "NAME"), None),
    "sessions": (_one_of("--session", "session", 'A session: the start of its id, or "last".', "ID"), None),
    "projects": (_one_of("--project", "project", "A project.", "NAME"), None),
    "branches": (_one_of("--branch", "branch", "A git branch.", "NAME"), None),
    "client_keys": (_one_of("--key", "client_key", "A client key, by its name.", "NAME"), None),
    "status": (Annotated[str, _STATUS], ""),
}


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The command gets `given: Given`, the person an option for each of its fields; they may be repeated."""

    @wraps(command)
    def called(**typed: Any) -> None:
        chosen: dict[str, Any] = {name: typed.pop(name) for name in _OPTIONS}
        chosen.update([(name, tuple(texts or ())) for name, texts in chosen.items() if _OPTIONS[name][1] is None])
        command(given=Given(**chosen), **typed)

    own = inspect.signature(command, eval_str=True).parameters
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, kind, default=default, annotation=hint) for name, (hint, default) in _OPTIONS.items()
    ]
    # Typer asks a function for its parameters; these are the ones it is to hear of.
    parameters = [*options, *(each.replace(kind=kind) for name, each in own.items() if name != "given")]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions may have one
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    # Else its signature would be found instead.
    del called.__wrapped__
    return called
