"""The scene of the pool notices each thing that does not go as it shows. Here the test itself is the proxy."""

import pytest

from codemie_core.demo import stage
from codemie_core.demo.accounts_scene import KEYS, OWN_KEY, a_limited_account
from codemie_core.demo.script import Step
from codemie_core.demo.stage import SceneFailed, Stage
from support.no_proxy import NoProxy, without_proxy

LISTED = "first  limited until 09:00\n"
TWO_ACCOUNTS = [{"name": "account_rotation", "details": {"accounts": 2}}]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.1)


def pretend(monkeypatch: pytest.MonkeyPatch, made: Stage, *sent: str, listed: str = LISTED) -> None:
    """The client's requests bear these keys instead of its own; the last one answers the client."""
    ask, keys = made.client.post, list(sent)

    async def post(url: str, **arguments: object) -> object:
        answer = None
        while answer is None or answer.status_code == 429:
            answer = await ask(url, json=arguments["json"], headers={"x-api-key": keys.pop(0)})
        return answer

    async def command(self: NoProxy, *arguments: str, typed: str = "") -> str:
        assert typed == (f"{KEYS[arguments[2]]}\n" if arguments[1] == "add" else "")
        return listed

    monkeypatch.setattr(made.client, "post", post)
    monkeypatch.setattr(NoProxy, "command", command)


async def test_a_proxy_that_does_what_it_shall_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with without_proxy(addons=TWO_ACCOUNTS) as made:
        pretend(monkeypatch, made, KEYS["first"], KEYS["second"], KEYS["second"])
        await a_limited_account(made)


async def test_accounts_that_the_proxy_does_not_take_are_noticed() -> None:
    async with without_proxy() as made:
        with pytest.raises(SceneFailed, match="the running proxy took both accounts"):
            await a_limited_account(made)


@pytest.mark.parametrize(
    "sent, listed, problem",
    [
        ((OWN_KEY,), LISTED, "the client's own key stayed with the proxy"),
        ((KEYS["second"],), LISTED, "the request went on from the first account"),
        (("x", "x"), LISTED, "the request went on from the first account"),
        ((KEYS["first"], KEYS["second"], KEYS["first"], KEYS["second"]), LISTED, "the second account at once"),
        ((KEYS["first"], KEYS["second"], KEYS["second"]), "first ready\n", "until when the first account rests"),
    ],
)
async def test_each_broken_promise_is_noticed(
    sent: tuple[str, ...], listed: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with without_proxy(addons=TWO_ACCOUNTS) as made:
        pretend(monkeypatch, made, *sent, listed=listed)
        with pytest.raises(SceneFailed, match=problem):
            await a_limited_account(made)


async def test_an_error_that_reaches_the_client_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with without_proxy(addons=TWO_ACCOUNTS) as made:
        pretend(monkeypatch, made, KEYS["second"])
        made.upstream.script_for(KEYS["second"], then=Step(status=500))
        with pytest.raises(SceneFailed, match="conversation one got one whole stream"):
            await a_limited_account(made)
