import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.trial import MEANINGS
from codemie_core.demo.absent import closed_port
from codemie_core.demo.script import Step
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.oauth.tokens import Tokens
from codemie_core.store.secrets import drop_secret
from support.accounts_cli import SECRET, add, call
from support.oauth_server import OAuthServer
from support.stored import StoredHome, new_account


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


@pytest.mark.parametrize(
    "provider, path, header, value",
    [
        ("anthropic", "/v1/models", "x-api-key", SECRET),
        ("openai", "/v1/models", "authorization", f"Bearer {SECRET}"),
        ("gemini", "/v1beta/models", "x-goog-api-key", SECRET),
        ("openai-compatible", "/v1/models", "authorization", f"Bearer {SECRET}"),
    ],
)
def test_it_asks_once_for_the_models_with_the_secret_where_the_provider_wants_it(
    provider: str, path: str, header: str, value: str, upstream: UpstreamThread
) -> None:
    add("main", "--base-url", upstream.url, provider=provider)
    outcome = call("test", "main")
    assert outcome.exit_code == 0
    assert outcome.stdout == f"GET {upstream.url}{path}: 200, 1 model\nmain: its secret is good\n"
    [request] = upstream.upstream.requests
    assert (request.method, request.path, request.header(header)) == ("GET", path, value)
    assert (request.header("user-agent") or "").startswith("codemie-proxy/")
    assert SECRET not in outcome.output


@pytest.mark.parametrize("status", sorted(MEANINGS.keys() - {200}))
def test_each_status_says_what_it_means(status: int, upstream: UpstreamThread) -> None:
    add("main", "--base-url", upstream.url)
    upstream.call(upstream.upstream.script, Step(status=status))
    outcome = call("test", "main")
    assert f": {status}\nmain: {MEANINGS[status]}\n" in outcome.stdout
    assert outcome.exit_code == (0 if status == 429 else 1)
    assert ("codemie-proxy accounts key main" in outcome.stderr) is (status in (400, 401, 402, 403))
    assert len(upstream.upstream.requests) == 1


def test_a_redirect_is_not_followed(upstream: UpstreamThread) -> None:
    add("main", "--base-url", upstream.url)
    upstream.call(upstream.upstream.script, Step(status=302, headers=[("location", f"{upstream.url}/elsewhere")]))
    outcome = call("test", "main")
    assert f"this address sends on to {upstream.url}/elsewhere" in outcome.stdout
    assert outcome.exit_code == 1
    assert len(upstream.upstream.requests) == 1


def test_a_page_in_place_of_models_is_told(upstream: UpstreamThread) -> None:
    add("main", "--base-url", upstream.url)
    upstream.call(upstream.upstream.script, Step(body="<html>", headers=[("content-type", "text/html")]))
    assert "something answered, but not with a list of models" in call("test", "main").stdout


def test_nobody_there_is_told_without_a_traceback() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    add("main", "--base-url", url)
    outcome = call("test", "main")
    assert outcome.stdout == f"GET {url}/v1/models: no answer\nmain: it could not be asked (ConnectError)\n"
    assert outcome.exit_code == 1


def test_for_programs_it_is_one_object(upstream: UpstreamThread) -> None:
    add("main", "--base-url", upstream.url)
    assert json.loads(call("test", "main", "--json").stdout) == {
        "account": "main",
        "url": f"{upstream.url}/v1/models",
        "status": 200,
        "secret_accepted": True,
        "meaning": "its secret is good",
        "models": 1,
    }


def test_a_secret_elsewhere_is_taken_from_there(upstream: UpstreamThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_KEY", "planted-of-a-variable")
    call("add", "ci", "--provider", "anthropic", "--base-url", upstream.url, "--env", "CI_KEY")
    call("add", "cmd", "--provider", "anthropic", "--base-url", upstream.url, "--command", "echo planted-of-a-command")
    assert call("test", "ci").exit_code == call("test", "cmd").exit_code == 0
    keys = [request.header("x-api-key") for request in upstream.upstream.requests]
    assert keys == ["planted-of-a-variable", "planted-of-a-command"]
    monkeypatch.delenv("CI_KEY")
    with pytest.raises(SecretTrouble, match="account ci: CI_KEY is not set here; a proxy has it"):
        call("test", "ci")


def test_an_outbound_proxy_of_its_own_is_used_and_signed_in_to() -> None:
    head: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                head.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        proxy = f"http://ann@127.0.0.1:{listener.getsockname()[1]}"
        arguments = ["--base-url", "https://llm.example.com", "--outbound-proxy", proxy]
        call("add", "main", "--provider", "openai", *arguments, typed=f"{SECRET}\nplanted:word\n")
        outcome = call("test", "main")
        thread.join(60)
    assert head[0].startswith(b"CONNECT llm.example.com:443 ")
    assert b"Basic YW5uOnBsYW50ZWQ6d29yZA==" in head[0]
    assert SECRET.encode() not in head[0]
    assert "it could not be asked (the proxy on the way answers 407)" in outcome.stdout
    assert "planted" not in outcome.output


def test_of_a_sign_in_only_the_access_token_goes_out_renewed_where_that_is_due(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    with OAuthServer() as server:
        server.configure(home.places)
        for name, left, refreshes in (("fresh", 1800.0, 0), ("over", -5.0, 1)):
            account = new_account(name, server.url, "anthropic-compatible", kind=Kind.OAUTH)
            home.add(account, server.sign_in(left).dump())
            outcome = call("test", name)
            assert (outcome.exit_code, server.calls("/token")) == (0, refreshes), outcome.output
        home.write(lambda connection: drop_secret(connection, account.id))
        with pytest.raises(SecretTrouble, match="account over: the vault holds no sign-in for it"):
            call("test", "over")


def test_beside_a_sign_in_with_anthropic_goes_the_word_for_it(upstream: UpstreamThread, codemie_home: Path) -> None:
    tokens = Tokens(SecretStr("planted-access"), None, None, 0.0, "", "anthropic")
    StoredHome(codemie_home).add(new_account("me", upstream.url, kind=Kind.OAUTH), tokens.dump())
    assert call("test", "me").exit_code == 0
    (asked,) = upstream.upstream.requests
    assert asked.header("authorization") == "Bearer planted-access"
    assert asked.header("anthropic-beta") == "oauth-2025-04-20"
