"""A day with the product, from end to end: real commands, the real SDK, and a scripted CodeMie."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx
import pytest

from support.cli import COMMAND, Outcome, environ, run
from support.codemie_backend import CodemieBackend, ExpiredAs
from support.proxy import Mitmproxy


@contextmanager
def started(*arguments: str) -> Iterator[Mitmproxy]:
    with Mitmproxy(scripts=(), command=[*COMMAND, "start", *arguments, "--"], env=environ()) as proxy:
        proxy.wait_for_log("stop +Ctrl-C")
        yield proxy


def sign_in(backend: CodemieBackend, tmp_path: Path) -> Outcome:
    """`auth login`, and a person who takes the address it prints to a browser."""
    address = tmp_path / "address"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" >{address}.part && mv {address}.part {address}\n')
    browser.chmod(0o700)
    address.unlink(missing_ok=True)
    person = threading.Thread(target=go_through_login_page, args=(address,))
    person.start()
    outcome = run("auth", "login", env=environ(BROWSER=str(browser)))
    person.join()
    return outcome


def go_through_login_page(address: Path) -> None:
    patience = threading.Event()
    while not address.exists():
        patience.wait(0.05)
    with httpx.Client(trust_env=False) as client:
        done = client.post(f"{address.read_text()}/done")
        client.get(done.headers["location"]).raise_for_status()


def ask(proxy: Mitmproxy) -> str:
    with (
        anthropic.Anthropic(base_url=proxy.url, api_key="any", max_retries=0, timeout=20) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        return "".join(stream.text_stream)


@pytest.mark.parametrize("shown_as", ["redirect", "401", "403", "html"])
def test_sign_in_work_expire_sign_in_again_and_the_log_tells_it(
    shown_as: ExpiredAs, codemie_home: Path, tmp_path: Path
) -> None:
    with CodemieBackend() as backend:
        backend.expired_as = shown_as
        codemie_home.mkdir(mode=0o700)
        profile = {"provider": "ai-run-sso", "codeMieUrl": backend.url}
        (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
        with started() as proxy:
            with pytest.raises(anthropic.AuthenticationError, match="Run: codemie-proxy auth login"):
                ask(proxy)
            assert backend.requests == []

            first = sign_in(backend, tmp_path)
            assert first.code == 0, first.err
            assert ask(proxy)

            for cookies in list(backend.sessions.values()):
                backend.expire(cookies)
            with pytest.raises(anthropic.AuthenticationError, match=r"has expired\. Run: codemie-proxy auth login"):
                ask(proxy)

            assert sign_in(backend, tmp_path).code == 0
            assert ask(proxy)
            assert proxy.stop() == 0
        secrets = [value for cookies in backend.sessions.values() for value in cookies.values()]
    log = "".join(path.read_text() for path in (codemie_home / "logs").glob("debug-*.log"))
    access = [line for line in log.splitlines() if "[proxy-access]" in line]
    assert [line.split(" status=")[1].split()[0] for line in access] == ["401", "200", "401", "200"]
    assert all("path=/v1/messages" in line or "path=/code-assistant-api/v1/messages" in line for line in access)
    assert secrets
    assert not [secret for secret in secrets if secret in log + proxy.log + first.out + first.err]
