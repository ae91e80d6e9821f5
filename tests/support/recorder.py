"""A script for mitmproxy that writes each `exchange_done` down, and the way to read it back.

`Mitmproxy(scripts=(BUNDLE, recorder.SCRIPT), env=recorder.env(file))`, then `recorder.records(file)`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__)
_VARIABLE = "RECORDER_FILE"


class Recorder:
    """One JSON line per exchange, appended and closed at once: it survives whatever ends the process."""

    def exchange_done(self, exchange: Any) -> None:
        attempts = [
            {
                "n": attempt.number,
                "status": attempt.status,
                "reason": str(attempt.failure.reason) if attempt.failure else None,
                "reused": attempt.reused_connection,
            }
            for attempt in exchange.attempts
        ]
        record = {
            "request_id": exchange.request_id,
            "scoped": exchange.scoped,
            "method": exchange.method,
            "path": exchange.path,
            "terminal": str(exchange.terminal),
            "status": exchange.status,
            "error": exchange.error,
            "response_bytes": exchange.response_bytes,
            "attempts": attempts,
        }
        with Path(os.environ[_VARIABLE]).open("a") as file:
            file.write(json.dumps(record) + "\n")


def env(file: Path) -> dict[str, str]:
    """The environment for the process that is to write to `file`."""
    return {_VARIABLE: str(file)}


def records(file: Path) -> list[dict[str, Any]]:
    """What was recorded so far, in order; a line half written is not there yet."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for_records(file: Path, count: int, timeout: float = 60.0) -> list[dict[str, Any]]:
    """At least `count` records; fails with those there are."""
    deadline = time.monotonic() + timeout
    while len(found := records(file)) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} exchanges are done: {found}"
        time.sleep(0.01)
    return found


addons = [Recorder()]
