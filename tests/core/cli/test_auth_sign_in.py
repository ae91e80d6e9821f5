"""What `auth login PROVIDER` tells before anybody goes to a browser. The rest: tests/process/test_oauth_login.py."""

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from codemie_core.accounts.account import Kind
from codemie_core.cli import auth_sign_in
from codemie_core.cli.accounts_book import Book
from codemie_core.oauth.login import Answer
from codemie_core.oauth.providers import provider_named
from support.cli import call
from support.oauth_server import OAuthServer
from support.stored import StoredHome, new_account

PAGE = "https://login.lab.test/code"


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with OAuthServer() as running:
        yield running


@pytest.fixture
def home(server: OAuthServer, codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> StoredHome:
    monkeypatch.setenv("CODEMIE_HOME", str(codemie_home))
    nobody = os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(auth_sign_in, "_STDIN", nobody)
    stored = StoredHome(codemie_home)
    server.configure(stored.places)
    return stored


@pytest.mark.parametrize(
    "fields, options, said",
    [
        ({"client_id": ""}, [], "lab: no client id is set. Register a client of your own with lab and write it into"),
        ({"client_id": ""}, [], "as lab: {client_id: ...}, or set CODEMIE_OAUTH_LAB_CLIENT_ID"),
        (
            {"provider": "codemie", "base_url": ""},
            [],
            "lab has no base_url: write where its API is into providers.yaml",
        ),
        ({"device_url": ""}, ["--device"], "lab has no device_url, so --device cannot be used; leave it out"),
        ({"redirect_uri": PAGE}, [], "lab shows a code to paste, and nobody is here to do so: add --paste"),
        ({"redirect_uri": PAGE}, ["--paste"], "standard input ended without the code, or the address you ended at"),
        ({}, ["--name", "two words"], "'two words' is no name"),
        ({}, ["--name", "key"], "'key' is an account with a key: choose another name"),
        ({}, ["--name", "far"], "'far' is an account at https://elsewhere.test: choose another name"),
        ({}, ["--timeout", "1"], "nobody signed in within 1 seconds; run it again, with --timeout for more time"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_kept(
    home: StoredHome, server: OAuthServer, fields: dict[str, str], options: list[str], said: str
) -> None:
    home.add(new_account("key", server.url, "anthropic-compatible"), "planted")
    home.add(new_account("far", "https://elsewhere.test", "anthropic-compatible", kind=Kind.OAUTH), "planted")
    server.configure(home.places, **fields)
    outcome = call("auth", "login", "lab", "--no-browser", *options)
    assert outcome.code == 1
    assert said in outcome.err
    assert sorted(account.name for account in home.accounts()) == ["far", "key"]
    assert server.calls() == 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["login", "lab", "--url", "https://x.test"], "--url is for CodeMie's own sign-in only"),
        (["login", "lab", "--jwt"], "--jwt is for CodeMie's own sign-in only"),
        (["status", "lab", "--check"], "--check is for CodeMie's own sign-in only"),
        (["login", "--name", "work"], "--name is for accounts of the pool: name their provider first"),
        (["login", "--device"], "--device is for accounts of the pool"),
        (["logout", "--name", "work"], "--name is for accounts of the pool"),
    ],
)
def test_options_of_the_other_kind_of_sign_in_are_refused(home: StoredHome, arguments: list[str], said: str) -> None:
    outcome = call("auth", *arguments)
    assert outcome.code == 2
    assert said in " ".join(outcome.err.replace("│", " ").split())


def test_terms_are_told_where_they_matter(home: StoredHome, server: OAuthServer) -> None:
    for fields, told in (({"provider": "anthropic", "base_url": ""}, True), ({}, False)):
        server.configure(home.places, **fields)
        outcome = call("auth", "login", "lab", "--no-browser", "--timeout", "1")
        assert ("Use accounts of your own only." in outcome.err) is told


def test_a_registered_address_may_be_without_a_path(
    home: StoredHome, server: OAuthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def browse(address: str, environ: Mapping[str, str]) -> bool:
        ended = await asyncio.to_thread(httpx.get, address, follow_redirects=True, trust_env=False, timeout=60)
        return ended.status_code == 200

    monkeypatch.setattr(auth_sign_in, "open_browser", browse)
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    server.configure(home.places, redirect_uri=f"http://127.0.0.1:{port}")
    outcome = call("auth", "login", "lab", "--name", "work", "--timeout", "60")
    assert outcome.code == 0, outcome.err
    assert [account.name for account in home.accounts()] == ["work"]


def test_nothing_is_taken_before_the_sign_in_has_begun(home: StoredHome) -> None:
    book = Book()
    provider = provider_named(book.places, book.environ, "lab")
    waiting = auth_sign_in.SignIn(book, provider, "work", 1.0)
    found: list[Answer | None] = [
        waiting._read(target) for target in ("/", "/callback?code=x&state=", "/?code=x&state=")
    ]
    assert found == [None, None, None]
