"""Did a command succeed? Read from what Codex tells the model, whose API has no field for it.

CodeMie counts every result of Codex as a success. The exit code is on the wire, so it is read: a command that failed
is a failure. A result that names no exit code stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from codemie_core.json_text import loads
from codemie_core.usage.json_values import table, text

_HEAD = 2000
"""Characters: the code stands before the command's own output, which could say anything."""
# Codex 0.169: exec_command and write_stdin; apply_patch and the shell tool, alone or called by exec_command.
_EXITED = re.compile(r"(?:\A|\n)Process exited with code (-?\d{1,6})(?=\n|\Z)")
_EXIT_CODE = re.compile(r"\A(?:Wall time: [^\n]{1,40}\nOutput:\n)?Exit code: (-?\d{1,6})\nWall time: ")
_OUTPUT = "\nOutput:"
_REFUSED = (
    "failed to parse function arguments: ",
    "unsupported call: ",
    "unsupported custom tool call: ",
    "exec_command failed: ",
    "write_stdin failed: ",
    "apply_patch verification failed: ",
    "unable to locate image at ",
)


def outcome_of(item: Mapping[str, object]) -> bool | None:
    """Of an output item of the Responses API; None where it does not say.

    Known: {"metadata": {"exit_code": 1}} and {"success": false} as JSON, Codex' texts, outcomes of shell_call, and the
    status of apply_patch_call.
    """
    status, output = item.get("status"), item.get("output")
    if status in ("failed", "completed") and item.get("type") == "apply_patch_call_output":
        return status == "completed"
    if isinstance(output, list):
        codes = [_exit_code(table(table(row).get("outcome"))) for row in output]
        if known := [code for code in codes if code is not None]:
            return all(code == 0 for code in known)
        output = next((found for row in output if (found := text(table(row).get("text")))), "")
    if isinstance(output, dict):
        return _of_table(output)
    return _of_text(output) if isinstance(output, str) else None


def _of_text(output: str) -> bool | None:
    if output.startswith("{"):
        return _of_table(table(loads(output)))
    head = output[:_HEAD]
    if found := _EXIT_CODE.match(head) or _EXITED.search(head.partition(_OUTPUT)[0]):
        return int(found[1]) == 0
    return False if output.startswith(_REFUSED) else None


def _of_table(output: Mapping[str, object]) -> bool | None:
    code = _exit_code(table(output.get("metadata")))
    if code is not None:
        return code == 0
    success = output.get("success")
    return success if isinstance(success, bool) else None


def _exit_code(said: Mapping[str, object]) -> int | None:
    if said.get("type") == "timeout":
        return -1
    code = said.get("exit_code")
    return code if type(code) is int else None
