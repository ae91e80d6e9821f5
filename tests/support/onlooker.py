"""A script for mitmproxy with two chunk observers per response: one appends what it sees to a file, one raises."""

from __future__ import annotations

import os
from pathlib import Path

from mitmproxy import http

from codemie_core.exchange import exchange_of

SCRIPT = Path(__file__)
_VARIABLE = "ONLOOKER_FILE"


class Onlooker:
    """Registers its observers before the response head goes out, as any addon would."""

    def request(self, flow: http.HTTPFlow) -> None:
        exchange_of(flow).observers += [_write, _fail]


def env(file: Path) -> dict[str, str]:
    """The environment for the process that is to write to `file`."""
    return {_VARIABLE: str(file)}


def _write(data: bytes) -> None:
    with Path(os.environ[_VARIABLE]).open("ab") as file:
        file.write(data)


def _fail(_: bytes) -> None:
    raise RuntimeError("this observer always fails")


addons = [Onlooker()]
