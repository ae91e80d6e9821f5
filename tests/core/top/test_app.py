from pathlib import Path

import pytest

from codemie_core.running import this_process
from support.histories import until
from support.top_admin import NOW, TopAdmin, account, start, summary
from support.top_screen import SIZE, register, screen


async def test_one_screen_shows_accounts_sessions_requests_and_cost(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    admin.answers["/api/accounts"] = [account("work"), account("spare", state="paused", stateInWords="paused: rest")]
    admin.answers["/api/sessions"] = {
        "items": [{"id": "s-1", "agent": "claude-code", "project": "shop", "requests": 4}]
    }
    async with screen(codemie_home, admin) as seen:
        await seen.shows("127.0.0.1:8080 → api.anthropic.com", "up 1 h 06 min", "● live")
        await seen.shows("3 requests, 100% ok", "$1.50", "1/2 accounts ready")
        await seen.shows("Accounts (2)", "work", "paused: rest", "Sessions (1)", "shop")
        lines = seen.text.splitlines()
        assert len(lines) == SIZE[1]
        assert all(len(line) == SIZE[0] for line in lines)


async def test_a_live_row_appears_while_a_request_is_open_and_is_counted_at_its_end(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    async with screen(codemie_home, admin, clock=NOW + 3) as seen:
        admin.live.say(**start("r"))
        await seen.shows("claude-sonnet-4-5 claude-code", "waiting", "3.0s", "1 open")
        admin.live.say(type="first_token", id="r")
        await seen.shows("streaming")
        admin.live.say(**summary("r", totalTokens=1234, costUsd=0.0154))
        await seen.shows("200", "1,234", "$0.0154", "2.5s", "0 open")


async def test_names_from_outside_are_shown_and_not_obeyed(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    admin.live.say(**start("r", model="[red]x[/]\x1b[2J", agentUsed="[@click=quit]a[/]"))
    admin.answers["/api/accounts"] = [account("[b]bold[/b]", state="limited", stateInWords="[i]\x07")]
    async with screen(codemie_home, admin) as seen:
        await seen.shows("[red]x[/]", "[b]bold[/b]", "[i]")
        assert "\x1b" not in seen.text
        await seen.press("3", "enter")
        await seen.shows("[red]x[/]", "Request")


async def test_the_numbers_show_one_list_or_all(codemie_home: Path) -> None:
    register(codemie_home)
    async with screen(codemie_home, TopAdmin()) as seen:
        await seen.shows("Accounts (2)", "Requests")
        await seen.press("2")
        await until(lambda: "Accounts" not in seen.text and "Requests" not in seen.text)
        await seen.shows("Sessions")
        await seen.press("0")
        await seen.shows("Accounts (2)", "Sessions", "Requests")


async def test_space_pauses_the_chosen_account_and_has_it_back(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    async with screen(codemie_home, admin) as seen:
        await seen.shows("spare")
        await seen.press("1", "down", "space")
        await seen.shows("Did pause.")
        assert admin.posted == [("/api/accounts/id-spare/pause", {})]
        admin.answers["/api/accounts"] = [account("spare", paused=True, state="paused", stateInWords="paused")]
        await seen.shows("paused")
        await seen.press("space")
        await until(lambda: admin.posted[-1] == ("/api/accounts/id-spare/resume", {}))


async def test_nothing_is_paused_that_nobody_can_see_to_be_chosen(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    async with screen(codemie_home, admin) as seen:
        await seen.shows("spare")
        await seen.press("3", "space")
        await seen.shows("Choose an account first")
        assert admin.posted == []


async def test_what_the_proxy_refuses_is_told(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    admin.refuses["/api/accounts/id-work/pause"] = (409, "It is [busy].")
    async with screen(codemie_home, admin) as seen:
        await seen.shows("work")
        await seen.press("1", "space")
        await seen.shows("It is [busy].")


async def test_details_tell_why_a_request_went_where_it_went(codemie_home: Path) -> None:
    register(codemie_home)
    admin = TopAdmin()
    admin.answers["/api/exchanges/r/why"] = {"id": "r", "lines": ["work was limited", "spare was free"]}
    async with screen(codemie_home, admin) as seen:
        admin.live.say(**summary("r", errorMessage="it broke off"))
        await seen.shows("2.5s")
        await seen.press("3", "enter")
        await seen.shows("it broke off", "work was limited", "spare was free")
        await seen.press("escape")
        await seen.shows("Requests (1)")


async def test_a_proxy_that_ends_is_told_and_the_next_one_is_shown(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codemie_core.top.attachment.LOOK_AGAIN", 0.05)
    entry = register(codemie_home)
    admin = TopAdmin()
    async with screen(codemie_home, admin) as seen:
        await seen.shows("● live")
        admin.gone = True
        (codemie_home / "proxy" / "run" / f"{entry.run_id}.json").unlink()
        admin.live.end()
        await seen.shows("No proxy runs here. s starts one, q ends this.", "○ not live", "work")
        admin.gone = False
        register(codemie_home, "run-2", port=9090)
        await seen.shows("127.0.0.1:9090", "● live")


async def test_p_shows_another_proxy(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codemie_core.top.attachment.LOOK_AGAIN", 0.05)
    register(codemie_home, "run-1", port=8080)
    register(codemie_home, "run-2", port=9090)
    async with screen(codemie_home, TopAdmin()) as seen:
        await seen.shows("● live")
        await seen.shows("p: 1 more")
        first = seen.text.split()[0]
        await seen.press("p")
        other = "127.0.0.1:9090" if first.endswith("8080") else "127.0.0.1:8080"
        await seen.shows(other, "● live")


@pytest.mark.parametrize("size", [(40, 10), (60, 15), (200, 60)])
async def test_other_terminals_are_used_as_far_as_they_go(codemie_home: Path, size: tuple[int, int]) -> None:
    register(codemie_home)
    async with screen(codemie_home, TopAdmin(), size=size) as seen:
        await seen.shows("Accounts (2)", "work")
        assert all(len(line) == size[0] for line in seen.text.splitlines())


async def test_question_mark_tells_the_keys_and_q_ends_it(codemie_home: Path) -> None:
    register(codemie_home)
    async with screen(codemie_home, TopAdmin()) as seen:
        await seen.shows("● live")
        await seen.press("question_mark")
        await seen.shows("Keys", "add an account")
        await seen.press("escape", "q")
        await until(lambda: not seen.app.is_running)
    assert seen.app.return_code == 0


class Own:
    """Stands for the proxy that was started here."""

    def __init__(self) -> None:
        self.pid, self.runs, self.kept, self.stopped = this_process()[0], True, False, False

    def keep(self) -> None:
        self.kept = True

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize(
    "used, keys, ends, kept",
    [
        (False, ["q"], True, False),
        (True, ["q", "enter"], True, False),
        (True, ["q", "tab", "enter"], True, True),
        (True, ["q", "escape"], False, False),
    ],
)
async def test_a_proxy_that_was_started_here_ends_with_it_but_in_use_not_unasked(
    codemie_home: Path, used: bool, keys: list[str], ends: bool, kept: bool
) -> None:
    register(codemie_home)
    admin, own = TopAdmin(), Own()
    async with screen(codemie_home, admin) as seen:
        seen.app.attachment.own = own  # type: ignore[assignment]  # as far as it is asked
        await seen.shows("started by top", "● live")
        if used:
            admin.live.say(**summary("r"))
            await seen.shows("Requests (1)")
        await seen.press(keys[0])
        if used:
            await seen.shows("ends with this", "Leave it running")
            await seen.press(*keys[1:])
        if ends:
            await until(lambda: not seen.app.is_running)
        else:
            assert seen.app.is_running
    assert own.kept is kept
    assert bool(seen.app.end()) is kept
    assert own.stopped


async def test_t_changes_the_colors(codemie_home: Path) -> None:
    register(codemie_home)
    async with screen(codemie_home, TopAdmin()) as seen:
        before = seen.app.theme
        await seen.press("t")
        assert seen.app.theme != before
        await seen.press("t")
        assert seen.app.theme == before


async def test_a_crash_prints_no_variables(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crashes(*_: object) -> list[object]:
        key = "planted-key"
        raise ZeroDivisionError(len(key))

    async def seen_to_crash() -> None:
        async with screen(codemie_home, TopAdmin()) as seen:
            await seen.shows("● live")
            monkeypatch.setattr("codemie_core.top.rows.account_rows", crashes)
            await until(lambda: not seen.app.is_running)

    register(codemie_home)
    with pytest.raises(ZeroDivisionError):
        await seen_to_crash()
    printed = capsys.readouterr().err
    assert "ZeroDivisionError" in printed
    assert "planted-key" not in printed


async def test_without_an_admin_api_it_ends_with_what_helps(codemie_home: Path) -> None:
    register(codemie_home, admin_port=None)
    async with screen(codemie_home, TopAdmin()) as seen:
        await until(lambda: not seen.app.is_running)
    assert seen.app.return_code == 1
    assert "has no admin API" in str(seen.app.failure)
