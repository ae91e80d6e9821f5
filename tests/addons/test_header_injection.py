"""X-CodeMie headers, in process: which, when, and in what form."""

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import exceptions, hooks, http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow, tutils

from codemie_core import __version__
from codemie_core.core_addon import core_of
from codemie_core.exchange import exchange_of
from codemie_core.workspace import Workspace
from header_injection import HeaderInjection, header_value

CLAUDE = {"user-agent": "claude-cli/2.1.0 (external, cli)"}
CODEX = {"user-agent": "codex_cli_rs/0.169.0"}
PROFILE = {
    "provider": "ai-run-sso",
    "codeMieUrl": "https://codemie.example.com",
    "baseUrl": "https://codemie.example.com/code-assistant-api",
    "model": "claude-sonnet-4-6",
    "timeout": 300,
    "codeMieProject": "apollo",
    "codeMieIntegration": {"id": "1f0e", "alias": "mine"},
}


def found(folder: Path, environ: Mapping[str, str]) -> Workspace:
    return Workspace("acme/app", "main")


@asynccontextmanager
async def running(addon: HeaderInjection, **options: Any) -> AsyncIterator[taddons.context]:
    """The addon at work, its folder already looked at."""
    with taddons.context(addon) as tctx:
        tctx.configure(addon, **options)
        await tctx.master.addons.trigger_event(hooks.RunningHook())
        if addon._find is found:
            await asyncio.gather(*starting())
        yield tctx
        await tctx.master.addons.trigger_event(hooks.DoneHook())


def starting() -> list[asyncio.Task[Any]]:
    """What `start` has not finished yet."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("start header_injection")]


def request(
    headers: Mapping[str, str] | None = None,
    body: object = None,
    host: str = "codemie.lab.epam.com",
    mode: str = "reverse:https://codemie.lab.epam.com",
    port: int = 443,
) -> http.HTTPFlow:
    flow = tflow.tflow(
        req=tutils.treq(
            host=host,
            port=port,
            path=b"/v1/messages",
            headers=http.Headers([(k.encode(), v.encode()) for k, v in (headers or CLAUDE).items()]),
            content=json.dumps(body or {}).encode(),
        )
    )
    flow.client_conn.proxy_mode = ProxyMode.parse(mode)
    return flow


async def passed(tctx: taddons.context, flow: http.HTTPFlow) -> dict[str, str]:
    """The X-CodeMie headers of the request after both hooks of this addon alone."""
    addon = tctx.master.addons.get("header_injection")
    for hook in "requestheaders", "request":
        await tctx.master.addons.invoke_addon(addon, hooks.all_hooks[hook](flow))
    return ours(flow)


def ours(flow: http.HTTPFlow) -> dict[str, str]:
    return {
        name: value
        for name, value in flow.request.headers.items(multi=True)
        if name.lower().startswith(("x-codemie", "x_codemie", "x-litellm"))
    }


def write_profile(home: Path, **changes: Any) -> None:
    home.mkdir()
    (home / "codemie-cli.config.json").write_text(json.dumps(PROFILE | changes))


async def test_a_request_gets_every_header_the_profile_and_the_workspace_give(codemie_home: Path) -> None:
    write_profile(codemie_home)
    async with running(HeaderInjection(found)) as tctx:
        flow = request()
        headers = await passed(tctx, flow)
    exchange = exchange_of(flow)
    assert headers == {
        "X-CodeMie-Request-ID": exchange.request_id,
        "X-CodeMie-Session-ID": exchange.session_id,
        "X-CodeMie-CLI": f"codemie-proxy/{__version__}",
        "X-CodeMie-Client": "codemie-claude",
        "X-CodeMie-Integration": "1f0e",
        "X-CodeMie-CLI-Model": "claude-sonnet-4-6",
        "X-CodeMie-CLI-Timeout": "300000",
        "X-CodeMie-Repository": "acme/app",
        "X-CodeMie-Branch": "main",
        "X-CodeMie-Project": "apollo",
    }
    assert uuid.UUID(headers["X-CodeMie-Request-ID"]).version == 4
    assert uuid.UUID(headers["X-CodeMie-Session-ID"]).version == 5


async def test_without_a_profile_only_what_is_known_is_sent() -> None:
    def nothing(folder: Path, environ: Mapping[str, str]) -> Workspace:
        return Workspace("unknown", None)

    async with running(HeaderInjection(nothing)) as tctx:
        await asyncio.gather(*starting())
        headers = await passed(tctx, request({"user-agent": "curl/8"}))
    assert set(headers) == {
        "X-CodeMie-Request-ID",
        "X-CodeMie-Session-ID",
        "X-CodeMie-CLI",
        "X-CodeMie-Repository",
    }


@pytest.mark.parametrize(
    "option, value, header",
    [
        ("cli", "codemie-cli/0.14.1", "X-CodeMie-CLI"),
        ("client_type", "codemie-daemon", "X-CodeMie-Client"),
        ("model", "gpt-5", "X-CodeMie-CLI-Model"),
        ("timeout_ms", 1500, "X-CodeMie-CLI-Timeout"),
        ("project", "gemini", "X-CodeMie-Project"),
        ("integration", "77aa", "X-CodeMie-Integration"),
        ("repository", "other/repo", "X-CodeMie-Repository"),
        ("branch", "release/1", "X-CodeMie-Branch"),
    ],
)
async def test_a_setting_wins_over_what_would_be_found(
    codemie_home: Path, option: str, value: object, header: str
) -> None:
    write_profile(codemie_home)
    async with running(HeaderInjection(found), **{f"codemie_header_injection_{option}": value}) as tctx:
        assert (await passed(tctx, request()))[header] == str(value)


@pytest.mark.parametrize(
    "variable, header",
    [
        ("CODEMIE_CLIENT_TYPE", "X-CodeMie-Client"),
        ("CODEMIE_REPOSITORY", "X-CodeMie-Repository"),
        ("CODEMIE_GIT_BRANCH", "X-CodeMie-Branch"),
        ("CODEMIE_MODEL", "X-CodeMie-CLI-Model"),
        ("CODEMIE_PROJECT", "X-CodeMie-Project"),
    ],
)
async def test_the_variables_of_codemies_own_tools_count(
    monkeypatch: pytest.MonkeyPatch, variable: str, header: str
) -> None:
    monkeypatch.setenv(variable, "from-the-environment")
    async with running(HeaderInjection(found)) as tctx:
        assert (await passed(tctx, request()))[header] == "from-the-environment"


@pytest.mark.parametrize(
    "provider, explicit, sent",
    [
        ("ai-run-sso", None, "1f0e"),
        ("bearer-auth", None, None),
        ("litellm", None, None),
        ("litellm", "77aa", "77aa"),  # somebody asked for it in as many words
    ],
)
async def test_the_integration_goes_where_the_provider_requires_it(
    codemie_home: Path, provider: str, explicit: str | None, sent: str | None
) -> None:
    write_profile(codemie_home, provider=provider)
    options = {"codemie_header_injection_integration": explicit} if explicit else {}
    async with running(HeaderInjection(found), **options) as tctx:
        assert (await passed(tctx, request())).get("X-CodeMie-Integration") == sent


@pytest.mark.parametrize(
    "headers, client_type, expected",
    [
        (CODEX, "", True),
        (CLAUDE, "", False),
        (CLAUDE, "codemie-copilot", True),
        (CODEX, "codemie-claude", False),
    ],
)
async def test_litellm_gets_the_session_of_codex_and_copilot_only(
    headers: dict[str, str], client_type: str, expected: bool
) -> None:
    options = {"codemie_header_injection_client_type": client_type}
    async with running(HeaderInjection(found), **options) as tctx:
        flow = request(headers)
        sent = await passed(tctx, flow)
    assert sent.get("x-litellm-session-id") == (exchange_of(flow).session_id if expected else None)


async def test_a_conversation_named_only_in_the_body_keeps_its_session_id() -> None:
    def body(session: str) -> dict[str, object]:
        user = f"user_{'a' * 64}_account__session_{session}"
        return {"metadata": {"user_id": user}}

    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    async with running(HeaderInjection(found)) as tctx:
        ids = [
            (await passed(tctx, request(body=body(session))))["X-CodeMie-Session-ID"] for session in (one, one, other)
        ]
    assert ids[0] == ids[1] != ids[2]


FORGED = ["X-CodeMie-Project", "x-codemie-session-id", "X-CODEMIE-ANYTHING", "X_CodeMie_Project", "x-codemie_client"]


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("host", ["codemie.lab.epam.com", "api.anthropic.com"])
async def test_forged_headers_are_gone_before_any_later_addon_sees_them(name: str, host: str) -> None:
    async with running(HeaderInjection(found)) as tctx:
        flow = request({name: "forged", "x-codemie": "not ours", **CLAUDE}, host=host)
        await tctx.master.addons.trigger_event(hooks.all_hooks["requestheaders"](flow))
    assert ours(flow) == {"x-codemie": "not ours"}


async def test_forged_headers_are_dropped_where_none_of_ours_are_sent() -> None:
    async with running(HeaderInjection(found)) as tctx:
        flow = request({"X-CodeMie-Project": "forged"}, host="api.anthropic.com", mode="regular")
        assert await passed(tctx, flow) == {}


@pytest.mark.parametrize("host", ["example.org", "codemie.lab.epam.com"])
async def test_traffic_out_of_scope_is_not_touched(host: str) -> None:
    async with running(HeaderInjection(found)) as tctx:
        tctx.configure(tctx.master.addons.get("codemie_core"), codemie_hosts=["api.anthropic.com"])
        flow = request({"X-CodeMie-Project": "theirs"}, host=host, mode="regular")
        assert await passed(tctx, flow) == {"X-CodeMie-Project": "theirs"}


@pytest.mark.parametrize(
    "host, port, sent",
    [
        ("codemie.lab.epam.com", 443, True),
        ("dev.codemie.lab.epam.com", 443, True),
        ("codemie.example.com", 443, True),  # the profile's own
        ("codemie.example.com", 8443, False),
        ("api.anthropic.com", 443, False),
        ("codemie.lab.epam.com.example.org", 443, False),
        ("labels.example.org", 443, True),  # named in the setting
    ],
)
async def test_in_regular_mode_only_codemies_hosts_get_them(
    codemie_home: Path, host: str, port: int, sent: bool
) -> None:
    write_profile(codemie_home)
    hosts = ["codemie.lab.epam.com", "*.codemie.lab.epam.com", "labels.example.org"]
    options = {"codemie_header_injection_hosts": hosts}
    async with running(HeaderInjection(found), **options) as tctx:
        tctx.configure(tctx.master.addons.get("codemie_core"), codemie_hosts=[host])
        headers = await passed(tctx, request(host=host, port=port, mode="regular"))
    assert bool(headers) is sent


async def test_the_base_url_of_another_provider_is_not_codemies(codemie_home: Path) -> None:
    write_profile(codemie_home, provider="openai", baseUrl="https://api.openai.com/v1", codeMieUrl="")
    addon = HeaderInjection(found)
    async with running(addon):
        assert core_of(addon).layers.profile.hosts == ()


@pytest.mark.parametrize("given", [{"resp": True}, {"err": True}])
async def test_a_flow_that_has_its_answer_is_left_alone(given: dict[str, bool]) -> None:
    async with running(HeaderInjection(found)) as tctx:
        flow = request()
        flow.response = tutils.tresp() if "resp" in given else None
        flow.error = tflow.terr() if "err" in given else None
        assert await passed(tctx, flow) == {}


async def test_http2_gets_the_names_in_lower_case() -> None:
    async with running(HeaderInjection(found)) as tctx:
        flow = request()
        flow.request.http_version = "HTTP/2.0"
        headers = await passed(tctx, flow)
    assert "x-codemie-request-id" in headers
    assert all(name.islower() for name in headers)


async def test_each_header_is_sent_once_whatever_was_there() -> None:
    async with running(HeaderInjection(found)) as tctx:
        flow = request(CODEX | {"X-LiteLLM-Session-ID": "theirs"})
        await passed(tctx, flow)
        await passed(tctx, flow)  # a replayed flow comes with what it got the first time
    names = [name.lower() for name, _ in flow.request.headers.items(multi=True)]
    assert len(names) == len(set(names))


async def test_no_request_waits_for_git() -> None:
    answer = threading.Event()

    def slow(folder: Path, environ: Mapping[str, str]) -> Workspace:
        assert threading.current_thread() is not threading.main_thread()
        answer.wait(60)
        return Workspace("acme/app", "main")

    async with running(HeaderInjection(slow)) as tctx:
        try:
            early = await passed(tctx, request())
        finally:
            answer.set()
        await asyncio.gather(*starting())
        late = await passed(tctx, request())
    assert not {"X-CodeMie-Repository", "X-CodeMie-Branch"} & set(early)
    assert late["X-CodeMie-Repository"] == "acme/app"
    assert late["X-CodeMie-Branch"] == "main"


async def test_a_setting_changed_while_the_proxy_runs_counts_from_the_next_request() -> None:
    addon = HeaderInjection(found)
    async with running(addon) as tctx:
        before = await passed(tctx, request())
        tctx.configure(addon, codemie_header_injection_project="new")
        after = await passed(tctx, request())
    assert "X-CodeMie-Project" not in before
    assert after["X-CodeMie-Project"] == "new"
    assert after["X-CodeMie-Repository"] == "acme/app"


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("hosts", ["https://codemie.example.com"], "not a host pattern"),
        ("timeout_ms", -1, "greater than or equal to 0"),
        ("cli", "", "at least 1 character"),
    ],
)
async def test_a_bad_setting_is_refused_by_name(option: str, value: object, words: str) -> None:
    addon = HeaderInjection(found)
    async with running(addon) as tctx:
        with pytest.raises(exceptions.OptionsError, match=f"codemie_header_injection_{option}: .*{words}"):
            tctx.configure(addon, **{f"codemie_header_injection_{option}": value})


@pytest.mark.parametrize(
    "text, value",
    [
        ("main", "main"),
        ("  spaced out ", "spaced out"),
        ("a\r\nX-Forged: b", "aX-Forged: b"),
        ("nul\0 tab\t del\x7f esc\x1b nel\x85", "nul tab del esc nel"),
        ("grün", "gr%C3%BCn"),
        ("100%", "100%"),
        ("ветка/🚀", "%D0%B2%D0%B5%D1%82%D0%BA%D0%B0/%F0%9F%9A%80"),
        ("line\u2028end", "line%E2%80%A8end"),
        ("broken \udcff", "broken %3F"),
        ("\r\n", ""),
        ("x" * 300, "x" * 256),
        ("x" * 254 + "é", "x" * 254),
        ("é" * 100, "%C3%A9" * 42),
    ],
)
def test_a_value_is_made_fit_for_a_header(text: str, value: str) -> None:
    assert header_value(text) == value


async def test_a_hostile_branch_makes_no_second_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def hostile(folder: Path, environ: Mapping[str, str]) -> Workspace:
        return Workspace("acme/\r\nX-Forged: 1", "b\r\n\r\nGET / HTTP/1.1")

    async with running(HeaderInjection(found), codemie_header_injection_project="p\nq") as tctx:
        addon = tctx.master.addons.get("header_injection")
        addon._find = hostile
        await addon.start()
        flow = request()
        await passed(tctx, flow)
    wire = bytes(flow.request.headers)
    assert b"X-Forged" not in [line.partition(b":")[0] for line in wire.split(b"\r\n")]
    assert wire.count(b"\n") == wire.count(b"\r\n") == len(flow.request.headers.fields)
