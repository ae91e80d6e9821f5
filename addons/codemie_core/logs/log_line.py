"""Lines in the format of CodeMie's own log, made of records in the writer's thread.

    [2026-01-31T09:30:00.125Z] [DEBUG] [claude] [session id] [profile] [proxy-request] POST /v1/messages {
      "requestId": ...
    }

Whatever a stranger wrote is redacted and stripped of control characters before it becomes part of a line.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from codemie_core.agents import session_uuid
from codemie_core.logs.body_sample import BodySample, shown_encoded
from codemie_core.logs.log_problem import problem, problem_level
from codemie_core.logs.log_record import Answered, Asked, Encoded, Ended, Flowing, Record, Said
from codemie_core.logs.log_text import bare, free, pair, shown, shown_url, strings

if TYPE_CHECKING:
    from codemie_core.exchange import Exchange

OMITTED = "[omitted: session sync payload]"
MOST_OPEN = 10_000

_LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}
_SYNC_PATH = re.compile(r"/v1/+(?:metrics|conversations)(?:[/?;]|$)", re.IGNORECASE)


class _Whose(NamedTuple):
    """What all exchanges of one conversation with one model have in common."""

    prefix: str
    fields: str
    model: str


class LineFormat:
    """Renders records. `level` is the least that gets into the log, as `logging` numbers it."""

    def __init__(self, level: int = logging.DEBUG, profile: str = "", provider: str = "") -> None:
        self._level = level
        self._profile, self._provider = profile, provider
        self._second, self._date = -1, ""
        self._models: dict[str, str] = {}
        """By request id, of exchanges that have not ended; the oldest go when ends were dropped."""
        self._whose = lru_cache(maxsize=1024)(self._who)
        self._renderers: dict[type, Callable[[Any], str]] = {
            Asked: self._asked,
            Answered: self._answered,
            Flowing: self._flowing,
            Ended: self._ended,
            Said: self._said,
        }

    def render(self, record: Record) -> str:
        """The lines of one record, the last one ended; "" when the level says so."""
        return self._renderers[type(record)](record)

    def _asked(self, record: Asked) -> str:
        exchange = record.exchange
        if record.model:
            self._remember(exchange.request_id, record.model)
        if self._level > logging.DEBUG:
            return ""
        whose = self._owner(exchange)
        message = f"[proxy-request] {shown(exchange.method)} {shown_url(record.url)}"
        args = [whose.fields, *strings(record.fields), f'"bodySize": {record.size}', *_body(record.body)]
        return self._line(record.at, "DEBUG", exchange, message, args)

    def _answered(self, record: Answered) -> str:
        exchange = record.exchange
        message = f"[proxy-response-headers] {shown_url(exchange.path)}"
        return self._line(
            record.at, "DEBUG", exchange, message, [f'"statusCode": {record.status}', *strings(record.fields)]
        )

    def _flowing(self, record: Flowing) -> str:
        exchange = record.exchange
        return (
            f"[{self._stamp(record.at)}] [DEBUG] {self._owner(exchange).prefix} [proxy-streaming]"
            f' {shown_url(exchange.path)} {{\n  "requestId": "{exchange.request_id}",'
            f'\n  "chunk": {record.chunks},\n  "bytes": {record.size}\n}}\n'
        )

    def _ended(self, record: Ended) -> str:
        at, exchange = record.at, record.exchange
        lines = ""
        if exchange.scoped and self._level <= logging.DEBUG:
            lines = self._response_lines(record)
        level = problem_level(exchange)
        if level is not None and level >= self._level and exchange.scoped:
            message, args = problem(exchange)
            lines += self._line(at, _LEVELS[level], exchange, message, args)
        if self._level <= logging.INFO:
            whose = self._owner(exchange)
            told = access(exchange, whose.model, record.total_ms)
            lines += f"[{self._stamp(at)}] [INFO] {whose.prefix} [proxy-access] {told}\n"
        self._models.pop(exchange.request_id, None)
        return lines

    def _response_lines(self, record: Ended) -> str:
        exchange, url = record.exchange, shown_url(record.exchange.path)
        head = f"[{self._stamp(record.at)}] [DEBUG] {self._owner(exchange).prefix}"
        first = f'{{\n  "requestId": "{exchange.request_id}"'
        body = "".join(f",\n  {part}" for part in _body(record.body)) if record.body else ""
        lines = ""
        if exchange.status is not None:
            lines = (
                f"{head} [proxy-response] {exchange.status} {url} ({record.total_ms:.0f}ms) {first},"
                f'\n  "bytesSent": {exchange.response_bytes},\n  "chunks": {exchange.chunks}{body}\n}}\n'
            )
        if exchange.terminal in ("complete", "answered_locally"):
            lines += f"{head} [proxy-complete] {url} {first}\n}}\n"
        return lines

    def _said(self, record: Said) -> str:
        if record.level < self._level:
            return ""
        level = max(known for known in _LEVELS if known <= max(record.level, logging.DEBUG))
        source = f"[{shown(record.source)}] " if record.source else ""
        text = free(record.text)
        return f"[{self._stamp(record.at)}] [{_LEVELS[level]}] [system] {source}{text}\n"

    def _line(self, at: float, level: str, exchange: Exchange, message: str, args: list[str]) -> str:
        pairs = ",\n  ".join([f'"requestId": "{exchange.request_id}"', *args])
        return f"[{self._stamp(at)}] [{level}] {self._owner(exchange).prefix} {message} {{\n  {pairs}\n}}\n"

    def _owner(self, exchange: Exchange) -> _Whose:
        conversation = exchange.conversation_id or exchange.run_id
        model = self._models.get(exchange.request_id, "")
        return self._whose(exchange.agent.name, exchange.fixed_session_id, conversation, model)

    def _who(self, agent: str, fixed_session: str, conversation: str, model: str) -> _Whose:
        # As Exchange.session_id, which would make the uuid anew for each line.
        session = fixed_session or session_uuid(agent, conversation)
        profile = f" [{shown(self._profile)}]" if self._profile else ""
        common = {
            "sessionId": session,
            "agent": agent,
            "profile": self._profile,
            "provider": self._provider,
            "model": model,
        }
        fields = ",\n  ".join(strings(tuple((name, value) for name, value in common.items() if value)))
        return _Whose(f"[{agent}] [{shown(session)}]{profile}", fields, f"agent={agent} model={bare(model)}")

    def _remember(self, request_id: str, model: str) -> None:
        self._models[request_id] = model
        if len(self._models) > MOST_OPEN:
            del self._models[next(iter(self._models))]

    def _stamp(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second, self._date = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{int((at - second) * 1000):03d}Z"


def access(exchange: Exchange, whose: str, total_ms: float) -> str:
    """The one line of an exchange for grep and awk: no value holds a space, "-" stands for what is unknown."""
    path = exchange.path if exchange.scoped else ""
    first = exchange.first_byte_ms
    account = f" account={bare(exchange.account)}" if exchange.account else ""
    return (
        f"request_id={exchange.request_id} {_where(exchange.client_key, exchange.method, exchange.host, path)}"
        f" {whose} status={exchange.status or '-'} end={exchange.terminal} attempts={len(exchange.attempts)}"
        f" first_byte_ms={'-' if first is None else round(first)} total_ms={round(total_ms)}"
        f" bytes_in={exchange.request_bytes} bytes_out={exchange.response_bytes}{account}"
    )


@lru_cache(maxsize=1024)
def _where(client_key: str, method: str, host: str, path: str) -> str:
    url = shown_url(path).replace(" ", "%20") or "-"
    return f"client_key={bare(client_key)} method={bare(method)} host={bare(host)} path={url}"


def is_session_sync(path: str) -> bool:
    """Does this path carry what CodeMie's tools report about sessions? Their bodies are nobody's business here."""
    return _SYNC_PATH.search(unquote(path)) is not None


def _body(body: BodySample | Encoded | str | None) -> list[str]:
    if body is None or (isinstance(body, BodySample) and not body.size):
        return []
    if isinstance(body, Encoded):
        return [pair("body", shown_encoded(body.data, body.encoding, body.limit))]
    return [pair("body", body.shown() if isinstance(body, BodySample) else body)]
