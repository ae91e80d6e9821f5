from codemie_core.store.database import Database
from codemie_core.store.filters import Filter
from codemie_core.store.history import save_records
from codemie_core.store.sessions import FileChange, changed_files, last_session, sessions
from codemie_core.usage.operation import FileOperation
from support import turn_rows
from support.records import new_record, told, tool_use
from support.turn_rows import DAY, NOW, new_turn

TURNS = turn_rows.random_turns(5, 300)


def test_the_one_used_last_comes_first_with_what_is_counted_of_it(database: Database) -> None:
    with database.writing() as connection:
        turn_rows.store(connection, TURNS)
    for asked in (Filter(), Filter(since_ms=NOW - 5 * DAY), Filter(projects=("shop",), status="ok")):
        turns = turn_rows.matching(TURNS, asked)
        wanted = turn_rows.grouped(turns, "session", turn_rows.figures)
        with database.reading() as connection:
            found = sessions(connection, asked)
            assert last_session(connection, asked) == found[0].id
            assert [each.id for each in sessions(connection, asked, 3)] == [each.id for each in found[:3]]
        order = sorted(wanted, key=lambda key: (-(wanted[key].last_ms or 0), key))
        assert [each.id for each in found] == order
        for each in found:
            assert each.figures.cost_nano_usd == wanted[each.id].cost_nano_usd
            assert each.figures.requests == wanted[each.id].requests


def test_names_are_told_and_whether_there_are_several(database: Database) -> None:
    with database.writing() as connection:
        turn_rows.store(
            connection, [new_turn(1, model="b", account=""), new_turn(2, model="a"), new_turn(3, session_id="other")]
        )
    with database.reading() as connection:
        first, other = sorted(sessions(connection), key=lambda session: session.id)
    assert (first.model, first.agent, first.account) == ("a", "claude", "main")
    assert (first.several, other.several) == (frozenset({"model"}), frozenset())


def test_without_turns_there_is_none(database: Database) -> None:
    with database.reading() as connection:
        assert sessions(connection) == []
        assert last_session(connection) is None
        assert changed_files(connection) == []


def test_files_are_told_with_the_lines_that_are_known(database: Database) -> None:
    edits = [
        FileOperation("edit", "a.py", "py", "Python", 3, 1),
        FileOperation("edit", "a.py", "py", "Python", None, None),
        FileOperation("read", "never.py", "py", "Python"),
        FileOperation("delete", "b.md", "md", "Markdown"),
    ]
    record = new_record(tools=tuple(tool_use(f"call-{n}", "Edit", edit) for n, edit in enumerate(edits)))
    refused = new_record(
        session_id=record.session_id,
        tools=(tool_use("call-x", "Edit", FileOperation("edit", "a.py", "py", "Python", 99, 99)),),
    )
    later = new_record(session_id="other", done=(told("call-x", False, refused.id), told("call-0", True, record.id)))
    with database.writing() as connection:
        save_records(connection, [record, refused, later])
    with database.reading() as connection:
        assert changed_files(connection, Filter(sessions=(record.session_id,))) == [
            FileChange("a.py", "Python", 2, 3, 1),
            FileChange("b.md", "Markdown", 1, None, None),
        ]
        assert changed_files(connection, Filter(sessions=("other",))) == []
        assert len(changed_files(connection, limit=1)) == 1
