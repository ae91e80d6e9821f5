from pathlib import Path

import pytest

from codemie_core.cli.history_book import NOTHING_YET, Given, HistoryBook, request_id, session_id
from codemie_core.errors import SettingsError
from codemie_core.store.filters import Filter
from support.cli import call
from support.history_cli import OTHER, SESSION, keep, said, some_turns
from support.turn_rows import new_turn


def asked(**given: object) -> Filter:
    book = HistoryBook(clock=lambda: 1_000_000.0)
    with book.database() as database:
        assert database is not None
        with database.reading() as connection:
            return book.filter(connection, Given(**given))  # type: ignore[arg-type]  # fields of Given, by name


def refusal(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        asked(**given)
    return str(caught.value)


@pytest.fixture
def history() -> None:
    keep(some_turns())


def test_a_look_makes_no_database(codemie_home: Path) -> None:
    with HistoryBook().database() as database:
        assert database is None
    for command in (["stats"], ["sessions"], ["requests"], ["stats", "--last-session"], ["stats", "--by", "model"]):
        assert said(*command) == f"{NOTHING_YET}\n"
    assert not codemie_home.exists()


@pytest.mark.parametrize("command", ["stats", "sessions", "requests", "export --csv"])
@pytest.mark.parametrize(
    "typed, words",
    [
        ("--since 5parsecs", "--since 5parsecs: write "),
        ("--status bad", "--status bad: write ok or error"),
        ("--since today --until yesterday", "--until yesterday is not after --since today"),
    ],
)
def test_what_is_typed_wrongly_is_wrong_before_there_is_a_history_too(command: str, typed: str, words: str) -> None:
    outcome = call(*command.split(), *typed.split())
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"codemie-proxy: {words}")


def test_a_database_without_turns_has_no_history_either() -> None:
    keep([])
    for command in (["stats"], ["sessions"], ["requests"]):
        assert said(*command) == f"{NOTHING_YET}\n"


def test_names_may_be_whole_begun_or_patterns(history: None) -> None:
    sonnet = "claude-sonnet-4-5-20250929"
    assert asked(models=(sonnet,)).models == (sonnet,)
    assert asked(models=("claude",)).models == (sonnet,)
    assert asked(models=("*-model", "claude-*")).models == ("local-model", sonnet)
    assert asked(projects=("-",)).projects == ("",)
    assert asked(branches=("main", "feature/")).branches == ("main", "feature/x")
    assert asked(accounts=("spare",), agents=("codex",), status="error") == Filter(
        accounts=("spare",), agents=("codex",), status="error"
    )


def test_a_whole_name_is_not_the_start_of_another() -> None:
    keep([new_turn(1, project="shop"), new_turn(2, project="shop-admin")])
    assert asked(projects=("shop",)).projects == ("shop",)
    assert asked(projects=("sho",)).projects == ("shop", "shop-admin")


def test_a_name_that_nothing_has_is_an_error_with_the_nearest(history: None) -> None:
    assert refusal(models=("claude-sonet-4-5-20250929",)) == (
        "--model claude-sonet-4-5-20250929: no turn has that; did you mean 'claude-sonnet-4-5-20250929'?"
    )
    assert refusal(projects=("zebra",)) == "--project zebra: no turn has that; there are shop"
    assert refusal(client_keys=("ann",)) == "--key ann: no turn has one yet"
    assert refusal(status="good") == "--status good: write ok or error"


def test_time_that_ends_before_it_begins_is_refused(history: None) -> None:
    assert asked(since="1d", until="1h") == Filter(since_ms=913_600_000, until_ms=996_400_000)
    assert refusal(since="1h", until="1d") == "--until 1d is not after --since 1h"


def test_sessions_and_requests_are_found_by_how_they_begin(history: None) -> None:
    with HistoryBook().database() as database:
        assert database is not None
        with database.reading() as connection:
            assert session_id(connection, "last") == OTHER
            assert session_id(connection, "5e551071") == SESSION
            assert request_id(connection, "last").endswith("05")
            assert request_id(connection, "00000000-0000-4000-8000-000000000003").endswith("03")
            with pytest.raises(
                SettingsError, match=r"several sessions begin with '5e55107': 5e551071-.*Write more of it"
            ):
                session_id(connection, "5e55107")
            for nobody in ("x", ""):
                with pytest.raises(SettingsError, match=r"there is no request .*; codemie-proxy requests shows them"):
                    request_id(connection, nobody)
    assert asked(sessions=("last", "5e551071")).sessions == (OTHER, SESSION)


def test_a_turn_of_a_websocket_is_found_as_the_list_shows_it() -> None:
    socket = "0badcafe-0000-4000-8000-000000000001"
    keep([new_turn(id=f"{socket}.{n}") for n in (1, 2, 12)])
    shown = [line.split()[0] for line in said("requests").splitlines()[1:]]
    assert sorted(shown) == ["0badcafe.1", "0badcafe.12", "0badcafe.2"]
    with HistoryBook().database() as database:
        assert database is not None
        with database.reading() as connection:
            assert [request_id(connection, each) for each in shown] == [f"{socket}{each[8:]}" for each in shown]
            with pytest.raises(SettingsError, match=r"there is no request '0badcafe\.3'"):
                request_id(connection, "0badcafe.3")
