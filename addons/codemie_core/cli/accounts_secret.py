"""The secret of an account, taken from a hidden prompt or a pipe; never from the command line, never shown."""

from __future__ import annotations

import sys
from contextlib import aclosing

import typer
from pydantic import SecretStr

from codemie_core.accounts.typed_secret import LONGEST, checked
from codemie_core.errors import SettingsError

_STDIN = 0


class Prompts:
    """Asks for one secret after the other: unseen on a terminal, else a line of standard input each."""

    def __init__(self) -> None:
        from codemie_core.sso.paste import can_ask

        self._person = sys.stdin.isatty()
        if self._person and not can_ask(_STDIN):
            raise SettingsError("nobody can be asked for a secret in the background; pipe it in")

    def secret(self, what: str, source: str) -> SecretStr:
        """The next secret. `what` is asked for, `source` says how to pipe it in. SettingsError: there is none."""
        text = self._typed(what) if self._person else _piped(what, source)
        return checked(text, what)

    def _typed(self, what: str) -> str:
        from codemie_core.cli.auth_context import run
        from codemie_core.sso.paste import hidden, lines

        async def first() -> str:
            # Not before: whoever sees this may type, or press Ctrl-C.
            typer.echo(f"{what[:1].upper()}{what[1:]} (it stays hidden), Enter:", err=True)
            async with aclosing(lines(_STDIN, LONGEST)) as arriving:
                async for line in arriving:
                    return line
            return ""

        with hidden(_STDIN):
            return run(first())


def _piped(what: str, source: str) -> str:
    line = sys.stdin.buffer.readline(LONGEST + 2)
    if not line:
        raise SettingsError(f"{what} is missing: standard input is empty. Pipe it in, {source}")
    return line.decode("utf-8", "replace")
