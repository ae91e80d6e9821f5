import csv
import io
import json
from pathlib import Path

import pytest

from codemie_core.places import Places
from codemie_core.store.database import open_database
from codemie_core.store.payloads import Payload, pack, save_payloads
from codemie_core.store.secrets import set_vault_checks
from codemie_core.vault import open_vault
from support.cli import call
from support.history_cli import keep, now_ms, refused, said, some_turns
from support.records import new_record, tool_use
from support.turn_rows import new_turn

ENVIRON = {"CODEMIE_KEYRING": "0"}


@pytest.fixture(autouse=True)
def without_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEMIE_KEYRING", "0")


def test_each_format_has_every_turn_oldest_first() -> None:
    keep(some_turns())
    ids = [f"00000000-0000-4000-8000-{n:012}" for n in range(1, 6)]
    assert [row["id"] for row in csv.DictReader(io.StringIO(said("export", "--csv")))] == ids
    assert [json.loads(line)["id"] for line in said("export", "--jsonl").splitlines()] == ids
    assert [each["_codemie"]["id"] for each in json.loads(said("export", "--har"))["log"]["entries"]] == ids
    filtered = said("export", "--jsonl", "--status", "error")
    assert [json.loads(line)["status"] for line in filtered.splitlines()] == [529]


def test_lines_of_json_hold_what_belongs_to_a_turn() -> None:
    keep(records=[new_record(started_ms=now_ms(), tools=(tool_use("call-1"),))])
    [line] = said("export", "--jsonl").splitlines()
    found = json.loads(line)
    assert (len(found["attempts"]), found["tools"][0]["name"], found["files"][0]["path"]) == (1, "Write", "src/new.py")


def test_without_history_it_is_empty_and_makes_no_database(codemie_home: Path) -> None:
    assert said("export", "--jsonl") == ""
    assert said("export", "--csv").startswith("id,conversation_id")
    assert json.loads(said("export", "--har", "--bodies"))["log"]["entries"] == []
    assert not codemie_home.exists()


def test_the_format_is_said_or_seen_from_the_file(tmp_path: Path) -> None:
    keep(some_turns())
    assert refused("export") == "say which format: --csv, --jsonl or --har"
    assert refused("export", "--csv", "--har") == "--csv, --jsonl and --har do not go together: choose one"
    assert refused("export", "--csv", "--bodies") == "--bodies goes with --har only"
    outcome = call("export", "--out", str(tmp_path / "all.jsonl"), "--since", "1d")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"4 requests written to {tmp_path / 'all.jsonl'}\n"
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 4
    assert refused("export", "--out", str(tmp_path / "all.jsonl")).endswith("is there already; --force replaces it")


def test_what_comes_meanwhile_is_not_in_it() -> None:
    keep([*some_turns(), new_turn(9, started_ms=now_ms() + 3_600_000)])
    assert len(said("export", "--jsonl").splitlines()) == 5


def test_bodies_are_in_an_archive_when_they_were_kept_and_asked_for(codemie_home: Path) -> None:
    turns = some_turns()
    keep(turns)
    database = open_database(Places(codemie_home), ENVIRON)
    vault = open_vault(Places(codemie_home), ENVIRON, {}, may_create=True)
    payload = Payload.of(turns[1]["started_ms"], 4096)
    payload.request(b'{"model": "planted-question"}')
    payload.response(b"planted-answer")
    with database.writing() as connection:
        set_vault_checks(connection, {vault.key_id: vault.check()}, 0)
        save_payloads(connection, vault, [pack(turns[1]["id"], payload)])
    database.close()
    assert "planted" not in said("export", "--har")
    entries = json.loads(said("export", "--har", "--bodies"))["log"]["entries"]
    assert entries[1]["request"]["postData"]["text"] == '{"model": "planted-question"}'
    assert entries[1]["response"]["content"]["text"] == "planted-answer"
    assert "postData" not in entries[0]["request"]
