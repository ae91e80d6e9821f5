"""Secrets of accounts, from every place they can be had from, through a real proxy that says all it can.

Afterwards they are looked for, whole and in pieces, plain and encoded: in every file below the home (log, database, its
WAL, its backups), in saved flows, in what proxy and commands have printed, in /health and in the processes themselves.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Kind
from codemie_core.demo.absent import closed_port
from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.upstream import Upstream
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from codemie_core.store import migrate
from codemie_core.store.database import open_database
from codemie_core.store.place import DATABASE_VARIABLE
from support import cli, forged, secret_service
from support.certificates import Authority
from support.connect_proxy import ConnectProxy
from support.matrix import all_of, ask, upgrade
from support.planted import Planted
from support.proxy import BUNDLE, Mitmproxy, failing_start
from support.stored import StoredHome, new_account

TRACE = 16
"""Longer than what all keys of a kind begin with."""
VARIABLE = "KEY_OF_AN_ACCOUNT"
OPTIONS: dict[str, object] = {
    "flow_detail": 4,
    "termlog_verbosity": "debug",
    "codemie_request_log_bodies": True,
    "codemie_request_log_every": 1,
    "codemie_upstream_attempts_backoff": "1ms",
}
COMMAND = """
import os, sys
with open(sys.argv[1], "a") as seen:
    print(sys.argv, *(f"{name}={value}" for name, value in os.environ.items()), sep="\\n", file=seen)
print(open(sys.argv[2]).read())
"""
"""Stands for a password manager's: tells what it was given, then the secret."""
PRYING = """
from mitmproxy import ctx
from codemie_core.addon import Addon
from codemie_core.exchange import exchange_of

class Prying(Addon, priority=30):
    def request(self, flow):
        self.tell(exchange_of(flow))

    def exchange_done(self, exchange):
        self.tell(exchange)

    def tell(self, exchange):
        rotation = ctx.master.addons.get("account_rotation")
        said = " ".join([*held([exchange.credentials, exchange], 2), *held(rotation, 5)])
        print("PRYING", said, flush=True)
        raise ValueError(said)

def held(thing, depth):
    yield f"{thing} {thing!r}"
    inside = []
    if isinstance(thing, (list, tuple, dict)):
        inside = thing.values() if isinstance(thing, dict) else thing
    elif type(thing).__module__.startswith(("codemie_core", "account_rotation")):
        inside = [value for name, value in getattr(thing, "__dict__", {}).items() if name != "_environ"]
    for one in inside if depth else ():
        yield from held(one, depth - 1)

addons = [Prying()]
"""
"""Prints all that is held of accounts, then quotes it in an exception."""


@dataclass
class Secrets:
    """One of each kind, met nowhere else, so that whatever looks like one is one."""

    vault: str
    env: str
    command: str
    tunneled: str
    password: str
    access: str
    refresh: str
    new_access: str
    new_refresh: str
    own: str

    authorization: str = ""
    """The password as it goes to its proxy."""

    def __post_init__(self) -> None:
        self.authorization = base64.b64encode(f"someone:{self.password}".encode()).decode()

    def found_in(self, shown: Mapping[str, bytes], *but: str) -> set[tuple[str, str]]:
        """Which of them can be read where."""
        return found({kind: secret for kind, secret in vars(self).items() if kind not in but}, shown)


def found(secrets: Mapping[str, str], shown: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Which secret can be read where, whole or a piece of it."""
    return {
        (kind, place)
        for kind, secret in secrets.items()
        for trace in Planted(kind, "", secret, secret).traces(TRACE)
        for place, text in shown.items()
        if trace.encode() in text
    }


@pytest.fixture
def planted() -> Secrets:
    dice = random.Random("accounts")

    def token(size: int) -> str:
        return base64.urlsafe_b64encode(dice.randbytes(size)).decode().rstrip("=")

    return Secrets(
        vault=f"sk-ant-api03-{token(70)}AA",
        env=f"sk-proj-{token(48)}",
        command=dice.randbytes(20).hex(),
        tunneled=f"AIza{token(27)[:35]}",
        password=token(24),
        access=token(60),
        refresh=token(60),
        new_access=token(60),
        new_refresh=token(60),
        own=f"sk-ant-api03-{token(70)}AA",
    )


def accounts(*arguments: str, typed: str = "", code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """All that the command says."""
    environ = cli.environ(**{"CODEMIE_DEBUG": "1", **(env or {})})
    done = forged.run([*cli.COMMAND, "accounts", *arguments], environ, typed=typed)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def texts(folder: Path) -> dict[str, bytes]:
    """Every file below it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def seen_of(process: psutil.Process) -> dict[str, bytes]:
    """What other programs of this user can see of it and its children."""
    everybody = [process, *process.children(recursive=True)]
    lines = {f"argv {one.pid}": "\0".join(one.cmdline()) for one in everybody}
    lines |= {f"environ {one.pid}": str(one.environ()) for one in everybody}
    return {place: text.encode() for place, text in lines.items()}


class Scene:
    """A home with an account of each source, before one upstream; `shown` collects what was said about them."""

    def __init__(self, planted: Secrets, folder: Path, upstream: Upstream, way: ConnectProxy) -> None:
        self.planted, self.folder, self.upstream, self.way = planted, folder, upstream, way
        self.shown: dict[str, bytes] = {}
        self.names = ("vault", "env", "command", "tunneled", "signed")

    def say(self, where: str, text: str) -> None:
        self.shown[f"{where} {len(self.shown)}"] = text.encode()

    def accounts(self, *arguments: str, **more: Any) -> None:
        self.say(f"accounts {arguments[0]}", accounts(*arguments, **more))

    def fill(self) -> None:
        """By the commands that people use."""
        (self.folder / "secret").write_text(self.planted.command)
        words = [sys.executable, "-c", COMMAND, str(self.folder / "given"), str(self.folder / "secret")]
        url, other = self.upstream.url, "https://tunneled.test:8443"
        here = ("--provider", "anthropic-compatible", "--base-url", url)
        there = ("--provider", "openai-compatible", "--base-url", other, "--serves", url)
        way = ("--outbound-proxy", self.way.url("someone"))
        self.accounts("add", "vault", *here, "--allow", "vault", typed=f"{self.planted.vault}\n")
        self.accounts("add", "env", *here, "--allow", "env", "--env", VARIABLE)
        self.accounts("add", "command", *here, "--allow", "command", "--command", shlex.join(words))
        typed = f"{self.planted.tunneled}\n{self.planted.password}\n"
        self.accounts("add", "tunneled", *there, "--allow", "tunneled", *way, typed=typed)

    def sign_in(self, home: Path, service: Upstream) -> None:
        """An account with a sign-in whose token has just run out, so that the first request renews it."""
        about = {"provider": "openai-compatible", "base_url": self.upstream.url}
        service_urls = {"token_url": f"{service.url}/token", "client_id": "planted"}
        (home / "proxy/providers.yaml").write_text(json.dumps({"mine": about | service_urls}))
        new = {"access_token": self.planted.new_access, "refresh_token": self.planted.new_refresh}
        service.script(then=Step(body=json.dumps(new | {"token_type": "Bearer", "expires_in": 3600})))
        access, refresh = SecretStr(self.planted.access), SecretStr(self.planted.refresh)
        tokens = Tokens(access, refresh, time.time() - 1, time.time() - 3600, "", "mine")
        account = new_account("signed", self.upstream.url, about["provider"], kind=Kind.OAUTH, allow=("signed",))
        StoredHome(home).add(account, tokens.dump())

    def ask_about(self) -> None:
        """Every command that tells of accounts."""
        for arguments in (["list"], ["list", "--json"], ["events"], ["test", "vault"]):
            self.accounts(*arguments)
        for name in self.names:
            self.accounts("show", name)
        self.accounts("pause", "tunneled", "--reason", "budget")
        self.accounts("show", "tunneled", "--json")
        self.say("status", cli.run("status", "--json", env=cli.environ()).out)

    async def requests(self, proxy: Mitmproxy) -> None:
        """One for each account; with the client's own key."""
        own = [("authorization", f"Bearer {self.planted.own}"), ("x-api-key", self.planted.own)]
        for name in self.names:
            for stream in ("true", "false"):
                body = b'{"model": "%s", "stream": %s}' % (name.encode(), stream.encode())
                assert (await ask(proxy, "/v1/messages", own, body=body)).status == 200
            self.say("health", json.dumps(proxy.health()))
        assert (await upgrade(proxy, "/v1/responses", own)).status == 101


def back_up(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open the database as a program would that brings one more version of its tables."""
    last = migrate.known_versions()[-1]
    shutil.copytree(migrate.MIGRATIONS, folder / "migrations")
    more = f'revision, down_revision = "9999", "{last}"\n\n\ndef upgrade() -> None:\n    pass\n'
    (folder / "migrations/versions/v9999_more.py").write_text(more)
    monkeypatch.setattr(migrate, "MIGRATIONS", folder / "migrations")
    open_database(Places(home), {}).close()


@pytest.mark.slow
async def test_secrets_of_accounts_are_found_nowhere(
    planted: Secrets, tmp_path: Path, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, saved = Authority(tmp_path), tmp_path / "flows"
    prying = tmp_path / "prying.py"
    prying.write_text(PRYING)
    options = OPTIONS | {"codemie_upstream_attempts_ca_file": authority.pem}
    async with (
        Upstream() as upstream,
        Upstream(authority.server("tunneled.test")) as tunneled,
        Upstream() as service,
        ConnectProxy({"tunneled.test": tunneled.port}) as way,
    ):
        scene = Scene(planted, tmp_path, upstream, way)
        await asyncio.to_thread(scene.fill)
        scene.sign_in(codemie_home, service)
        env = {"CODEMIE_DEBUG": "1", VARIABLE: planted.env}
        args = ("--mode", f"reverse:{upstream.url}", "-w", str(saved))
        with Mitmproxy(*args, options=options, scripts=(BUNDLE, prying), env=env, fresh=True) as proxy:
            await scene.requests(proxy)
            await asyncio.to_thread(scene.ask_about)
            process = psutil.Process(proxy.process.pid)
            assert planted.found_in(seen_of(process), "env") == set()
            proxy.process.kill()
            proxy.process.wait()
        # Each secret did go where it belongs.
        sent = [request.keys for request in (*upstream.requests, *tunneled.requests)]
        for secret in (planted.vault, planted.env, planted.command, planted.tunneled, planted.new_access):
            assert [secret] in sent
        assert planted.refresh in all_of(service)
    scene.say("output", proxy.log)
    for held in ("PRYING [[<Credential(", "<Vault(", "TokenKeeper object", "SecretStr('*****"):
        assert held in proxy.log
    assert (codemie_home / "proxy/proxy.db-wal").stat().st_size
    assert planted.found_in(texts(codemie_home)) == set()
    back_up(codemie_home, tmp_path, monkeypatch)
    assert list((codemie_home / "proxy/backups").glob("*.db"))
    assert planted.found_in(scene.shown | texts(codemie_home)) == set()
    assert planted.found_in({"flows": saved.read_bytes()}, "own") == set()
    given = {"given to the command": (tmp_path / "given").read_bytes()}
    assert given["given to the command"]
    # It gets the environment of the proxy, as programs do, and with it what the operator put there.
    assert planted.found_in(given, "env") == set()


STATUSES = (400, 401, 402, 403, 429, 500, 503, 529)
GIVEN_ON = (400, 403, 500, 503)
"""Statuses whose answer is the client's, and so is what it quotes."""


def quoting(received: Received) -> Step:
    """An upstream that repeats the key that it was given."""
    [key] = received.keys
    model = received.header("x-model") or "list-401"
    error = {"type": "error", "error": {"type": "some_error", "message": f"canary-{model} {key}", "of": key}}
    fields = [("x-key", key), ("set-cookie", f"key={key}"), ("request-id", key)]
    return Step(status=int(model.rpartition("-")[2]), body=json.dumps(error), headers=fields)


async def test_what_an_upstream_quotes_of_a_key_is_in_no_log(planted: Secrets, codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    shown: dict[str, bytes] = {}
    cases = [(kind, f"{kind}-{status}", status) for kind in ("vault", "env", "tunneled") for status in STATUSES]
    async with Upstream() as upstream:
        upstream.script(then=quoting)
        for kind, name, _ in cases:
            home.key(name, upstream.url, vars(planted)[kind], provider="anthropic-compatible", allow=(name,))
        with Mitmproxy("--mode", f"reverse:{upstream.url}", options=OPTIONS | {"flow_detail": 1}) as proxy:
            for _, name, status in cases:
                body = b'{"model": "%s"}' % name.encode()
                answer = await ask(proxy, "/v1/messages", [("x-model", name)], body=body)
                assert answer.status >= 400
                if status not in GIVEN_ON:
                    shown[f"answer to {name}"] = str(answer).encode()
            shown["health"] = json.dumps(proxy.health()).encode()
            for arguments in (["test", "vault-400"], ["test", "env-400", "--json"]):
                shown[str(arguments)] = (await asyncio.to_thread(accounts, *arguments, code=1)).encode()
            shown["events"] = (await asyncio.to_thread(accounts, "events")).encode()
        shown["output"] = proxy.log.encode()
    files = texts(codemie_home)
    assert planted.found_in(shown | files) == set()
    log = b"".join(text for place, text in files.items() if place.startswith("logs"))
    for _, name, status in cases:
        assert status not in GIVEN_ON or f"canary-{name} ".encode() in log


async def test_with_a_keyring_neither_a_secret_nor_the_vaults_key_is_in_a_file(
    planted: Secrets, tmp_path: Path, codemie_home: Path
) -> None:
    with secret_service.session(tmp_path / "bus") as bus:
        secret_service.put("of-the-keyring", planted.command, bus)
        async with Upstream() as upstream:
            here = ("--provider", "anthropic-compatible", "--base-url", upstream.url)
            told = accounts("add", "vault", *here, "--allow", "vault", typed=f"{planted.vault}\n", env=bus)
            told += accounts("add", "ring", *here, "--allow", "ring", "--keyring", "of-the-keyring", env=bus)
            with Mitmproxy("--mode", f"reverse:{upstream.url}", options=OPTIONS, env=bus) as proxy:
                for name in ("vault", "ring"):
                    body = b'{"model": "%s"}' % name.encode()
                    assert (await ask(proxy, "/v1/messages", body=body)).status == 200
                told += json.dumps(proxy.health())
        assert [request.keys for request in upstream.requests] == [[planted.vault], [planted.command]]
        kept = secret_service.kept(bus)
    [key] = re.findall(r'"keys": \{"\w+": "([^"]+)"', kept)
    shown = {"told": told.encode(), "output": proxy.log.encode(), **texts(codemie_home)}
    assert found({"vault": planted.vault, "keyring": planted.command, "the vault's key": key}, shown) == set()
    assert not (codemie_home / "proxy/vault.key").exists()


def test_the_databases_password_is_in_no_message_when_it_cannot_be_reached(
    planted: Secrets, codemie_home: Path
) -> None:
    url = f"postgresql://someone:{planted.password}@127.0.0.1:{closed_port()}/codemie"
    env = {DATABASE_VARIABLE: url, "CODEMIE_DEBUG": "1"}
    code, printed = failing_start(env=env)
    assert code
    printed += accounts("list", code=1, env=env)
    assert "someone" in printed or "127.0.0.1" in printed
    assert planted.found_in({"printed": printed.encode(), **texts(codemie_home)}) == set()
