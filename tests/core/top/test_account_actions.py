from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.histories import until
from support.top_admin import TopAdmin, account
from support.top_screen import Screen, register, screen

ANTHROPIC = {"name": "anthropic", "label": "Anthropic", "baseUrl": "https://api.anthropic.com", "needsBaseUrl": False}
OWN = {"name": "openai-compatible", "label": "An API like OpenAI's", "baseUrl": "", "needsBaseUrl": True}
BEGUN = {"sessionId": "sign-1", "authUrl": "https://signin.example/authorize?x=1", "howToEnd": "Paste the code."}


def admin() -> TopAdmin:
    made = TopAdmin()
    made.answers["/api/accounts/providers"] = [ANTHROPIC, OWN]
    made.answers["/api/oauth/providers"] = [
        {"name": "anthropic", "provider": "anthropic", "missing": ""},
        {"name": "another-way", "provider": "anthropic", "missing": ""},
    ]
    return made


@asynccontextmanager
async def adding(home: Path, made: TopAdmin) -> AsyncIterator[Screen]:
    register(home)
    async with screen(home, made) as seen:
        await seen.shows("work")
        await seen.press("a")
        await seen.shows("Add an account", "Provider", "API key")
        yield seen


async def test_an_account_is_added_by_its_key_which_is_never_shown(codemie_home: Path) -> None:
    made = admin()
    async with adding(codemie_home, made) as seen:
        await seen.type("team 1")
        await seen.press("tab")
        await seen.type("sk-planted")
        await seen.shows("team 1", "••••••••••")
        assert "sk-planted" not in seen.text
        made.answers["/api/accounts"] = [account("team 1")]
        await seen.press("enter")
        await seen.shows("Did accounts.", "team 1")
    assert made.posted == [("/api/accounts", {"name": "team 1", "provider": "anthropic", "apiKey": "sk-planted"})]


async def test_what_is_refused_can_be_mended_without_typing_all_of_it_again(codemie_home: Path) -> None:
    made = admin()
    made.refuses["/api/accounts"] = (409, "There is an account 'work' already.")
    register(codemie_home)
    async with screen(codemie_home, made) as seen:
        await seen.shows("No accounts")
        await seen.press("a")
        await seen.shows("Add an account")
        await seen.type("work")
        await seen.press("tab")
        await seen.type("k")
        await seen.press("enter")
        await seen.shows("There is an account 'work' already.", "work")
        del made.refuses["/api/accounts"]
        await seen.press("end", "2", "tab")
        await seen.type("k")
        await seen.press("enter")
        await until(lambda: made.posted != [])
    assert made.posted[0][1]["name"] == "work2"


async def test_a_sign_in_is_ended_by_the_code_that_is_pasted(codemie_home: Path) -> None:
    made = admin()
    made.says["/api/oauth/init"] = BEGUN
    async with adding(codemie_home, made) as seen:
        await seen.type("mine")
        await seen.press("enter")
        await seen.shows("https://signin.example/authorize?x=1", "Paste the code.")
        await seen.type("code#state")
        await seen.press("enter")
        await seen.shows("Did callback.")
    assert made.posted == [
        ("/api/oauth/init", {"name": "mine", "provider": "anthropic"}),
        ("/api/oauth/callback", {"sessionId": "sign-1", "code": "code#state"}),
    ]


async def test_a_sign_in_whose_answer_comes_by_itself_ends_by_itself(
    codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codemie_core.top.account_actions.ASK_AGAIN", 0.02)
    made = admin()
    made.says["/api/oauth/init"] = {**BEGUN, "comesBack": True}
    made.answers["/api/oauth/sessions/sign-1"] = {"state": "waiting"}
    async with adding(codemie_home, made) as seen:
        await seen.type("mine")
        await seen.press("enter")
        await seen.shows("https://signin.example/authorize?x=1")
        made.answers["/api/oauth/sessions/sign-1"] = {"state": "done", "message": "mine is signed in."}
        await seen.shows("mine is signed in.", "Requests")
        assert "signin.example" not in seen.text


async def test_who_goes_back_adds_nothing(codemie_home: Path) -> None:
    made = admin()
    async with adding(codemie_home, made) as seen:
        await seen.type("mine")
        await seen.press("escape")
        await seen.shows("Requests", "work")
        assert "Add an account" not in seen.text
    assert made.posted == []


async def test_c_ends_the_rest_of_the_chosen_account(codemie_home: Path) -> None:
    made = admin()
    register(codemie_home)
    async with screen(codemie_home, made) as seen:
        await seen.shows("work")
        await seen.press("c")
        await seen.shows("Choose an account first")
        await seen.press("1", "c")
        await until(lambda: made.posted == [("/api/accounts/id-work/force-reset-rate-limit", {})])
