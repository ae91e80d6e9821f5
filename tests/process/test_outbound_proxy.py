"""The way out through another proxy: HTTPS_PROXY, NO_PROXY, its password, and our own address in it."""

import base64
import json
from pathlib import Path

import httpx

from codemie_core.demo.absent import closed_port
from codemie_core.demo.frames import sse
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from support import certificates
from support.certificates import Authority, ca_of
from support.connect_proxy import ConnectProxy
from support.proxy import Mitmproxy, reverse
from support.raw_client import raw_client

EVENTS = [sse(f'{{"n": {n}}}', "content_block_delta") for n in range(4)]
ASK = json.dumps({"model": "m", "stream": True}).encode()
QUICK = {"codemie_upstream_attempts_backoff": "5ms"}
USER, PASSWORD = "planted-user", "planted p@ssword"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


async def test_the_way_out_leads_through_https_proxy_whose_password_nobody_sees(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    options = {
        "codemie_upstream_attempts_ca_file": authority.pem,
        "codemie_hosts": "upstream.test",
        "flow_detail": 4,
        "termlog_verbosity": "debug",
        "save_stream_file": tmp_path / "flows",
    }
    base, reversed_port = "https://upstream.test:8443", closed_port()
    async with (
        Upstream(authority.server("upstream.test")) as upstream,
        ConnectProxy({"upstream.test": upstream.port}, AUTHORIZATION) as outbound,
    ):
        upstream.script(Step(status=503), then=Step(events=EVENTS))
        args = ["--mode", "regular", "--mode", f"reverse:{base}@{reversed_port}"]
        env = {"HTTPS_PROXY": outbound.url("planted-user:planted%20p%40ssword")}
        with Mitmproxy(*args, options=options | QUICK, env=env) as proxy:
            tls = certificates.client(ca_of(proxy.confdir))
            async with (
                httpx.AsyncClient(proxy=proxy.url, verify=tls, trust_env=False) as client,
                httpx.AsyncClient(trust_env=False) as direct,
            ):
                answers = [await client.post(f"{base}/v1/messages", content=ASK) for _ in range(2)]
                answers.append(await direct.post(f"http://127.0.0.1:{reversed_port}/v1/messages", content=ASK))
    assert [answer.content for answer in answers] == [b"".join(EVENTS)] * 3
    assert upstream.request_count == 4
    assert set(outbound.targets) == {"upstream.test:8443"}
    assert set(outbound.authorizations) == {AUTHORIZATION}
    assert all(request.header("proxy-authorization") is None for request in upstream.requests)
    shown = proxy.log + (tmp_path / "flows").read_bytes().decode("latin-1")
    for secret in (USER, PASSWORD, "planted%20p%40ssword", AUTHORIZATION.removeprefix("Basic ")):
        assert secret not in shown


async def test_an_outbound_proxy_that_refuses_us_is_asked_once_and_named() -> None:
    async with ConnectProxy({}, AUTHORIZATION) as outbound:
        env = {"HTTPS_PROXY": outbound.url("planted-user:wrong-planted")}
        with reverse("https://upstream.test:8443", options=QUICK, env=env) as proxy:
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(f"{proxy.url}/v1/messages", content=ASK)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (400, "false")
    said = answer.json()["error"]["message"]
    assert f"127.0.0.1:{outbound.port} answers 407" in said
    assert "HTTPS_PROXY" in said
    assert len(outbound.targets) == 1, "each further try is one more wrong password"
    assert "planted" not in said + proxy.log


async def test_an_outbound_proxy_that_is_away_is_named() -> None:
    port = closed_port()
    with reverse("https://upstream.test:8443", options=QUICK, env={"HTTPS_PROXY": f"127.0.0.1:{port}"}) as proxy:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{proxy.url}/v1/messages", content=ASK)
    assert answer.status_code == 502
    assert f"through the outbound proxy 127.0.0.1:{port}: " in answer.json()["error"]["message"]


# 127.0.0.1 in forms that only the system's resolver knows to be loopback, so that no rule for loopback applies.
ODD_HOST, EXEMPT_HOST = "127.1", "127.0.1"


async def test_no_proxy_and_loopback_are_reached_directly() -> None:
    async with (
        Upstream() as upstream,
        ConnectProxy({ODD_HOST: upstream.port}) as outbound,
    ):
        hosts = {ODD_HOST: True, EXEMPT_HOST: False, "127.0.0.1": False, "localhost": False}
        env = {"HTTP_PROXY": outbound.url(), "NO_PROXY": f"example.com, {EXEMPT_HOST}"}
        with Mitmproxy(options={"codemie_hosts": ["localhost", "127.1"]}, env=env) as proxy:
            for host, goes_out in hosts.items():
                outbound.targets.clear()
                async with httpx.AsyncClient(proxy=proxy.url, trust_env=False) as client:
                    answer = await client.post(f"http://{host}:{upstream.port}/v1/messages", json={"model": "m"})
                assert answer.json()["model"] == "m"
                assert outbound.targets == ([f"{host}:{upstream.port}"] if goes_out else []), host


async def test_our_own_address_as_outbound_proxy_is_ignored_with_a_warning() -> None:
    port = closed_port()
    async with Upstream() as upstream:
        args = ["--mode", f"reverse:http://{ODD_HOST}:{upstream.port}", "--listen-port", str(port)]
        with Mitmproxy(*args, env={"HTTP_PROXY": f"http://localhost:{port}"}) as proxy:
            proxy.wait_for_log("points at this very proxy and is ignored")
            async with raw_client(proxy.port) as client:
                await client.ask()
                assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert upstream.request_count == 1
