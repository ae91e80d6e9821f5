"""The shared folder of sessions: ours is ours, CodeMie's is CodeMie's, and neither writes over the other."""

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codemie_core.metrics import session_files as module
from codemie_core.metrics.delta import Delta
from codemie_core.metrics.session import Session, as_text, new_session
from codemie_core.metrics.session_files import Found, SessionFiles, file_name
from codemie_core.places import Places
from support.hooks import hook_line
from support.records import new_record

SESSION = "5e551071-0000-4000-8000-000000000001"


@pytest.fixture
def files(tmp_path: Path) -> SessionFiles:
    return SessionFiles(Places(tmp_path / "home"))


def ours(run_id: str = "run") -> Session:
    return new_session(new_record(session_id=SESSION, run_id=run_id), "ai-run-sso")


def theirs(files: SessionFiles, **changes: object) -> Path:
    """A session file as CodeMie's CLI makes it."""
    files.folder.mkdir(parents=True, exist_ok=True)
    path = files.folder / f"{SESSION}.json"
    path.write_bytes(
        as_text({"sessionId": SESSION, "agentName": "claude", "correlation": {"status": "matched"}, **changes})
    )
    return path


def content(found: Found) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(found.path.read_bytes())
    return parsed


def put_aside(files: SessionFiles, *ends: str) -> None:
    """As CodeMie's CLI does at the end of a session."""
    for end in ends:
        (files.folder / f"{SESSION}{end}").rename(files.folder / f"completed_{SESSION}{end}")


@pytest.mark.parametrize("layout,folder", [("current", "sessions"), ("seed", "metrics/sessions")])
def test_a_session_is_made_where_the_layout_says_and_for_nobody_else_to_read(
    tmp_path: Path, layout: module.Layout, folder: str
) -> None:
    files = SessionFiles(Places(tmp_path), layout)
    found = files.open(ours())
    found.journal.append(Delta(record_id="a"))
    assert files.folder == tmp_path / folder
    assert found.path == files.folder / f"{SESSION}.json"
    assert found.journal.path == files.folder / f"{SESSION}_metrics.jsonl"
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in sorted(files.folder.iterdir())] == [0o600, 0o600]
    assert (found.ours, found.completed, found.session) == (True, False, ours())


def test_opening_again_changes_nothing(files: SessionFiles) -> None:
    path = files.open(ours()).path
    before = path.stat()
    assert files.open(ours()).ours
    assert path.stat() == before


def test_a_session_that_codemies_cli_made_is_not_ours_and_stays_as_it_is(files: SessionFiles) -> None:
    path = theirs(files)
    before = path.read_bytes()
    found = files.open(ours())
    assert found.session is not None
    assert not found.ours
    assert not files.note_synced(found, synced=1, failed=0, at_ms=1)
    assert not files.close(found, status="completed", reason="exit", at_ms=1)
    assert path.read_bytes() == before


def test_a_session_that_codemies_cli_made_in_the_same_moment_is_not_overwritten(
    files: SessionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: Path, target: Path) -> None:
        theirs(files)
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    assert not files.open(ours()).ours
    assert [path.name for path in files.folder.iterdir()] == [f"{SESSION}.json"], "and no draft is left"


def test_a_session_is_the_clis_from_the_moment_in_which_it_makes_the_file_anew(files: SessionFiles) -> None:
    assert files.open(ours()).ours
    theirs(files)
    found = files.find(SESSION)
    assert found is not None
    assert not found.ours


def test_a_session_of_ours_that_the_cli_changed_stays_ours_and_keeps_the_change(files: SessionFiles) -> None:
    found = files.open(ours())
    found.path.write_bytes(as_text({**content(found), "activeDurationMs": 77, "reason": "interrupted"}))
    assert files.note_synced(found, synced=3, failed=1, at_ms=1_755_780_000_000)
    assert files.note_synced(found, synced=2, failed=0, at_ms=1_755_780_300_000)
    now = content(found)
    assert (now["activeDurationMs"], now["reason"], now["createdBy"]) == (77, "interrupted", "codemie-proxy")
    assert now["sync"]["metrics"] == {
        "lastProcessedTimestamp": 1_755_780_300_000,
        "processedRecordIds": [],
        "totalDeltas": 6,
        "totalSynced": 5,
        "totalFailed": 1,
        "lastSyncAt": 1_755_780_300_000,
    }


@pytest.mark.parametrize(
    "state", [None, {}, {"metrics": None}, {"metrics": {"totalSynced": "many"}, "conversations": {"kept": 1}}]
)
def test_counters_that_somebody_broke_are_begun_anew(files: SessionFiles, state: dict[str, Any] | None) -> None:
    found = files.open(ours())
    found.path.write_bytes(as_text({**content(found), "sync": state}))
    assert files.note_synced(found, synced=3, failed=0, at_ms=7)
    now = content(found)["sync"]
    assert (now["metrics"]["totalSynced"], now["metrics"]["lastSyncAt"]) == (3, 7)
    assert now.get("conversations") == (state or {}).get("conversations")


def test_a_change_by_the_cli_while_we_write_is_not_lost(files: SessionFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    found = files.open(ours())
    real, times = module._draft, [2]

    def drafted(path: Path, text: bytes) -> Any:
        if times[0]:
            times[0] -= 1
            path.write_bytes(as_text({**json.loads(path.read_bytes()), "activeDurationMs": 50 + times[0]}))
        return real(path, text)

    monkeypatch.setattr(module, "_draft", drafted)
    assert files.close(found, status="completed", reason="exit", at_ms=5)
    now = content(found)
    assert (now["activeDurationMs"], now["status"], now["reason"], now["endTime"]) == (50, "completed", "exit", 5)


def test_a_cli_that_never_lets_go_is_an_answer_not_an_overwrite(
    files: SessionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files.open(ours())
    real, written = module._draft, [0]

    def drafted(path: Path, text: bytes) -> Any:
        written[0] += 1
        path.write_bytes(as_text({**json.loads(path.read_bytes()), "activeDurationMs": written[0]}))
        return real(path, text)

    monkeypatch.setattr(module, "_draft", drafted)
    assert not files.close(found, status="completed", reason="exit", at_ms=5)
    assert (content(found)["status"], content(found)["activeDurationMs"]) == ("active", written[0])


def test_a_session_that_had_ended_goes_on_with_the_next_turn(files: SessionFiles) -> None:
    files.close(files.open(ours()), status="completed", reason="exit", at_ms=5)
    found = files.open(ours("another run"))
    now = content(found)
    assert (now["status"], now["runId"]) == ("active", "another run")
    assert not {"endTime", "reason"} & now.keys()
    assert found.session is not None
    assert found.session.run_id == "another run"


def test_what_the_cli_put_aside_is_found_and_goes_on_there(files: SessionFiles) -> None:
    files.open(ours()).journal.append(Delta(record_id="a"))
    put_aside(files, ".json", "_metrics.jsonl")
    found = files.open(ours())
    found.journal.append(Delta(record_id="b"))
    assert (found.ours, found.completed) == (True, True)
    assert found.journal.path.name == f"completed_{SESSION}_metrics.jsonl"
    assert len(found.journal.read().pending) == 2
    assert [(each.session_id, each.completed) for each in files.all()] == [(SESSION, True)]


@pytest.mark.parametrize("moved", [".json", "_metrics.jsonl"])
def test_a_session_that_is_just_being_put_aside_is_whole(files: SessionFiles, moved: str) -> None:
    files.open(ours()).journal.append(Delta(record_id="a"))
    put_aside(files, moved)
    for found in (files.find(SESSION), *files.all(), files.open(ours())):
        assert found is not None
        assert found.ours
        assert [entry.delta.record_id for entry in found.journal.read().entries] == ["a"]
    assert len(files.all()) == 1


def test_all_names_every_metrics_file_and_every_session_without_one(files: SessionFiles) -> None:
    files.folder.mkdir(parents=True)
    for name in ("b", "completed_c", "orphan", "completed_b"):
        (files.folder / f"{name}_metrics.jsonl").write_bytes(hook_line("a"))
    for name in ("b", "completed_c", "bare"):
        (files.folder / f"{name}.json").write_bytes(as_text({"sessionId": name}))
    (files.folder / "b_conversation.jsonl").write_bytes(b"{}\n")
    (files.folder / "index.json").write_bytes(b'{"version": 1}')
    found = {(each.session_id, each.completed): each.session is not None for each in files.all()}
    assert found == {
        ("b", False): True,
        ("b", True): True,
        ("c", True): True,
        ("orphan", False): False,
        ("bare", False): True,
    }


def test_metrics_without_metadata_become_ours_once_we_open_the_session(files: SessionFiles) -> None:
    files.folder.mkdir(parents=True)
    (files.folder / f"{SESSION}_metrics.jsonl").write_bytes(hook_line("a"))
    found = files.find(SESSION)
    assert found is not None
    assert (found.session, found.ours) == (None, False)
    assert files.open(ours()).ours


def test_a_folder_that_is_not_there_holds_no_sessions(files: SessionFiles) -> None:
    assert files.all() == []
    assert files.find(SESSION) is None


def test_a_file_that_the_cli_is_writing_is_waited_for(files: SessionFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.open(ours()).path
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda _: path.write_bytes(whole)))
    assert files.open(ours()).ours


def test_damaged_metadata_is_nobodys_to_write(files: SessionFiles) -> None:
    path = theirs(files)
    path.write_bytes(b"{ damaged")
    found = files.open(ours())
    assert not found.ours
    assert not files.close(found, status="completed", reason="exit", at_ms=1)
    assert path.read_bytes() == b"{ damaged"


@pytest.mark.parametrize("session_id", ["../../escape", "a/b", "", ".hidden", "completed_x", "x" * 300, "a\0b", "ü b"])
def test_an_id_that_is_no_file_name_stays_in_the_folder(files: SessionFiles, session_id: str) -> None:
    found = files.open(new_session(new_record(session_id=session_id), "ai-run-sso"))
    assert found.path.parent == found.journal.path.parent == files.folder
    assert found.ours
    again = files.find(session_id)
    assert again is not None
    assert again.path == found.path
    assert file_name(session_id) != session_id
    assert file_name(SESSION) == SESSION
