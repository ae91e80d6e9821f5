"""The metric that CodeMie's API gets: the sums over a session's new records, one metric per git branch.

On the wire both schemas are {"name", "attributes"}, which is what the API takes. The older description of v1 puts
`metric_name` and `time` beside the attributes: the name goes under "name", the time among the attributes. No attribute
is a map: the backend drops documents that hold one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from codemie_core.metrics.attributes import UNKNOWN, Sums, short_path, summed, tellable_errors
from codemie_core.metrics.delta import Delta, moment_ms
from codemie_core.metrics.session import ACTIVE, Session

type Schema = Literal["v1", "v2"]

NAMES: Mapping[Schema, str] = {"v1": "codemie_coding_agent_usage", "v2": "codemie_cli_tool_usage_total"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One document for the API, and the records that are in it."""

    branch: str
    name: str
    attributes: Mapping[str, object]
    record_ids: tuple[str, ...]

    def body(self) -> bytes:
        """The bytes to send: the same for the same metric, always."""
        document = {"name": self.name, "attributes": dict(self.attributes)}
        return json.dumps(document, separators=(",", ":")).encode()


def aggregate(
    deltas: Iterable[Delta],
    session: Session,
    *,
    schema: Schema,
    agent_version: str,
    client_type: str = "",
    final: bool = False,
) -> list[Metric]:
    """One metric per branch, in the order in which the branches appear. A record that comes twice counts once.

    `client_type` is used where the session does not name its client; `final` says that nothing more will come.
    """
    branches: dict[str, dict[str, Delta]] = {}
    seen: set[str] = set()
    for delta in deltas:
        if delta.record_id not in seen:
            seen.add(delta.record_id)
            branches.setdefault(delta.git_branch or session.git_branch or "", {})[delta.record_id] = delta
    metrics = []
    for branch, records in branches.items():
        told = tuple(records.values())
        sums = summed(told)
        identity = {
            "agent": session.agent_name,
            "agent_version": agent_version,
            "llm_model": sums.model or session.model or UNKNOWN,
        }
        if schema == "v1":
            attributes = {**identity, **_v1(sums, session, branch, final)}
        else:
            client = session.client_type or client_type
            attributes = {**identity, "codemie_client": client, **_v2(sums, session, branch, told)}
        metrics.append(Metric(branch, NAMES[schema], attributes, tuple(records)))
    return metrics


def _v1(sums: Sums, session: Session, branch: str, final: bool) -> dict[str, object]:
    """The first schema, with the attributes of its description and of the code that first sent it."""
    last = max(sums.times, default=moment_ms(session.start_time) or 0)
    return {
        "project": session.project or short_path(session.working_directory),
        "session_id": session.session_id,
        "git_branch": branch,
        "time": datetime.fromtimestamp(last / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "total_user_prompts": sums.prompts,
        "total_ai_requests": sums.requests,
        "total_ai_responses": sums.responses,
        "total_input_tokens": sums.input,
        "total_output_tokens": sums.output,
        "total_cache_read_input_tokens": sums.cache_read,
        "total_cache_creation_tokens": sums.cache_creation,
        **_tools(sums),
        **_files(sums),
        "lines_added": sums.lines_added,
        "lines_removed": sums.lines_removed,
        "session_duration_ms": sums.duration_ms(session.start_time),
        "exit_reason": session.reason or "",
        "had_errors": sums.had_errors,
        "status": session.status,
        "is_final": final or session.status != ACTIVE,
        "count": 1,
    }


def _v2(sums: Sums, session: Session, branch: str, deltas: tuple[Delta, ...]) -> dict[str, object]:
    """Today's schema. It knows no tokens."""
    errors = tellable_errors(sums, session.agent_name)
    lists = {"error_tools": errors.tools, "error_messages": errors.messages, "api_errors": errors.api}
    told = {name: list(values) for name, values in lists.items() if values}
    return {
        "repository": short_path(session.repository or session.working_directory),
        "session_id": session.correlation.agent_session_id or deltas[0].agent_session_id or session.session_id,
        "branch": branch,
        **({"project": session.project} if session.project else {}),
        "total_user_prompts": sums.prompts,
        "tool_names": sums.tool_names,
        **_tools(sums),
        **_files(sums),
        "session_duration_ms": sums.duration_ms(session.start_time),
        "had_errors": sums.had_errors and bool(told),
        "schema_version": 2,
        "count": 1,
        **told,
    }


def _tools(sums: Sums) -> dict[str, object]:
    return {
        "total_tool_calls": sums.tools.total(),
        "successful_tool_calls": sums.succeeded,
        "failed_tool_calls": sums.failed,
    }


def _files(sums: Sums) -> dict[str, object]:
    """Every write counts as a file created, also of one that was there, as CodeMie has it."""
    return {
        "files_created": sums.files["write"],
        "files_modified": sums.files["edit"],
        "files_deleted": sums.files["delete"],
        "total_lines_added": sums.lines_added,
        "total_lines_removed": sums.lines_removed,
    }
