"""Requests as HTTP Archive 1.2 (http://www.softwareishard.com/blog/har-12-spec/).

Headers and bodies are there only where they were kept, and then without secrets. What HAR has no word for is in
`_codemie`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from codemie_core import __version__
from codemie_core.cli.history_json import moment, turn

if TYPE_CHECKING:
    from codemie_core.store.payloads import Message, StoredPayload
    from codemie_core.store.requests import Turn

_CREATOR = {"name": "codemie-proxy", "version": __version__}
_NOT_KEPT = "unknown"


def har_lines(turns: Iterable[Turn], payload_of: Callable[[str], StoredPayload | None]) -> Iterator[str]:
    """One JSON text, in pieces: an entry a line."""
    head = json.dumps({"log": {"version": "1.2", "creator": _CREATOR, "entries": []}})
    before, _, after = head.rpartition("]")
    yield before
    separator = "\n"
    for each in turns:
        yield separator + json.dumps(entry(each, payload_of(each.row["id"])))
        separator = ",\n"
    yield f"\n]{after}\n"


def entry(found: Turn, payload: StoredPayload | None = None) -> dict[str, Any]:
    """One request with its answer. A status of 0 says that there was none."""
    row = found.row
    total = max(0.0, row["total_ms"])
    wait = min(total, max(0.0, row["head_ms"] if row["head_ms"] is not None else total))
    return {
        "startedDateTime": moment(row["started_ms"]),
        "time": total,
        "request": _request(row, payload.request if payload else None),
        "response": _response(row, payload.response if payload else None),
        "cache": {},
        "timings": {"send": 0, "wait": wait, "receive": total - wait},
        "_codemie": turn(found),
    }


def _request(row: Mapping[str, Any], kept: Message | None) -> dict[str, Any]:
    path, _, query = row["path"].partition("?")
    shown: dict[str, Any] = {
        "method": row["method"],
        "url": f"{_scheme(row['host'])}://{row['host'].removesuffix(':443')}{quote(path, safe='/%:@!$&+,;=~*()')}",
        "httpVersion": _NOT_KEPT,
        "cookies": [],
        "headers": _headers(kept),
        "queryString": _pairs(parse_qsl(query, keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": row["request_bytes"],
    }
    if kept is not None:
        shown["postData"] = {"mimeType": _mime(kept, "application/json"), "params": [], "text": kept.body}
    return shown


def _scheme(host: str) -> str:
    # It is not kept. Only on this machine does anybody do without TLS.
    return "http" if host.startswith(("127.", "localhost", "[::1]", "::1")) else "https"


def _response(row: Mapping[str, Any], kept: Message | None) -> dict[str, Any]:
    mime = "text/event-stream" if row["streamed"] else "application/json"
    content: dict[str, Any] = {"size": row["response_bytes"], "mimeType": mime}
    if kept is not None:
        content = {"size": kept.bytes, "mimeType": _mime(kept, mime), "text": kept.body}
    status = row["status"] or 0
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in HTTPStatus else "",
        "httpVersion": _NOT_KEPT,
        "cookies": [],
        "headers": _headers(kept),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": row["response_bytes"],
    }


def _headers(kept: Message | None) -> list[dict[str, str]]:
    return [] if kept is None else _pairs(kept.headers)


def _pairs(pairs: Iterable[Sequence[str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _mime(kept: Message, otherwise: str) -> str:
    return next((value for name, value in kept.headers if name.lower() == "content-type"), otherwise)
