"""CodeMie's hooks, as a metrics file meets them: another process that appends whenever it likes, without a lock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType

# Like appendFile of Node's fs: open for appending, write, close; for each record anew.
_WRITER = """
import sys
for command in sys.stdin:
    path, _, hexed = command.strip().partition(" ")
    with open(path, "ab", buffering=0) as file:
        file.write(bytes.fromhex(hexed))
    print("done", flush=True)
"""


class Hooks:
    """One foreign process; a context manager. `append` returns once the bytes are written."""

    def __enter__(self) -> Hooks:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def append(self, path: Path, data: bytes) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path} {data.hex()}\n")
        assert self._process.stdout.readline() == "done\n"


def hook_line(record_id: str, **fields: object) -> bytes:
    """A record as CodeMie's hooks write it, with everything that they know and we do not."""
    record = {
        "recordId": record_id,
        "sessionId": "5e551071-0000-4000-8000-00000000000c",
        "agentSessionId": "a9e27000-0000-4000-8000-000000000001",
        "timestamp": "2026-08-21T10:00:00.000Z",
        "gitBranch": "main",
        "tools": {"Edit": 1, "Bash": 1},
        "toolStatus": {"Edit": {"success": 1, "failure": 0}, "Bash": {"success": 0, "failure": 1}},
        "skillInvocations": {"codemie:msgraph": 1},
        "agentInvocations": {"Explore": 1},
        "commandInvocations": {"tech-lead": 1},
        "fileOperations": [
            {
                "type": "edit",
                "path": "/p/a.ts",
                "format": "ts",
                "language": "typescript",
                "linesAdded": 5,
                "linesRemoved": 3,
                "linesModified": 2,
                "durationMs": 12,
            }
        ],
        "models": ["claude-sonnet-4-6"],
        "apiErrorMessage": "API Error: ...",
        "userPrompts": [{"count": 1, "text": 'say "syncStatus":"pending" \u2028 ünïcode'}],
        "syncStatus": "pending",
        "syncAttempts": 0,
        **fields,
    }
    # ensure_ascii off and compact: what JSON.stringify makes of it.
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
