"""Exchanges to be logged, and the log read back: strictly, so that a record torn or mixed with another one shows."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemie_core.agents import CLAUDE
from codemie_core.errors import Api
from codemie_core.exchange import Exchange, Terminal
from codemie_core.policy import Failure

_LINE = re.compile(
    r"\[(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\] \[(?P<level>DEBUG|INFO|WARN|ERROR)\] "
    r"\[(?P<owner>[\w.-]+)\] (?:\[(?P<session>(?!proxy-)[^\]]*)\] )?(?:\[(?P<profile>(?!proxy-)[^\]]*)\] )?"
    r"(?:\[(?P<kind>proxy-[a-z-]+)\] ?)?(?P<words>.*?)(?P<opens> ?\{)?"
)


@dataclass
class Entry:
    """One record of a log file."""

    at: str
    level: str
    owner: str
    kind: str
    """proxy-request and so on; "" for words of the system."""
    words: str
    args: dict[str, Any] = field(default_factory=dict)
    """The JSON of a record, the pairs of an access line."""

    @property
    def request_id(self) -> str:
        return str(self.args.get("requestId") or self.args.get("request_id") or "")


def entries(text: str) -> list[Entry]:
    """All records; AssertionError where something is no record."""
    found = []
    lines = iter(text.split("\n")[:-1])
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match, f"no record begins like this: {line!r}"
        args: dict[str, Any] = {}
        if match["opens"]:
            block = ["{"]
            while block[-1] != "}":
                block.append(next(lines, "}"))
            args = json.loads("\n".join(block))
        elif match["kind"] == "proxy-access":
            args = dict(pair.partition("=")[::2] for pair in match["words"].split(" "))
        found.append(Entry(match["at"], match["level"], match["owner"], match["kind"] or "", match["words"], args))
    return found


def log_of(home: Path) -> str:
    """Everything logged below a CodeMie home."""
    return "".join(path.read_text() for path in sorted((home / "logs").glob("debug-*.log")))


def wait_for_log(home: Path, ready: Callable[[list[Entry]], bool], timeout: float = 60.0) -> list[Entry]:
    """The records once they are `ready`; fails with those there are."""
    deadline = time.monotonic() + timeout
    while True:
        text = log_of(home) if (home / "logs").is_dir() else ""
        if _is_whole(text) and ready(found := entries(text)):
            return found
        assert time.monotonic() < deadline, f"the log is not ready:\n{text[-4000:]}"
        time.sleep(0.02)


def _is_whole(text: str) -> bool:
    """Does it end with a record? What is just being written may be there up to any of its lines."""
    if not text.endswith("\n"):
        return False
    last = text.splitlines()[-1]
    match = _LINE.fullmatch(last)
    return last == "}" or (match is not None and not match["opens"])


async def written(home: Path, ready: Callable[[list[Entry]], bool], timeout: float = 60.0) -> list[Entry]:
    """The same, while an upstream or a client goes on in this loop."""
    return await asyncio.to_thread(wait_for_log, home, ready, timeout)


def count(kind: str, number: int) -> Callable[[list[Entry]], bool]:
    """Are there so many records of a kind?"""
    return lambda found: sum(entry.kind == kind for entry in found) >= number


def exchange(*failures: Failure | None, **changes: Any) -> Exchange:
    """A small call that ended well, with an attempt for each failure or success named."""
    made = Exchange(
        request_id=str(uuid.uuid4()),
        api=Api.ANTHROPIC,
        agent=CLAUDE,
        scoped=True,
        method="POST",
        host="api.example.com",
        path="/v1/messages",
        conversation_id="conversation",
    )
    for failure in failures or (None,):
        attempt = made.begin_attempt("api.example.com", 443)
        attempt.failure, attempt.ended_ms = failure, 12.4
        attempt.status = failure.status if failure else 200
    made.status, made.terminal = 200, Terminal.COMPLETE
    made.first_byte_ms, made.request_bytes, made.response_bytes, made.chunks = 11.6, 80, 200, 3
    for name, value in changes.items():
        setattr(made, name, value)
    return made
