"""A day with the product, from end to end: real commands, the real SDK, and a scripted CodeMie."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx
import pytest

from support.cli import COMMAND, Outcome, environ, run
from support.codemie_backend import CodemieBackend, ExpiredAs
from support.proxy import Mitmproxy

PATIENCE = 60.0
WAYS: tuple[ExpiredAs, ...] = ("redirect", "401", "403", "html")


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
    outcome = run("auth", "login", env=environ(BROWSER=str(browser)), timeout=PATIENCE)
    person.join()
    return outcome


def go_through_login_page(address: Path) -> None:
    patience, give_up = threading.Event(), time.monotonic() + PATIENCE
    while not address.exists():
        assert time.monotonic() < give_up, "no address to go to"
        patience.wait(0.05)
    with httpx.Client(trust_env=False) as client:
        done = client.post(f"{address.read_text()}/done")
        client.get(done.headers["location"]).raise_for_status()


def ask(proxy: Mitmproxy) -> str:
    with (
        anthropic.Anthropic(base_url=proxy.url, api_key="any", max_retries=0, timeout=PATIENCE) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream,
    ):
        return "".join(stream.text_stream)


def test_sign_in_work_expire_sign_in_again_and_the_log_tells_it(codemie_home: Path, tmp_path: Path) -> None:
    secrets: list[str] = []
    told = ""
    with CodemieBackend() as backend:
        codemie_home.mkdir(mode=0o700)
        profile = {"provider": "ai-run-sso", "codeMieUrl": backend.url}
        (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
        with started() as proxy:
            with pytest.raises(anthropic.AuthenticationError, match="Run: codemie-proxy auth login"):
                ask(proxy)
            assert backend.requests == []

            for shown_as in WAYS:
                outcome = sign_in(backend, tmp_path)
                assert outcome.code == 0, outcome.err
                assert ask(proxy)

                [cookies] = backend.sessions.values()
                backend.expire(cookies)
                backend.expired_as = shown_as
                with pytest.raises(anthropic.AuthenticationError, match=r"has expired\. Run: codemie-proxy auth login"):
                    ask(proxy)
                secrets += cookies.values()
                told += outcome.out + outcome.err
            assert proxy.stop() == 0
    log = "".join(path.read_text() for path in sorted((codemie_home / "logs").glob("debug-*.log")))
    access = [line for line in log.splitlines() if "[proxy-access]" in line]
    assert [line.split(" status=")[1].split()[0] for line in access] == ["401", *["200", "401"] * len(WAYS)]
    assert all("path=/v1/messages" in line or "path=/code-assistant-api/v1/messages" in line for line in access)
    assert secrets
    assert not [secret for secret in secrets if secret in log + proxy.log + told]
