from pathlib import Path

from codemie_core.cli.history_names import known, request_ids
from support.history_cli import keep, some_turns


def test_names_of_the_history_are_offered() -> None:
    keep(some_turns())
    assert known("model")("") == ["claude-sonnet-4-5-20250929", "local-model"]
    assert known("model")("l") == ["local-model"]
    assert known("project")("") == ["shop"]
    assert [name[:8] for name in known("session")("")] == ["5e551072", "5e551071", "5e551073"]
    assert len(request_ids("0000")) == 5
    assert request_ids("x") == []


def test_where_there_is_nothing_it_is_silent_and_makes_nothing(codemie_home: Path) -> None:
    assert (known("model")(""), known("nonsense")(""), request_ids("")) == ([], [], [])
    assert not codemie_home.exists()
    codemie_home.mkdir()
    (codemie_home / "proxy").write_text("in the way")
    assert known("model")("") == []
