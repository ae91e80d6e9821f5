"""The question itself; what each status means is told by `accounts test` (core/cli/test_accounts_check.py)."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind, SecretRef, Source
from codemie_core.accounts.trial import ask, remedy
from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from support.stored import new_account

KEY = SecretStr("planted-key")


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False)


async def test_one_question_with_the_secret_where_it_belongs(upstream: UpstreamThread) -> None:
    trial = await ask(new_account("main", upstream.url), KEY, client)
    assert (trial.status, trial.good, trial.models) == (200, True, 1)
    [request] = upstream.upstream.requests
    assert (request.path, request.header("x-api-key")) == ("/v1/models", "planted-key")
    assert "planted" not in repr(trial.as_json())


async def test_a_redirect_is_followed_by_nobody(upstream: UpstreamThread) -> None:
    upstream.call(upstream.upstream.script, Step(status=302, headers=[("location", f"{upstream.url}/elsewhere")]))
    trial = await ask(new_account("main", upstream.url), KEY, client)
    assert (trial.status, trial.good) == (302, None)
    assert len(upstream.upstream.requests) == 1


async def test_nobody_there_says_nothing_about_the_secret() -> None:
    trial = await ask(new_account("main", f"http://127.0.0.1:{closed_port()}"), KEY, client)
    assert (trial.status, trial.good, trial.meaning) == (None, None, "it could not be asked (ConnectError)")


def test_the_remedy_fits_the_kind_of_secret() -> None:
    assert "auth login anthropic --name me" in remedy(new_account("me", "https://a.test", kind=Kind.OAUTH))
    elsewhere = new_account("ci", "https://a.test", secret=SecretRef(Source.ENV, "CI_KEY"))
    assert "a proxy reads it anew after a 401" in remedy(elsewhere)
    assert remedy(new_account("main", "https://a.test")).endswith("codemie-proxy accounts key main")


async def test_a_proxy_on_the_way_that_refuses_is_told_from_one_that_is_away() -> None:
    def behind(url: str) -> httpx.AsyncClient:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ProxyError("407 planted words")

        return httpx.AsyncClient(transport=httpx.MockTransport(refuse))

    trial = await ask(new_account("main", "https://a.test"), KEY, behind)
    assert (trial.good, trial.meaning) == (None, "it could not be asked (the proxy on the way answers 407)")
