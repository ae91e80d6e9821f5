"""Who gets through a reverse proxy that asks for keys, by real clients; what upstream, log and saved flows hold."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import anthropic
import httpx
import openai
import pytest

from support.access import Door, KeyedWebSocket, ask, door, holds, until
from support.clients import Http1
from support.proxy import ADDONS, failing_start

PROVIDER = "Bearer sk-ant-planted-provider"
ALONE = ADDONS / "proxy_access.py"
WRONG = "cmk_abcd1234_" + "x" * 43


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def gate(home: Path) -> Iterator[Door]:
    """One proxy for all tests that do not change its keys; everything it saw is saved."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("CODEMIE_HOME", str(home / ".codemie"))
        with door("-w", str(home / "saved"), "--set", "flow_detail=4", keys=("ann", "bob", "eve")) as found:
            found.store.revoke("eve")
            until(lambda: ask(found.proxy.url, x_api_key=found.keys["eve"]).status_code == 401)
            yield found


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    "path, kind",
    [
        ("/v1/messages", lambda body: (body["type"], body["error"]["type"])),
        ("/v1/chat/completions", lambda body: ("error", body["error"]["type"])),
        ("/v1beta/models/m:generateContent", lambda body: ("error", body["error"]["status"])),
        ("/v1/llm_models", lambda body: ("error", body["error"]["type"])),
    ],
)
@pytest.mark.parametrize("who", ["nobody", "wrong", "revoked", "provider"])
def test_whoever_has_no_good_key_gets_a_401_of_his_own_api(gate: Door, path: str, kind: object, who: str) -> None:
    assert callable(kind)
    headers = {"nobody": {}, "wrong": {"x-api-key": WRONG}, "revoked": {"authorization": f"Bearer {gate.keys['eve']}"}}
    before = len(gate.received())
    answer = ask(gate.proxy.url, path, headers.get(who, {"authorization": PROVIDER}))
    assert answer.status_code == 401
    assert kind(answer.json()) in {
        ("error", "authentication_error"),
        ("error", "UNAUTHENTICATED"),
        ("error", "AuthenticationError"),
    }
    assert "codemie-proxy keys add" in answer.text
    assert len(gate.received()) == before


@pytest.mark.parametrize(
    "header, form",
    [
        ("authorization", "Bearer {}"),
        ("x-api-key", "{}"),
        ("api-key", "{}"),
        ("x-goog-api-key", "{}"),
        ("proxy-authorization", "Bearer {}"),
        ("proxy-authorization", "basic"),
        ("authorization", "basic"),
    ],
)
def test_a_key_opens_in_every_header_that_clients_have_for_keys(gate: Door, header: str, form: str) -> None:
    key = gate.keys["ann"]
    value = basic("ann", key) if form == "basic" else form.format(key)
    assert ask(gate.proxy.url, headers={header: value}).status_code == 200
    sent = gate.received()[-1].headers
    assert not any(name.lower() == header for name, _ in sent)


def test_the_clients_own_provider_credential_passes_beside_the_key(gate: Door) -> None:
    first = ask(gate.proxy.url, authorization=PROVIDER, x_api_key=gate.keys["ann"])
    second = ask(gate.proxy.url, x_api_key="sk-ant-own", authorization=f"Bearer {gate.keys['bob']}")
    assert (first.status_code, second.status_code) == (200, 200)
    one, two = gate.received()[-2:]
    assert (one.header("authorization"), one.header("x-api-key")) == (PROVIDER, None)
    assert (two.header("authorization"), two.header("x-api-key")) == (None, "sk-ant-own")


async def test_a_connection_that_changes_its_key_is_asked_at_each_request(gate: Door) -> None:
    before = len(gate.received())
    statuses = []
    async with Http1(gate.proxy.port) as client:
        for key in (gate.keys["ann"], WRONG, gate.keys["bob"], gate.keys["eve"], "", gate.keys["ann"]):
            answer = await client.ask("POST", "/v1/messages", [("x-api-key", key)], b'{"model": "m"}')
            statuses.append(answer.status)
    assert statuses == [200, 401, 200, 401, 401, 200]
    assert len(gate.received()) == before + 3


async def test_the_anthropic_sdk_takes_the_key_as_its_api_key(gate: Door) -> None:
    async with anthropic.AsyncAnthropic(base_url=gate.proxy.url, api_key=gate.keys["ann"], max_retries=0) as client:
        stream = await client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert [event.type async for event in stream][-1] == "message_stop"
    async with anthropic.AsyncAnthropic(base_url=gate.proxy.url, auth_token=WRONG, max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError, match="codemie-proxy keys add"):
            await stranger.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])


async def test_the_openai_sdk_takes_the_key_as_its_api_key(gate: Door) -> None:
    url = f"{gate.proxy.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=gate.keys["ann"], max_retries=0) as client:
        found = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])
        assert found.choices[0].message.content
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-planted-mine", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError, match="codemie-proxy keys add"):
            await stranger.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])


async def test_a_websocket_upgrade_goes_through_the_same_gate(gate: Door) -> None:
    before = len(gate.received())
    upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
    upgrade.append(("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="))
    for headers in (upgrade, [*upgrade, ("authorization", f"Bearer {gate.keys['eve']}")]):
        async with Http1(gate.proxy.port) as client:
            assert (await client.ask("GET", "/v1/responses", headers)).status == 401
    assert len(gate.received()) == before
    keyed = {"authorization": f"Bearer {gate.keys['ann']}", "openai-beta": "responses_websockets=2026-02-06"}
    async with KeyedWebSocket(gate.proxy.port, "/v1/responses", keyed) as socket:
        await socket.say(json.dumps({"type": "response.create", "model": "m", "input": "Hello"}))
        assert json.loads(await socket.hear())["type"] == "response.created"
    received = gate.received()[-1]
    assert (received.header("authorization"), received.header("openai-beta")) == (None, keyed["openai-beta"])


def test_health_is_open_to_this_machine_and_says_what_is_asked_for(gate: Door) -> None:
    [found] = [addon for addon in gate.proxy.health()["addons"] if addon["name"] == "proxy_access"]
    assert found["state"] == "active"
    assert found["details"] == {"asks_for_keys": True, "keys": 2, "problem": ""}


def test_no_key_is_in_what_upstream_log_health_and_saved_flows_hold(home: Path, gate: Door) -> None:
    """Stands last of those that share the proxy: after all they sent."""
    both = {"x-api-key": gate.keys["ann"], "authorization": PROVIDER}
    for headers in (both, {"x-api-key": WRONG}, {"authorization": basic("eve", gate.keys["eve"])}):
        ask(gate.proxy.url, headers=headers)
    health = json.dumps(gate.proxy.health())
    gate.proxy.stop()
    arrived = repr([(received.target, received.headers, received.body) for received in gate.received()])
    saved = home / "saved"
    assert b"/v1/messages" in saved.read_bytes()
    assert any(path.parent.name == "logs" for path in gate.written())
    wire = [basic(name, key).removeprefix("Basic ") for name, key in gate.keys.items()]
    secrets = [*gate.secrets(), *wire, WRONG[-43:]]
    assert "sk-ant-planted-provider" in saved.read_text("latin-1")
    assert holds([arrived, health, gate.proxy.log, saved, *gate.written()], secrets) == []


def test_a_key_added_while_it_runs_closes_the_gate_and_a_revoked_one_stops_at_once() -> None:
    with door(keys=()) as open_door:
        url = open_door.proxy.url
        assert ask(url).status_code == 200
        key = open_door.add("ann")
        until(lambda: ask(url).status_code == 401)
        with httpx.Client(trust_env=False) as client:
            assert client.post(f"{url}/v1/messages", json={}, headers={"x-api-key": key}).status_code == 200
            open_door.store.revoke("ann")
            until(lambda: client.post(f"{url}/v1/messages", json={}, headers={"x-api-key": key}).status_code == 401)
        assert ask(url).status_code == 401


async def test_an_open_websocket_carries_nothing_once_its_key_is_revoked() -> None:
    turn = json.dumps({"type": "response.create", "model": "m", "input": "Hello"})
    with door() as closed:
        async with KeyedWebSocket(closed.proxy.port, "/v1/responses", {"x-api-key": closed.keys["ann"]}) as socket:
            await socket.say(turn)
            while json.loads(await socket.hear())["type"] != "response.completed":
                pass
            closed.store.revoke("ann")
            until(lambda: ask(closed.proxy.url, x_api_key=closed.keys["ann"]).status_code == 401)
            await socket.say(turn)
            # Another client's whole turn: had it been let through, the message would have arrived before.
            async with KeyedWebSocket(closed.proxy.port, "/v1/responses", {"x-api-key": closed.keys["bob"]}) as other:
                await other.say(turn)
                await other.hear()
            assert len(closed.received()[0].messages) == 1
            async with asyncio.timeout(60):
                assert await socket.end() == (1008, "The client key of this connection is no longer valid.")


def test_a_file_damaged_while_it_runs_stops_everybody_until_it_is_whole_again() -> None:
    with door() as closed:
        url, key, whole = closed.proxy.url, closed.keys["ann"], closed.store.path.read_text()
        closed.store.path.write_text(whole[: len(whole) // 2])
        until(lambda: ask(url, x_api_key=key).status_code == 503)
        assert "keys.json" in ask(url, x_api_key=key).json()["error"]["message"]
        closed.proxy.wait_for_log("Nobody is let in")
        assert len([line for line in closed.proxy.lines if "Nobody is let in" in line]) == 1
        closed.store.path.write_text(whole)
        until(lambda: ask(url, x_api_key=key).status_code == 200)


def test_a_file_that_vanishes_while_it_runs_opens_nothing() -> None:
    with door() as closed:
        closed.store.path.unlink()
        until(lambda: ask(closed.proxy.url, x_api_key=closed.keys["ann"]).status_code == 503)
        assert ask(closed.proxy.url).status_code == 503
        closed.proxy.wait_for_log("keys.json is gone.*restart the proxy")


def test_a_proxy_does_not_start_with_keys_it_cannot_read(codemie_home: Path) -> None:
    path = codemie_home / "proxy" / "keys.json"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text('{"version": 1, "keys": [')
    code, log = failing_start("--mode", "reverse:http://127.0.0.1:9", scripts=[ALONE])
    assert code != 0
    assert f"{path} is no list of client keys" in log
    assert "Traceback" not in log


def test_alone_it_is_a_gate_too() -> None:
    with door(scripts=[ALONE]) as closed:
        assert ask(closed.proxy.url).status_code == 401
        assert ask(closed.proxy.url, x_api_key=closed.keys["ann"]).status_code == 200
        assert len(closed.received()) == 1


def test_without_keys_this_machine_needs_none() -> None:
    with door(keys=()) as open_door:
        assert ask(open_door.proxy.url, authorization=PROVIDER).status_code == 200
        assert open_door.received()[0].header("authorization") == PROVIDER
