"""What a model turn adds to its session's sums: one record for the turn, one for each tool result that it brought.

A call is counted with the turn that made it, so that one whose result never comes counts too; how it went, and what it
did to files, with the turn that tells. Ids are made of the ids of what is counted: told twice, it is the same record.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from codemie_core.metrics.delta import PENDING, Delta, FileChange, Tokens, ToolStatus, UserPrompt
from codemie_core.redact import redact_text
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.apis import MODEL_APIS
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import Record, ToolDone
from codemie_core.usage.usage import Usage

NAMESPACE = uuid.UUID("3d0f6a52-9c1e-5b7a-8f24-6e1b7c90d4a3")
"""Fixed for ever; also keeps our records apart from those of CodeMie's hooks."""
LONGEST_ERROR = 500
LONGEST_NAME = 200
# More prompts than anybody writes between two answers.
MOST_PROMPTS = 100

# Nobody upstream was asked, or what was asked is no concern of the model.
_NOT_ASKED = frozenset({"answered_locally", "refused"})
_FAILED = frozenset({"truncated", "upstream_error"})
# Tools that start something with a name of its own: the delta's field, and the argument that names it.
_STARTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Task": ("agent_invocations", ("subagent_type",)),
    "Agent": ("agent_invocations", ("subagent_type",)),
    "task": ("agent_invocations", ("subagent_type",)),
    "Skill": ("skill_invocations", ("skill", "command")),
    "skill": ("skill_invocations", ("name",)),
    "SlashCommand": ("command_invocations", ("command",)),
}


def deltas_of(record: Record) -> tuple[Delta, ...]:
    """In the order in which it happened: results first, for the request brought them. () for nothing to count."""
    if record.api not in MODEL_APIS:
        return ()
    results = [_result(record, done, number) for number, done in enumerate(record.done)]
    return (*results, *_turn(record))


def _turn(record: Record) -> Iterator[Delta]:
    if record.terminal in _NOT_ASKED and not record.prompts:
        return
    error = _error(record)
    answered = not error and (record.ok or bool(record.tools) or record.usage.output is not None)
    calls = [use.call for use in record.tools if record.complete or not use.call.cut]
    yield _delta(
        record,
        record.id,
        # The end, so that a session of one turn lasts as long as that turn.
        round(record.started_ms + record.total_ms),
        tokens=_tokens(record.usage),
        ai_requests=0 if record.terminal in _NOT_ASKED else 1,
        ai_responses=int(answered),
        tools=_counted(call.name for call in calls),
        models=(record.model,) if answered and record.model else None,
        # One entry each: CodeMie's tools count entries.
        user_prompts=(UserPrompt(count=1),) * min(record.prompts, MOST_PROMPTS) or None,
        api_error_message=error or None,
        **_started(calls),
    )


def _result(record: Record, done: ToolDone, number: int) -> Delta:
    """A result that does not say that it failed is a success, as CodeMie's tools have it."""
    failed = done.ok is False
    name = done.name or "unknown"
    whose = f"{done.record_id or record.id}:{done.call_id or f'{record.id}.{number}'}"
    return _delta(
        record,
        f"result:{record.conversation_id}:{whose}",
        record.started_ms,
        tool_status={name: ToolStatus(success=int(not failed), failure=int(failed))},
        file_operations=None if failed else tuple(_change(file) for file in done.files) or None,
        # What the tool said is the client's own. CodeMie's tools take had_errors from here.
        api_error_message=f"Tool failed: {name}"[:LONGEST_ERROR] if failed else None,
    )


def _delta(record: Record, whose: str, at_ms: int, **values: object) -> Delta:
    told = {name: value for name, value in values.items() if value is not None}
    branch = {"git_branch": record.labels.branch} if record.labels.branch else {}
    return Delta(
        record_id=str(uuid.uuid5(NAMESPACE, whose)),
        session_id=record.session_id,
        agent_session_id=record.conversation_id or record.session_id,
        timestamp=at_ms,
        **branch,
        **told,
        sync_status=PENDING,
        sync_attempts=0,
    )


def _tokens(usage: Usage) -> Tokens | None:
    """The older schema sums them, so what is unknown beside something known adds nothing."""
    if usage.total is None:
        return None
    cached = {"cache_creation": usage.cache_write, "cache_read": usage.cache_read}
    known = {name: count for name, count in cached.items() if count is not None}
    return Tokens(input=usage.input or 0, output=usage.output or 0, **known)


def _error(record: Record) -> str:
    """Why the model did not answer; "" when it did, or when the person stopped it. Never a body."""
    status = str(record.status) if record.status and record.status >= 400 else ""
    if record.terminal not in _FAILED and not (record.terminal == "complete" and status):
        return ""
    parts = ["API Error:", status, record.error or (record.terminal if record.terminal in _FAILED else "")]
    return redact_text(" ".join(" ".join(part for part in parts if part).split()))[:LONGEST_ERROR]


def _started(calls: Iterable[ToolCall]) -> dict[str, dict[str, int]]:
    """Which agents, skills and commands the calls start."""
    found: dict[str, Counter[str]] = {}
    for call in calls:
        field, arguments = _STARTERS.get(call.name, ("", ()))
        if field and (name := _argument(call, arguments)):
            found.setdefault(field, Counter())[name] += 1
    return {field: dict(counts) for field, counts in found.items()}


def _argument(call: ToolCall, names: Iterable[str]) -> str:
    try:
        given = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return ""
    values = (given.get(name) for name in names) if isinstance(given, dict) else ()
    # Of a command only its own word: the rest is what somebody typed.
    words = next((value.split() for value in values if isinstance(value, str) and value.strip()), [""])
    return words[0].removeprefix("/")[:LONGEST_NAME]


def _counted(names: Iterable[str]) -> dict[str, int] | None:
    return dict(Counter(name or "unknown" for name in names)) or None


def _change(file: FileOperation) -> FileChange:
    values = {
        "path": file.path,
        "format": file.format,
        "language": file.language,
        "pattern": redact_text(file.pattern),
        "lines_added": file.lines_added,
        "lines_removed": file.lines_removed,
    }
    return FileChange(type=file.type, **{name: value for name, value in values.items() if value not in (None, "")})
