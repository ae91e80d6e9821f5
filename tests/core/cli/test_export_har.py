import json
from datetime import datetime
from typing import Any

from codemie_core import __version__
from codemie_core.cli.export_har import entry, har_lines
from codemie_core.store.payloads import Message, StoredPayload
from codemie_core.store.requests import Turn
from support.turn_rows import NOW, new_turn

# What HAR 1.2 asks for, by object: names and the types of their values.
RULES: dict[str, dict[str, Any]] = {
    "entry": {
        "startedDateTime": str,
        "time": (int, float),
        "request": dict,
        "response": dict,
        "cache": dict,
        "timings": dict,
    },
    "request": {
        **{"method": str, "url": str, "httpVersion": str, "cookies": list, "headers": list, "queryString": list},
        **{"headersSize": int, "bodySize": int},
    },
    "response": {
        **{"status": int, "statusText": str, "httpVersion": str, "cookies": list, "headers": list, "content": dict},
        **{"redirectURL": str, "headersSize": int, "bodySize": int},
    },
    "content": {"size": int, "mimeType": str},
    "timings": {"send": (int, float), "wait": (int, float), "receive": (int, float)},
    "postData": {"mimeType": str, "params": list, "text": str},
}


def check(name: str, value: dict[str, Any]) -> None:
    for key, kind in RULES[name].items():
        assert isinstance(value[key], kind), (name, key)
        if key in RULES:
            check(key, value[key])


def archive(*turns: Turn) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(har_lines(turns, lambda _: None)))
    return found["log"]


def test_it_is_an_archive_also_without_entries() -> None:
    assert archive() == {
        "version": "1.2",
        "creator": {"name": "codemie-proxy", "version": __version__},
        "entries": [],
    }


def test_entries_have_all_that_the_format_asks_for() -> None:
    turns = [
        Turn(new_turn(1, started_ms=NOW)),
        Turn(new_turn(2, status=None, ok=False, head_ms=None, host="[::1]:8080", path="/v1/a b", streamed=False)),
        Turn(new_turn(3, status=529, head_ms=9_999.0)),
    ]
    log = archive(*turns)
    for found in log["entries"]:
        check("entry", found)
        assert datetime.fromisoformat(found["startedDateTime"]).tzinfo is not None
        assert sum(found["timings"].values()) == found["time"]
        assert all(span >= 0 for span in found["timings"].values())
    first, second, third = log["entries"]
    assert first["request"]["url"] == "https://api.anthropic.com/v1/messages"
    assert second["request"]["url"] == "http://[::1]:8080/v1/a%20b"
    assert (first["response"]["statusText"], second["response"]["status"]) == ("OK", 0)
    assert (third["response"]["status"], third["response"]["statusText"]) == (529, "")
    assert first["_codemie"]["cost_usd"] == 0.015411
    assert "postData" not in first["request"]
    assert "text" not in first["response"]["content"]


def test_what_was_kept_is_in_it() -> None:
    asked = Message([("content-type", "application/json; charset=utf-8"), ("x-api-key", "***")], '{"model": "m"}', 14)
    answered = Message([("content-type", "text/event-stream")], "data: {}\n\n", 10)
    found = entry(Turn(new_turn(1)), StoredPayload(asked, answered, NOW))
    check("entry", found)
    check("postData", found["request"]["postData"])
    assert found["request"]["postData"]["text"] == '{"model": "m"}'
    assert found["request"]["headers"][1] == {"name": "x-api-key", "value": "***"}
    assert found["response"]["content"] == {"size": 10, "mimeType": "text/event-stream", "text": "data: {}\n\n"}
