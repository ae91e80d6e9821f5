"""The table of what real agents did, which their own suite writes into docs/agents.md."""

import json
from pathlib import Path

import pytest

from support.agents_doc import BEGIN, END, Cell, Found, Results, table, write_table
from support.agents_npm import MANIFEST, PACKAGES, version

PAGE = Path(__file__).parents[1] / "docs" / "agents.md"


def results() -> Results:
    return Results(
        {
            Cell("claude", "base-url", "tool call"): Found("passed", 3.4, "2.1"),
            Cell("claude", "base-url", "three turns"): Found("failed", 12.0, "2.1"),
            Cell("codex", "https-proxy", "tool call"): Found("skipped", 0.0, "0.169"),
            Cell("codex", "", "a limit"): Found("passed", 5.0, "0.169"),
        }
    )


def test_the_table_has_a_row_for_each_client_and_way_in_and_tells_what_was_not_tested() -> None:
    assert table(results()).splitlines() == [
        "| Client | Way in | tool call | three turns |",
        "| --- | --- | --- | --- |",
        "| claude 2.1 | base-url | yes, 3 s | **no**, 12 s |",
        "| codex 0.169 | https-proxy | not tested |  |",
        "",
        "| Client | What happens | Alone gives up, with a pool of two goes on |",
        "| --- | --- | --- |",
        "| codex 0.169 | a limit | yes, 5 s |",
    ]


def test_the_table_goes_between_its_marks_and_leaves_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(page, results())
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n| Client ")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert "old" not in text


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="has no lines"):
        write_table(page, results())
    assert page.read_text() == "nothing"


def test_results_survive_their_file(tmp_path: Path) -> None:
    file = tmp_path / "build" / "agents.json"
    assert Results.read(file).cells == {}
    results().write(file)
    assert Results.read(file) == results()


def test_the_page_shows_the_versions_that_are_pinned() -> None:
    shown = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    assert [name for name in PACKAGES if f"| {name} {version(name)} |" not in shown] == []


def test_versions_are_exact_and_of_every_agent() -> None:
    pinned = json.loads(MANIFEST.read_text())["dependencies"]
    assert pinned.keys() == set(PACKAGES.values())
    assert all(number.replace(".", "").isdigit() for number in pinned.values())
