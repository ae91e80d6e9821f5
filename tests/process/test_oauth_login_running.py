"""A sign-in and its end while a proxy runs: real commands, a real mitmdump, a real OAuth server with its API."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from codemie_core.places import Places
from support.cli import environ, run
from support.oauth_server import OAuthServer
from support.proxy import reverse

PATIENCE = 60.0
"""Seconds for what comes for certain: the promise is one, on a machine that does nothing else."""
OWN = "planted-key-of-the-client"

BROWSER = """#!/bin/sh
exec "{python}" -c '
import sys, httpx
client = httpx.Client(trust_env=False, timeout=60)
back = client.get(sys.argv[1]).headers["location"]
client.get(back, headers={{"sec-fetch-mode": "navigate"}}).raise_for_status()
' "$1"
"""


@pytest.fixture
def server(codemie_home: Path) -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        running.configure(Places(codemie_home))
        yield running


@pytest.fixture
def browser(tmp_path: Path) -> str:
    path = tmp_path / "browser"
    path.write_text(BROWSER.format(python=sys.executable))
    path.chmod(0o700)
    return str(path)


def status_through(url: str) -> int:
    body = {"model": "m", "max_tokens": 1, "messages": []}
    with httpx.Client(trust_env=False) as client:
        return client.post(f"{url}/v1/messages", json=body, headers={"authorization": f"Bearer {OWN}"}).status_code


def becomes(url: str, wanted: int) -> bool:
    give_up = time.monotonic() + PATIENCE
    while (found := status_through(url)) != wanted and time.monotonic() < give_up:
        time.sleep(0.1)
    return found == wanted


def test_a_running_proxy_serves_with_a_new_sign_in_and_stops_at_its_end(server: OAuthServer, browser: str) -> None:
    with reverse(server.url) as proxy:
        assert status_through(proxy.url) == 401  # the client's own key is none of this API's
        signed_in = run("auth", "login", "lab", "--name", "mine", env=environ(BROWSER=browser))
        assert signed_in.code == 0, signed_in.err
        assert becomes(proxy.url, 200)
        renewed = server.sign_ins[-1]
        again = run("auth", "login", "lab", "--name", "mine", env=environ(BROWSER=browser))
        assert again.code == 0, again.err
        renewed.over = True  # only the second one is good now
        assert becomes(proxy.url, 200)
        out = run("auth", "logout", "lab")
        assert out.code == 0, out.err
        assert server.sign_ins[-1].over
        assert becomes(proxy.url, 401)
        log = proxy.log
    for sign_in in server.sign_ins:
        assert not [token for token in (*sign_in.access, *sign_in.refresh) if token in log]
    assert OWN not in log
