"""What rules do to a request's head, in process; through real proxies: process/test_https_retargeting.py."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow, tutils

from codemie_core.exchange import exchange_of
from codemie_core.policy import AttemptPlan
from retargeting import MARK, WITHHELD, Retargeting
from support.core_room import Room, running

CLAUDE = "api.anthropic.com"
RULES = [f"{CLAUDE}=https://gateway.test/base", "*.vendor.test=http://127.0.0.1:4000"]


@asynccontextmanager
async def ruled(*rules: str) -> AsyncIterator[Room]:
    async with running(Retargeting()) as room:
        room.options.update(codemie_retargeting_rules=list(rules or RULES))
        yield room


def asking(
    host: str = CLAUDE,
    path: str = "/v1/messages",
    mode: str = "regular",
    plan: bool = True,
    scheme: str = "https",
    **headers: str,
) -> http.HTTPFlow:
    fields = http.Headers(
        [(b"host", host.encode()), *((n.replace("_", "-").encode(), v.encode()) for n, v in headers.items())]
    )
    request = tutils.treq(
        method=b"POST", scheme=scheme.encode(), host=host, port=443, path=path.encode(), headers=fields
    )
    flow = tflow.tflow(req=request)
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    if plan:
        exchange_of(flow).plan = AttemptPlan()
    return flow


@pytest.mark.parametrize(
    "host, path, url",
    [
        (CLAUDE, "/v1/messages?beta=true", "https://gateway.test/base/v1/messages?beta=true"),
        (CLAUDE, "/v1/models", "https://gateway.test/base/v1/models"),
        (CLAUDE, "/base/v1/messages", None),
        ("a.vendor.test", "/v1/x:y/models/m:generateContent?key=own&alt=sse", None),
        ("a.vendor.test", "/v1beta/models/m:generateContent?key=own&alt=sse", "http://127.0.0.1:4000"),
        (CLAUDE, "/v1/code/sessions", None),
        (CLAUDE, "/api/oauth/usage", None),
        (CLAUDE, "/anything", None),
        ("api.openai.com", "/v1/responses", None),
    ],
)
async def test_model_calls_of_hosts_with_a_rule_are_sent_elsewhere(host: str, path: str, url: str | None) -> None:
    if path.startswith("/v1/x:y"):
        url = "http://127.0.0.1:4000/v1/x:y/models/m:generateContent?alt=sse"
    elif url == "http://127.0.0.1:4000":
        url += "/v1beta/models/m:generateContent?alt=sse"
    async with ruled() as room:
        flow = asking(host, path)
        await room.fire("requestheaders", flow)
        assert flow.request.url == (url or f"https://{host}{path}")
        assert (flow.request.headers["host"] == host) == (url is None)
        exchange = exchange_of(flow)
        assert exchange.withheld == (WITHHELD if url else frozenset())
        assert (exchange.host, exchange.asked_host) == ((flow.request.host, host) if url else (host, ""))


async def test_the_exchange_knows_the_prefix_that_was_put_before_its_path() -> None:
    async with ruled() as room:
        flow = asking()
        await room.fire("requestheaders", flow)
        assert (exchange_of(flow).prefix, exchange_of(flow).path) == ("/base", "/v1/messages")


@pytest.mark.parametrize(
    "about",
    [
        {"mode": "reverse:https://api.anthropic.com"},
        {"sec_fetch_site": "cross-site"},
        # A browser names neither page nor site when it asks for a picture by plain http.
        {"scheme": "http"},
    ],
    ids=["reverse mode", "a browser", "perhaps a browser"],
)
async def test_whoever_is_no_agent_behind_https_proxy_is_left_alone(about: dict[str, Any]) -> None:
    async with ruled() as room:
        flow = asking(**about)
        await room.fire("requestheaders", flow)
        assert flow.request.host == CLAUDE
        assert MARK not in flow.metadata


async def test_an_agent_may_ask_this_machine_by_plain_http() -> None:
    async with ruled("localhost=https://gateway.test") as room:
        flow = asking("localhost", scheme="http")
        await room.fire("requestheaders", flow)
        assert flow.request.host == "gateway.test"


async def test_whatever_looks_like_a_credential_stays_here() -> None:
    async with ruled() as room:
        flow = asking(X_Vendor_Token="planted", X_Session_Key="planted", anthropic_beta="b", idempotency_key="i")
        await room.fire("requestheaders", flow)
        assert exchange_of(flow).withheld == WITHHELD | {b"x-vendor-token", b"x-session-key"}


@pytest.mark.parametrize("host, kept", [(CLAUDE, False), ("api.openai.com", True)])
async def test_the_new_host_sets_no_cookies_for_the_vendor(host: str, kept: bool) -> None:
    async with ruled() as room:
        flow = asking(host)
        await room.fire("requestheaders", flow)
        flow.response = http.Response.make(200, headers=[(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")])
        await room.fire("responseheaders", flow)
        assert ("set-cookie" in flow.response.headers) is kept


@pytest.mark.parametrize(
    "location, status, left",
    [
        ("https://gateway.test/base/v1/messages/", 307, "/v1/messages/"),
        ("https://other.test/v1/messages", 307, None),
        ("https://other.test/v1/messages", 201, "https://other.test/v1/messages"),
    ],
)
async def test_the_new_host_sends_no_client_elsewhere(location: str, status: int, left: str | None) -> None:
    """It would take its vendor's key along: `x-api-key` stays on when a redirect is followed."""
    async with ruled() as room:
        flow = asking()
        await room.fire("requestheaders", flow)
        flow.response = http.Response.make(status, headers={"location": location})
        await room.fire("responseheaders", flow)
        assert flow.response.headers.get("location") == left


async def test_hosts_of_rules_are_in_scope() -> None:
    async with ruled() as room:
        assert room.core.in_scope(asking("a.vendor.test"))
        assert not room.core.in_scope(asking("vendor.test"))
        room.options.update(codemie_retargeting_rules=[])
        assert not room.core.in_scope(asking("a.vendor.test"))


@pytest.mark.parametrize("rules", [RULES, []], ids=["with its rule", "after the rule has gone"])
async def test_without_the_attempt_machine_nothing_is_sent(rules: list[str]) -> None:
    async with ruled() as room:
        flow = asking(plan=False)
        await room.fire("requestheaders", flow)
        room.options.update(codemie_retargeting_rules=rules)
        await room.fire("request", flow)
        assert flow.response is not None
        assert flow.response.status_code == 502
        assert exchange_of(flow).error == "cannot_retarget"


async def test_with_it_the_request_goes_on() -> None:
    async with ruled() as room:
        flow = asking()
        await room.fire("requestheaders", flow)
        await room.fire("request", flow)
        assert flow.response is None


async def test_without_rules_no_request_costs_anything() -> None:
    addon = Retargeting()
    async with running(addon):
        assert vars(addon)["requestheaders"] is None


async def test_a_rule_that_cannot_be_used_is_refused_by_name() -> None:
    async with running(Retargeting()) as room:
        with pytest.raises(Exception, match="HOST=URL"):
            room.options.update(codemie_retargeting_rules=["api.anthropic.com"])


async def test_when_it_fails_the_request_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ruled() as room:
        monkeypatch.setattr("retargeting.without_keys", lambda path: 1 / 0)
        flow = asking()
        await room.fire("requestheaders", flow)
        assert flow.response is not None
        assert flow.response.status_code == 502
