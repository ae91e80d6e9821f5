"""Sessions out of what flows keep."""

from types import SimpleNamespace

from codemie_core.inspection.sessions import session_lines


def flow(session: str, **more: object) -> SimpleNamespace:
    facts = {"session_id": session, "agent": "claude", "turns": 1, "read": 1000, "written": 20, "nano_usd": 10**7}
    return SimpleNamespace(metadata={f"codemie.{name}": value for name, value in (facts | more).items()})


def test_each_session_is_one_line() -> None:
    flows = [
        flow("s1", account="main"),
        flow("s2", agent="codex", nano_usd=None, unpriced=1),
        flow("s1", account="spare", turns=2),
        flow("s1", account="main"),
        flow("", turns=1),
        flow("s3", turns=0),
    ]
    assert session_lines(flows) == [
        "s1 claude: 4 turns, 3,000 read, 60 written, $0.0300, account main, spare",
        "s2 codex: 1 turn, 1,000 read, 20 written, ?",
    ]


def test_when_there_is_none_it_is_said() -> None:
    assert session_lines([]) == ["no session has asked a model yet"]
