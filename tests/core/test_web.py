"""How our own calls go out."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from codemie_core import __version__
from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.egress import parse_proxy
from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from codemie_core.web import client_for
from support.certificates import Authority
from support.connect_proxy import ConnectProxy

# A name that only the outbound proxy knows, and loopback in a form that no rule for loopback knows.
NAME, ODD_HOST = "codemie.test", "127.1"


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@asynccontextmanager
async def redirecting() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        headers = [("location", "/elsewhere"), ("set-cookie", "planted=cookie; path=/")]
        upstream.script(then=Step(status=302, body=b"", headers=headers))
        yield upstream


async def test_redirects_are_not_followed_and_cookies_not_kept(places: Places) -> None:
    async with redirecting() as upstream, client_for(upstream.url, places, {}) as client:
        answers = [await client.get(f"{upstream.url}/v1/user") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert [request.path for request in upstream.requests] == ["/v1/user", "/v1/user"]
    assert [request.header("cookie") for request in upstream.requests] == [None, None]


async def test_we_say_who_we_are(places: Places) -> None:
    async with redirecting() as upstream, client_for(upstream.url, places, {}) as client:
        await client.get(upstream.url)
    assert upstream.requests[0].header("user-agent") == f"codemie-proxy/{__version__}"


async def test_a_silent_host_is_given_up_in_time(places: Places) -> None:
    async with Upstream() as upstream, client_for(upstream.url, places, {}, timeout=0.05) as client:
        upstream.script(Step(hold=upstream.gate()))
        with pytest.raises(httpx.TimeoutException):
            await client.get(upstream.url)


async def test_a_ca_file_is_trusted_and_nobody_unknown_is(places: Places, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with Upstream(authority.server(), http2=False) as upstream:
        async with client_for(upstream.url, places, {}, str(authority.pem)) as client:
            assert (await client.post(f"{upstream.url}/v1/messages", json={})).status_code == 200
        async with client_for(upstream.url, places, {}) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(upstream.url)


@pytest.mark.parametrize(
    "content, problem", [(None, "cannot be read: No such file"), ("nothing", "holds no certificate in PEM form")]
)
def test_an_unusable_ca_file_is_named(content: str | None, problem: str, places: Places, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=f"{path} {problem}"):
        client_for("https://codemie.test", places, {}, str(path))


async def test_the_way_out_leads_through_https_proxy_with_its_password(places: Places, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        Upstream(authority.server(NAME), http2=False) as upstream,
        ConnectProxy({NAME: upstream.port}, "Basic bWU6cGxhbnRlZA==") as outbound,
    ):
        environ = {"HTTPS_PROXY": outbound.url("me:planted")}
        async with client_for(f"https://{NAME}", places, environ, str(authority.pem)) as client:
            assert (await client.post(f"https://{NAME}/v1/messages", json={})).status_code == 200
    assert outbound.targets == [f"{NAME}:443"]
    assert upstream.requests[0].header("proxy-authorization") is None


async def test_an_accounts_own_proxy_counts_more_than_the_environment(places: Places, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        Upstream(authority.server(NAME), http2=False) as upstream,
        ConnectProxy({NAME: upstream.port}, "Basic bWU6cGxhbnRlZA==") as outbound,
    ):
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{closed_port()}", "NO_PROXY": "*"}
        proxy = parse_proxy(outbound.url("me:planted"), "a test")
        async with client_for(f"https://{NAME}", places, environ, str(authority.pem), proxy=proxy) as client:
            assert (await client.post(f"https://{NAME}/v1/messages", json={})).status_code == 200
    assert outbound.targets == [f"{NAME}:443"]


async def test_the_environment_that_httpx_would_read_by_itself_does_not_count(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Upstream() as upstream, ConnectProxy({}) as outbound:
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, outbound.url())
        async with client_for(upstream.url, places, {"HTTP_PROXY": outbound.url(), "NO_PROXY": "127.1"}) as client:
            await client.get(f"http://{ODD_HOST}:{upstream.port}/v1/models")
    assert outbound.targets == []


async def test_our_own_calls_do_not_go_through_a_proxy_of_ours(places: Places) -> None:
    pid, started = this_process()
    async with Upstream() as upstream, ConnectProxy({}) as ours:
        entry = RunningProxy("run-1", pid, started, 1.0, (f"127.0.0.1:{ours.port}",), ("regular",), "0.1.0")
        write_entry(places, entry)
        url = f"http://{ODD_HOST}:{upstream.port}"
        async with client_for(url, places, {"HTTP_PROXY": ours.url()}) as client:
            assert (await client.get(f"{url}/v1/models")).status_code == 200
    assert ours.targets == []


def test_no_call_prints_a_line_of_its_own() -> None:
    assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
