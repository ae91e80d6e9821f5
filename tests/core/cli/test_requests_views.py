import dataclasses
import os
from itertools import islice

from codemie_core.cli.requests_views import following, line
from codemie_core.places import Places
from codemie_core.store.database import open_database
from codemie_core.store.filters import Filter
from codemie_core.store.requests import page
from codemie_core.usage.record import AttemptRecord
from support.cli import call
from support.history_cli import keep, now_ms, refused, said, some_turns, table, told
from support.records import new_record, tool_use
from support.turn_rows import NOW, new_turn


def test_the_newest_stands_last() -> None:
    keep(some_turns())
    lines = table("requests")
    assert lines[0] == "Id When Agent Model Account Outcome Took Read From cache Written Cost"
    assert [request["id"][-1] for request in told("requests")] == ["1", "2", "3", "4", "5"]
    assert lines[-1].endswith("codex local-model main 200 2.5 s 30.5k 98% 300 ?")
    assert lines[-2].endswith("main 529 overloaded_error 2.5 s - - - -")
    assert lines[-3].endswith("main 200 2.5 s 30.5k 98% 300 $1.50")
    assert "The cost is not known" in call("requests").err
    assert len(table("requests", "-n", "2")) == 3
    assert said("requests", "--status", "error", "--agent", "codex") == "No turn matches.\n"


def test_a_request_is_told_with_attempts_tools_and_files() -> None:
    failed = AttemptRecord(1, "main", "api.anthropic.com:443", 529, "status", 40.0, 41.0)
    served = AttemptRecord(2, "spare", "api.anthropic.com:443", 200, "", 250.5, 2500.0)
    record = new_record(started_ms=now_ms(), tools=(tool_use("call-1"),), attempts=(failed, served))
    keep(some_turns(), [record])
    lines = table("requests", "show", record.id[:12])
    assert lines[0] == f"Request {record.id}"
    assert "Model claude-sonnet-4-5-20250929, asked for claude-sonnet-4-5" in lines
    assert "Asked of api.anthropic.com:443/v1/messages" in lines
    assert "Took 2.5 s, head after 250 ms, first token after 400 ms, 150 tokens/s" in lines
    assert "Tokens 12 read anew, 30,000 from cache, 500 into cache, 300 written" in lines
    assert "Cost $0.0154 (<$0.0001 read anew, $0.0090 from cache, $0.0019 into cache, $0.0045 written)" in lines
    assert "1 main api.anthropic.com:443 529 status 41 ms" in lines
    assert "2 spare api.anthropic.com:443 200 served 2.5 s" in lines
    assert "Write not told write src/new.py +10 -0" in lines
    shown = told("requests", "show", record.id)
    assert [attempt["status"] for attempt in shown["attempts"]] == [529, 200]
    assert shown["tools"][0]["ok"] is None


def test_what_is_not_known_of_a_request_is_not_nothing() -> None:
    unknown = dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"))
    keep([new_turn(1, started_ms=now_ms(), cost_nano_usd=None, terminal="client_cancelled", ok=False, **unknown)])
    lines = table("requests", "show", "last")
    assert ("Cost ?" in lines, "Tokens ?" in lines, "Outcome 200 client_cancelled" in lines) == (True, True, True)
    assert table("requests")[-1].endswith("200 client_cancelled 2.5 s ? - ? ?")


def test_a_request_that_is_not_there_is_an_error() -> None:
    assert refused("requests", "show", "last").startswith("there is no history yet")
    keep(some_turns())
    assert refused("requests", "show", "x") == "there is no request 'x'; codemie-proxy requests shows them"
    assert refused("requests", "show", "0000").startswith("several requests begin with '0000'")


def test_an_error_is_shown_without_secrets() -> None:
    error = "bad key sk-ant-api03-planted-planted-planted-planted"
    keep([new_turn(1, started_ms=now_ms(), ok=False, status=401, error=error)])
    assert "planted" not in said("requests") + said("requests", "show", "last")


def test_following_tells_each_turn_once_also_those_that_began_long_before_they_ended() -> None:
    keep([new_turn(1, started_ms=NOW)])
    later = iter(
        [
            [new_turn(2, started_ms=NOW + 10)],
            [],
            [new_turn(3, started_ms=NOW - 60_000), new_turn(4, started_ms=NOW + 20, model="other")],
        ]
    )
    database = open_database(Places.from_env(os.environ), os.environ)
    with database.reading() as connection:
        first = page(connection)
    asked = Filter(models=("claude-sonnet-4-5-20250929",))
    found = following(database, asked, first, wait=lambda: keep(next(later)))
    assert [[row["id"][-1] for row in rows] for rows in islice(found, 4)] == [["1"], ["2"], [], ["3"]]
    database.close()
    assert line(first[0]).endswith("200  2.5 s  30.5k read (98% from cache), 300 written  $0.0154")
    assert dataclasses.replace(asked, models=()) == Filter()
