"""`codemie-proxy metrics`: what would be sent, and sending it."""

import json

from support.cli import call, run
from support.metrics_api import PATH, MetricsApi, Reply
from support.metrics_cli import api, room, shown, status
from support.metrics_room import MetricsRoom

__all__ = ["api", "room"]


def test_sync_sends_what_waits(room: MetricsRoom, api: MetricsApi) -> None:
    outcome = call("metrics", "sync")
    assert (outcome.code, outcome.out) == (0, "Sent 3 records, 0 wait.\n")
    assert len(api.came) == 2
    assert status()["records"] == {"synced": 3}
    assert status()["batches"] == {"marked": 2}
    assert call("metrics", "sync").out == "Nothing waits.\n"


def test_a_dry_run_prints_exactly_what_is_sent_then_and_touches_nothing(room: MetricsRoom, api: MetricsApi) -> None:
    printed = call("metrics", "sync", "--dry-run").out
    listed = shown("sync", "--dry-run")
    assert isinstance(listed, list)
    assert (api.came, room.marks(), status()["waiting"]) == ([], {"a": "pending", "b": "pending"}, 3)
    call("metrics", "sync")
    assert [each["body"] for each in listed] == [came.body.decode() for came in api.came]
    for came, each in zip(api.came, listed, strict=True):
        assert f"\n\n{came.body.decode()}\n" in printed
        assert f"X-CodeMie-Request-ID: {came.key}\n" in printed
        assert {name: came.header(name) for name in each["headers"]} == each["headers"]
        assert (each["url"], came.path) == (f"{api.url}/v1/metrics", PATH)
        secret = came.header("cookie").partition("=")[2].partition(";")[0]
        assert secret
        assert secret not in printed + json.dumps(listed)
    assert call("metrics", "sync", "--dry-run").out == "Nothing waits.\n"


def test_what_cannot_be_sent_is_said_and_ends_with_1(room: MetricsRoom, api: MetricsApi) -> None:
    api.then = Reply(400, '{"code": 400, "message": "not such a one"}')
    outcome = call("metrics", "sync")
    assert (outcome.code, outcome.out) == (1, "Sent 0 records, 3 wait.\n")
    assert "Not sent: it answered 400: not such a one" in outcome.err
    assert "not such a one" in str(status()["problem"])
    assert "Last problem   it answered 400" in call("metrics", "status").out


def test_without_a_sign_in_it_names_the_command(room: MetricsRoom) -> None:
    for path in room.places.credentials.iterdir():
        path.unlink()
    outcome = call("metrics", "sync", "--json")
    assert outcome.code == 1
    assert "codemie-proxy auth login" in str(json.loads(outcome.out)["problem"])


def test_as_a_process_of_its_own(room: MetricsRoom, api: MetricsApi) -> None:
    outcome = run("metrics", "sync")
    assert (outcome.code, outcome.out) == (0, "Sent 3 records, 0 wait.\n")
    assert len(api.came) == 2
