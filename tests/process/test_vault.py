"""The vault's key and real proxies: rotated while they serve, killed half-way, missing, wrong, or open to others."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from codemie_core.demo.script import Step
from codemie_core.vault import Vault
from support import forged
from support.access import until
from support.cli import COMMAND, Outcome, environ, run
from support.proxy import Mitmproxy, failing_start, reverse
from support.scripted import Scripted
from support.stored import StoredHome

KEYS = {"main": "planted-key-of-main", "spare": "planted-key-of-spare"}
BODY = {"model": "demo-model", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as running:
        running.script(then=Step(text="hello"))
        yield running


@pytest.fixture
def home(codemie_home: Path, upstream: Scripted) -> StoredHome:
    """Two accounts; the second is only asked when the first cannot serve."""
    home = StoredHome(codemie_home)
    for priority, (name, key) in enumerate(KEYS.items()):
        home.key(name, upstream.url, key, priority=priority)
    return home


@pytest.fixture
def file(home: StoredHome) -> Path:
    return home.places.proxy / "vault.key"


def vault(*arguments: str) -> Outcome:
    return run("vault", *arguments)


def post(proxy: Mitmproxy) -> int:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}/v1/messages", json=BODY, headers={"x-api-key": "dummy"}).status_code


def test_a_running_proxy_serves_on_while_the_key_is_rotated(home: StoredHome, upstream: Scripted) -> None:
    statuses: list[int] = []
    over = threading.Event()

    def ask(proxy: Mitmproxy) -> None:
        while not over.is_set():
            statuses.append(post(proxy))

    with reverse(upstream.url) as proxy:
        asking = threading.Thread(target=ask, args=(proxy,))
        asking.start()
        try:
            until(lambda: len(statuses) > 3)
            for _ in range(2):
                outcome = vault("rotate")
                assert outcome.code == 0, outcome.err
            # The secret of this one was never read here, and it is sealed with the new key alone.
            home.change("main", "paused", paused="holidays")
            until(lambda: upstream.keys()[-1] == KEYS["spare"])
            home.key("new", upstream.url, "planted-key-of-new", priority=-1)
            until(lambda: upstream.keys()[-1] == "planted-key-of-new")
        finally:
            over.set()
            asking.join(60)
        assert set(statuses) == {200}
        assert set(upstream.keys()) == {*KEYS.values(), "planted-key-of-new"}
        assert "planted" not in proxy.log
        assert "cannot" not in proxy.log
    with reverse(upstream.url) as proxy:
        assert post(proxy) == 200
    assert upstream.keys()[-1] == "planted-key-of-new"


# The program of the command, which ends itself without any notice at the n-th thing that reaches the disk.
KILLED = """
import os, signal, sys
from codemie_core.cli.app import main
left = int(sys.argv.pop(1))
def step(event, arguments):
    global left
    mine = event == "os.rename" or event == "open" and str(arguments[0]).endswith(("vault.key", ".tmp"))
    left -= mine
    if mine and left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
import sqlalchemy
def statement(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", statement)
sqlalchemy.event.listen(sqlalchemy.Engine, "commit", statement)
main(["vault", "rotate"])
"""


def test_killed_in_the_middle_a_running_proxy_and_the_next_one_serve_all_the_same(
    home: StoredHome, upstream: Scripted, file: Path
) -> None:
    former = json.loads(file.read_text())["current"]
    with reverse(upstream.url) as proxy:
        assert post(proxy) == 200
        ended: list[int] = []
        for step in (1, 12, 20, 25, 30, 35, 1000):
            done = forged.run([COMMAND[0], "-c", KILLED, str(step)], environ())
            ended.append(done.returncode)
            assert post(proxy) == 200
            assert {name: home.secret(name) for name in KEYS} == KEYS
        assert ended[0] == -signal.SIGKILL
        assert ended.count(-signal.SIGKILL) >= 4
        assert ended[-1] == 0
        home.key("new", upstream.url, "planted-key-of-new", priority=-1)
        until(lambda: post(proxy) == 200 and upstream.keys()[-1] == "planted-key-of-new")
    assert former != json.loads(file.read_text())["current"]
    with reverse(upstream.url) as proxy:
        assert post(proxy) == 200


WRONG = {
    "missing": "the database holds sealed secrets, and not {file} has the key to them. Restore the file",
    "other": "the key in {file} is not the one that the database's secrets were sealed with: restore it",
    "readable": "{file} may be read by others, so its key is no secret; run: chmod 600 {file}",
    "nonsense": "{file} holds no vault key: restore it from a backup",
    "link": "{file} cannot be read",
}


def spoil(file: Path, how: str) -> None:
    if how == "missing":
        file.unlink()
    elif how == "readable":
        file.chmod(0o640)
    elif how == "link":
        file.symlink_to(file.rename(file.with_name("vault.elsewhere")))
    else:
        file.write_text(Vault.fresh().dump() if how == "other" else "nonsense")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_key_that_is_not_good_refuses_the_start_and_nothing_is_made_in_its_place(
    home: StoredHome, upstream: Scripted, file: Path, wrong: str
) -> None:
    spoil(file, wrong)
    before = sorted((path.name, path.lstat().st_mtime_ns) for path in file.parent.glob("vault*"))
    code, said = failing_start("--mode", f"reverse:{upstream.url}")
    assert code != 0, said
    assert WRONG[wrong].format(file=file) in " ".join(said.split()), said
    assert "Traceback" not in said
    assert "planted" not in said
    assert sorted((path.name, path.lstat().st_mtime_ns) for path in file.parent.glob("vault*")) == before
    assert upstream.requests == []


def test_the_commands_refuse_it_in_the_same_words(home: StoredHome, upstream: Scripted, file: Path) -> None:
    spoil(file, "missing")
    for outcome in (run("start", upstream.url, "--port", "0"), vault("rotate")):
        assert outcome.code != 0
        assert WRONG["missing"].format(file=file) in " ".join((outcome.out + outcome.err).split())


def test_without_anything_sealed_no_key_is_needed(codemie_home: Path, upstream: Scripted) -> None:
    home = StoredHome(codemie_home)
    home.key("main", upstream.url, "")
    with reverse(upstream.url) as proxy:
        assert proxy.health()["addons"]
    assert not (codemie_home / "proxy" / "vault.key").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_key_of_somebody_else_refuses_the_start(home: StoredHome, upstream: Scripted, file: Path) -> None:
    os.chown(file, 65534, -1)
    code, said = failing_start("--mode", f"reverse:{upstream.url}")
    assert code != 0
    assert "is not a file of your own" in " ".join(said.split())
