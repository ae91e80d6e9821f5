"""What the body of an upstream's error says: whose fault it is, and until when.

Providers say in words what no header tells: out of credits, out of one model, too large for any limit. Gateways wrap
the provider's own JSON into the text of theirs, so the words are looked for in an error's texts, wherever they stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from codemie_core.accounts.moments import ahead, moment, seconds_of

_LONGEST_BODY = 256 * 1024
_LONGEST_TEXT = 4096
_MOST_VALUES = 2000
_DECODER = json.JSONDecoder()

_TELLING = frozenset(
    {
        *("type", "code", "message", "status", "reason", "detail", "error"),
        *("quotaId", "quotaMetric", "retryDelay", "quotaResetDelay", "quotaResetTimeStamp"),
        *("resets_at", "resets_in_seconds"),
    }
)
_DELAYS = frozenset({"retryDelay", "quotaResetDelay", "resets_in_seconds"})
_TIMES = frozenset({"quotaResetTimeStamp", "resets_at"})

_NO_CREDITS = re.compile(
    r"credit balance|insufficient[_ ](quota|credits?|balance|funds)|out of credits|billing[_ ]hard[_ ]limit|"
    r"billing_(error|not_active)|payment required|budget[_ ](has been )?exceeded|usage_not_included",
    re.IGNORECASE,
)
# Of a Gemini quota, per minute say, these words mean no more than that; of OpenAI they mean money.
_QUOTA_OR_MONEY = re.compile(r"exceeded your current quota", re.IGNORECASE)
# A 400 may quote the request. So these have to open the text, or the one that a gateway has wrapped.
_SAID_IN_A_400 = re.compile(
    r"(?:^|message\W{1,8}|exception\W{1,8})(?:"
    r"(?P<credits>your credit balance is too low|budget has been exceeded)|"
    r"(?P<spend>you have reached your specified api usage limits)|"
    r"(?P<disabled>this organization has been disabled)|"
    r"(?P<refused>api key (?:not valid|not found|expired)))|"
    r"^(?P<code>budget_exceeded|API_KEY_INVALID)$",
    re.IGNORECASE,
)
_OF_ONE_MODEL = re.compile(
    r"reached for [\w.:@/-]+ in (organization|project)|per_?(base_?)?model|capacity (available for|on this) model|"
    r"\bmodel: ?[\w.:@/-]+",
    re.IGNORECASE,
)
_TOO_MUCH_FOR_IT = re.compile(r"request too large for|extra usage is required", re.IGNORECASE)
_OVERLOADED = re.compile(r"overloaded|model_capacity_exhausted|no capacity available", re.IGNORECASE)
_PER_DAY = re.compile(r"per_?day", re.IGNORECASE)
_UNIT = r"(?:ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)"
_WAIT = re.compile(
    rf"\b(?:try again|retry|resets?)\s+(?:in|after)\s+((?:\d{{1,9}}(?:\.\d{{1,12}})?\s?{_UNIT}\b\s?){{1,5}}"
    rf"|(?:\d{{1,9}}(?:\.\d{{1,12}})?(?:ms|s|m|h|d)){{1,5}})",
    re.IGNORECASE | re.ASCII,
)
_LONG_UNITS = re.compile(r"(milliseconds?)|(sec(?:onds?)?)|(min(?:utes?)?)|(hours?)|(days?)|\s", re.IGNORECASE)
_SHORT_UNITS = ("", "ms", "s", "m", "h", "d")
_ACCESS_ON = re.compile(r"regain access on (\d{4}-\d{2}-\d{2}) at (\d{2}:\d{2}) UTC", re.ASCII)
_LIMIT_UNTIL = re.compile(r"limit reached\|(\d{10})\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Complaint:
    """All that one error says. `until` is in seconds since the epoch."""

    no_credits: bool = False
    spend_limit: bool = False
    """The limit that the account's owner has set is reached."""
    of_model: bool = False
    of_request: bool = False
    """This request is more than the account may ever ask for at once."""
    key_refused: bool = False
    disabled: bool = False
    overloaded: bool = False
    until: float | None = None


NO_COMPLAINT = Complaint()


def read_complaint(body: bytes, status: int, now: float) -> Complaint:
    """What the body of an error with this status says; nothing where it is no JSON."""
    said = list(_said(body)) if body else []
    if not said:
        return NO_COMPLAINT
    texts = [text for _, text in said]
    if status == 400:
        return _of_bad_request(texts, now)
    from_gemini = "RESOURCE_EXHAUSTED" in texts
    money = _any(_NO_CREDITS, texts) or (not from_gemini and _any(_QUOTA_OR_MONEY, texts))
    per_day = any(key in ("quotaId", "quotaMetric") and _PER_DAY.search(text) for key, text in said)
    return Complaint(
        no_credits=money,
        spend_limit=any(match["spend"] for match in _bad_request(texts)),
        of_model=_any(_OF_ONE_MODEL, texts),
        of_request=_any(_TOO_MUCH_FOR_IT, texts),
        overloaded=_any(_OVERLOADED, texts),
        # Of a quota per day Gemini still says "retry in 34 s".
        until=None if per_day else _until(said, now),
    )


def _of_bad_request(texts: list[str], now: float) -> Complaint:
    said = _bad_request(texts)
    codes = {match["code"].lower() for match in said if match["code"]}
    return Complaint(
        no_credits=any(match["credits"] for match in said) or "budget_exceeded" in codes,
        spend_limit=any(match["spend"] for match in said),
        disabled=any(match["disabled"] for match in said),
        key_refused=any(match["refused"] for match in said) or "api_key_invalid" in codes,
        until=_until([("message", text) for text in texts], now) if said else None,
    )


def _bad_request(texts: list[str]) -> list[re.Match[str]]:
    return [match for text in texts for match in _SAID_IN_A_400.finditer(text)]


def _any(pattern: re.Pattern[str], texts: list[str]) -> bool:
    return any(pattern.search(text) for text in texts)


def _until(said: list[tuple[str, str]], now: float) -> float | None:
    """The latest time that it names."""
    found = [at for key, text in said for at in _times(key, text, now) if at is not None]
    return max(found, default=None)


def _times(key: str, text: str, now: float) -> Iterator[float | None]:
    if key in _TIMES or key in _DELAYS:
        yield moment(text, now)
        return
    for match in _WAIT.finditer(text):
        short = _LONG_UNITS.sub(lambda unit: _SHORT_UNITS[unit.lastindex or 0], match[1]).lower()
        span = seconds_of(short)
        yield None if span is None else ahead(now + span, now)
    for match in _ACCESS_ON.finditer(text):
        yield _day(match[1], match[2], now)
    for match in _LIMIT_UNTIL.finditer(text):
        yield ahead(float(match[1]), now)


def _day(day: str, time: str, now: float) -> float | None:
    try:
        return ahead(datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC).timestamp(), now)
    except ValueError:
        return None


def _said(body: bytes) -> Iterator[tuple[str, str]]:
    """The values that tell what an error is about, with their keys. The JSON may stand in a stream or behind words."""
    if len(body) > _LONGEST_BODY:
        return
    text = body.decode("utf-8", "replace")
    start = text.find("{")
    try:
        pending: list[object] = [_DECODER.raw_decode(text, start)[0]] if start >= 0 else []
    except (ValueError, RecursionError):
        return
    left = _MOST_VALUES
    while pending and left:
        left -= 1
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, dict | list):
                    pending.append(inner)
                elif key in _TELLING and isinstance(inner, str | int | float) and not isinstance(inner, bool):
                    yield key, _text(inner)


def _text(value: str | int | float) -> str:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    return str(int(value)) if -1e15 < value < 1e15 else ""
