"""Sums over the records of one session and branch, and the clean-up that CodeMie's backend asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from codemie_core.metrics.delta import Delta, moment_ms
from codemie_core.redact import redact_text

MOST_ERROR_TOOLS = 100
MOST_ERRORS = 200
LONGEST_TOOL_NAME = 200
LONGEST_ERROR = 500
UNKNOWN = "unknown"

# Output of shells: nobody's business. Of other agents CodeMie excludes the last three.
_EXCLUDED: Mapping[str, frozenset[str]] = {
    "claude": frozenset({"Bash"}),
    "opencode": frozenset({"bash"}),
    "pi": frozenset({"bash"}),
}
_EXCLUDED_ELSEWHERE = frozenset({"Bash", "Execute", "Shell"})
_NO_NAME = re.compile(r'[\x00-\x1f\x7f<>"]')
# ECMA-48: strings such as titles and links, control sequences, single escapes.
_ANSI = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-Z\\^-~]"
)
# What is cut off afterwards must not hide a secret's beginning from the search for secrets.
_LOOKED_AT = 8 * LONGEST_ERROR


@dataclass(slots=True)
class Sums:
    """Added up, delta by delta."""

    prompts: int = 0
    requests: int = 0
    responses: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    tools: Counter[str] = field(default_factory=Counter)
    succeeded: int = 0
    failed: int = 0
    files: Counter[str] = field(default_factory=Counter)
    lines_added: int = 0
    lines_removed: int = 0
    models: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    error_tools: list[str] = field(default_factory=list)
    error_messages: list[str] = field(default_factory=list)
    api_errors: list[str] = field(default_factory=list)
    had_errors: bool = False

    @property
    def tool_names(self) -> list[str]:
        """Sorted, each as often as it was called: the backend drops documents that hold a map of counts."""
        return sorted(self.tools.elements())

    @property
    def model(self) -> str:
        """The most frequent one, of equals the first; "" when nobody says."""
        # Counter keeps the order in which they came, and max the first of equals.
        return max(self.models, key=self.models.__getitem__, default="")

    def duration_ms(self, session_start: float) -> int:
        """What the records span; of a single moment, the time since the session began."""
        began = moment_ms(session_start)
        if not self.times:
            return 0
        span = max(self.times) - min(self.times)
        return span or (0 if began is None else max(0, max(self.times) - began))

    def add(self, delta: Delta) -> None:
        """Count one record."""
        self.prompts += len(delta.user_prompts or ())
        self._add_turn(delta)
        for name, count in (delta.tools or {}).items():
            if clean := clean_tool_name(name):
                self.tools[clean] += max(0, count)
        for name, status in (delta.tool_status or {}).items():
            if clean_tool_name(name):
                self.succeeded += status.success
                self.failed += status.failure
        for change in delta.file_operations or ():
            self.files[change.type] += 1
            self.lines_added += change.lines_added or 0
            self.lines_removed += change.lines_removed or 0
        if (moment := delta.timestamp_ms) is not None:
            self.times.append(moment)
        if delta.api_error_message:
            self._add_error(delta, delta.api_error_message)

    def _add_turn(self, delta: Delta) -> None:
        self.models.update(delta.models or ())
        if delta.tokens is not None:
            self.input += delta.tokens.input
            self.output += delta.tokens.output
            self.cache_read += delta.tokens.cache_read or 0
            self.cache_creation += delta.tokens.cache_creation or 0
        # CodeMie's hooks do not say which of their records are turns: those that name a model or count tokens are.
        answered = bool(delta.models or delta.tokens)
        failed = bool(delta.api_error_message) and not delta.failures
        self.requests += int(answered or failed) if delta.ai_requests is None else delta.ai_requests
        self.responses += int(answered and not failed) if delta.ai_responses is None else delta.ai_responses

    def _add_error(self, delta: Delta, message: str) -> None:
        self.had_errors = True
        for name, status in (delta.tool_status or {}).items():
            clean = clean_tool_name(name)
            if status.failure > 0 and clean and clean not in self.error_tools:
                self.error_tools.append(clean)
        messages = self.error_messages if delta.failures else self.api_errors
        if len(messages) < MOST_ERRORS:
            messages.append(clean_message(message))


@dataclass(frozen=True, slots=True)
class Errors:
    """What may be told of them."""

    tools: tuple[str, ...]
    messages: tuple[str, ...]
    api: tuple[str, ...]


def tellable_errors(sums: Sums, agent: str) -> Errors:
    """Without what shells printed.

    Messages are not tied to tools, so with one excluded tool among the failed ones none of the messages is told.
    """
    failed = sums.error_tools[:MOST_ERROR_TOOLS]
    excluded = _EXCLUDED.get(agent, _EXCLUDED_ELSEWHERE)
    hidden = [name for name in failed if name in excluded]
    told = tuple(name for name in failed if name not in excluded)
    messages: Sequence[str] = sums.error_messages if told else ()
    if hidden:
        messages = [f"Excluded tool failed: {name}" for name in hidden]
    return Errors(told, tuple(messages), tuple(sums.api_errors))


def summed(deltas: Iterable[Delta]) -> Sums:
    """The sums of these records."""
    sums = Sums()
    for delta in deltas:
        sums.add(delta)
    return sums


def clean_tool_name(name: str) -> str:
    """Without control characters and markup; "" for what is no name then."""
    clean = _NO_NAME.sub("", name).strip()
    return "" if " " in clean else clean[:LONGEST_TOOL_NAME]


def clean_message(message: str) -> str:
    """Plain text without colors and secrets, of a bounded length."""
    plain = _ANSI.sub("", message[:_LOOKED_AT]).replace("\r\n", "\n")
    return redact_text(plain.replace("\x1b", ""))[:LONGEST_ERROR]


def short_path(path: str) -> str:
    """The last two parts of a repository or folder: who sees the metric need not see where things are."""
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".")]
    if not parts or (len(parts) == 1 and re.fullmatch(r"[A-Za-z]:", parts[0])):
        return UNKNOWN
    return "/".join(parts[-2:])
