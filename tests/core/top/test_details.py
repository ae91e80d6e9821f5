from codemie_core.top import details
from codemie_core.top.board import Turn
from codemie_core.top.shapes import Account, Request, Session
from support.top_admin import NOW, TopAdmin


def test_what_is_not_known_has_no_line() -> None:
    assert [name for name, _ in details.of_turn(Turn(Request(id="r", model="m"), "start"))] == ["Request", "Model"]
    assert "Until" not in dict(details.of_account(Account(id="a", name="n")))


def test_an_account_that_needs_somebody_says_what_to_run() -> None:
    account = Account(id="a", name="n", state="sign in again", remedy="codemie-proxy auth login anthropic --name n")
    assert dict(details.of_account(account))["To mend it"] == "codemie-proxy auth login anthropic --name n"


def test_a_session_says_what_it_cost() -> None:
    assert dict(details.of_session(Session(id="s", cost_usd=0.5, requests=3)))["Cost"] == "$0.5000"


async def test_why_is_told_in_lines_or_why_not() -> None:
    admin = TopAdmin()
    client = admin.connect(1, "planted-token")
    assert await details.why(client, "r") == [("Why", "There is no /api/exchanges/r/why.")]
    admin.answers["/api/exchanges/r/why"] = {"lines": ["one", "\x1b[2Jtwo"]}
    [(_, words)] = await details.why(client, "r")
    assert words == "one\n�[2Jtwo"


async def test_the_turns_of_a_session_stand_one_below_the_other() -> None:
    admin = TopAdmin()
    admin.answers["/api/requests"] = [
        {"id": "2", "timestamp": NOW * 1000},
        {"id": "1", "timestamp": NOW * 1000, "model": "m", "statusCode": 200, "totalTokens": 12, "costUsd": 0.5},
    ]
    [_, (name, words)] = await details.turns(admin.connect(1, "planted-token"), "s")
    first, second = words.splitlines()
    assert name == "Turns"
    assert first.split()[1:] == ["m", "200", "12", "$0.5000", "-"]
    assert second.split()[1:] == ["-", "-", "-", "-", "-"]
