"""`codemie-proxy accounts` as a process: in front of a person, beside running proxies, on PostgreSQL."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from codemie_core.accounts import keeper
from codemie_core.demo.threaded import UpstreamThread
from codemie_core.store import worker
from support import forged
from support.cli import COMMAND, Outcome, environ
from support.postgres import Postgres, running_postgres
from support.proxy import BUNDLE, Mitmproxy, reverse
from support.terminal import Terminal

KEY, OTHER_KEY, OWN = "planted-key-of-main", "planted-key-of-spare", "planted-key-of-the-client"
BODY = {"model": "demo-model", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
COMMANDS = """
import json
from mitmproxy import ctx, exceptions, http

def request(flow):
    if flow.request.path == "/command":
        try:
            found = ctx.master.commands.execute(flow.request.get_text())
        except exceptions.CommandError as problem:
            found = f"refused: {problem}"
        flow.response = http.Response.make(200, json.dumps(found))

def responseheaders(flow):
    flow.response.headers["x-why"] = ctx.master.commands.call("codemie.accounts.why", flow)
"""


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


def accounts(*arguments: str, typed: str = "", **env: str) -> Outcome:
    """Run the command as a process, with `typed` on a pipe."""
    done = forged.run([*COMMAND, "accounts", *arguments], environ(**env), typed=typed)
    return Outcome(done.returncode, done.stdout, done.stderr)


def add(name: str, url: str, key: str, *arguments: str) -> None:
    outcome = accounts("add", name, "--provider", "anthropic", "--base-url", url, *arguments, typed=f"{key}\n")
    assert outcome.code == 0, outcome.err


def post(proxy: Mitmproxy, path: str = "/v1/messages", **more: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}{path}", **{"json": BODY, "headers": {"x-api-key": OWN}, **more})  # type: ignore[arg-type]  # whatever a test adds


def eventually(seen: Callable[[], object], wanted: object, within: float = 60.0) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while (found := seen()) != wanted:
        assert time.monotonic() - began < within, found
        time.sleep(0.05)
    return time.monotonic() - began


def test_the_key_is_typed_unseen(codemie_home: Path) -> None:
    with Terminal([*COMMAND, "accounts", "add", "main", "--provider", "anthropic"], environ()) as terminal:
        terminal.wait_for("The key of main for Anthropic .it stays hidden., Enter:")
        assert not terminal.echoes
        terminal.type(f"{KEY}\n")
        assert terminal.wait() == 0
        assert terminal.echoes
        assert "Added main: Anthropic at https://api.anthropic.com" in terminal.screen
        assert KEY not in terminal.screen
    assert [account["name"] for account in json.loads(accounts("list", "--json").out)] == ["main"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_who_leaves_at_the_prompt_leaves_nothing_behind(how: signal.Signals, codemie_home: Path) -> None:
    with Terminal([*COMMAND, "accounts", "add", "main", "--provider", "anthropic"], environ()) as terminal:
        terminal.wait_for("stays hidden")
        terminal.process.send_signal(how)
        assert terminal.wait() != 0
        assert terminal.echoes
        assert "Traceback" not in terminal.screen
    assert not codemie_home.exists()


def test_an_empty_line_at_the_prompt_is_no_key(codemie_home: Path) -> None:
    with Terminal([*COMMAND, "accounts", "add", "main", "--provider", "anthropic"], environ()) as terminal:
        terminal.wait_for("stays hidden")
        terminal.type("\n")
        assert terminal.wait() == 1
        assert "codemie-proxy: the key of main for Anthropic is empty; nothing was stored" in terminal.screen
    assert not codemie_home.exists()


def test_an_error_is_one_line_and_exit_code_1() -> None:
    outcome = accounts("add", "main", "--provider", "antropic")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("codemie-proxy: --provider antropic: there is no such provider; did you mean")
    assert outcome.err.count("\n") == 1
    assert accounts("list", "--jason").code == 2


def test_running_proxies_take_every_change_within_a_second(upstream: UpstreamThread) -> None:
    def sent() -> str | None:
        post(proxy)
        return upstream.upstream.requests[-1].header("x-api-key")

    with reverse(upstream.url) as proxy:
        assert sent() == OWN
        add("main", upstream.url, KEY)
        took = {"add": eventually(sent, KEY)}
        add("spare", upstream.url, OTHER_KEY, "--priority", "1")
        accounts("pause", "main", "--reason", "holidays")
        took["pause"] = eventually(sent, OTHER_KEY)
        accounts("resume", "main")
        took["resume"] = eventually(sent, KEY)
        accounts("priority", "main", "5")
        took["priority"] = eventually(sent, OTHER_KEY)
        accounts("key", "spare", typed="planted-third-key\n")
        took["key"] = eventually(sent, "planted-third-key")
        accounts("pause", "main")
        accounts("pause", "spare", "--reason", "all on holidays")
        took["empty"] = eventually(lambda: post(proxy).status_code, 503)
        assert "spare: paused: all on holidays" in post(proxy).text
        accounts("remove", "main", "--yes")
        accounts("remove", "spare", "--yes")
        took["remove"] = eventually(sent, OWN)
        # A second is promised: two looks. A busy machine may be late with one of them.
        assert worker.POLL + keeper.LOOK <= 1
        assert min(took.values()) < 2, took
        assert not any(key in proxy.log for key in (KEY, OTHER_KEY, "planted-third-key"))


def test_the_same_is_there_as_commands_of_mitmproxy(upstream: UpstreamThread, tmp_path: Path) -> None:
    def execute(command: str) -> object:
        return post(proxy, "/command", json=None, content=command).json()

    script = tmp_path / "commands.py"
    script.write_text(COMMANDS)
    add("main", upstream.url, KEY)
    add("spare", upstream.url, OTHER_KEY, "--priority", "1")
    with reverse(upstream.url, scripts=(BUNDLE, script)) as proxy:
        assert execute("codemie.accounts.list") == [
            "main (anthropic), priority 0: ready",
            "spare (anthropic), priority 1: ready",
        ]
        assert post(proxy).headers["x-why"].startswith("main: ")
        assert execute("codemie.accounts.pause main 'for a while'") is None
        eventually(
            lambda: execute("codemie.accounts.list"),
            ["main (anthropic), priority 0: paused: for a while", "spare (anthropic), priority 1: ready"],
        )
        assert post(proxy).headers["x-why"].startswith("spare: ")
        assert execute("codemie.accounts.strategy least-used") == "least-used"
        assert str(execute("codemie.accounts.show mian")).endswith("did you mean 'main'?")
        execute("codemie.accounts.resume main")
        execute("codemie.accounts.priority main 7")
        eventually(lambda: str(execute("codemie.accounts.list")).count("priority 7: ready"), 1)
    events = json.loads(accounts("events", "main", "--json").out)
    assert [event["event"] for event in events] == ["added", "paused", "resumed", "priority"]
    assert events[1]["who"] == "mitmproxy command"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.mark.postgres
def test_on_postgresql_it_is_all_the_same(
    postgres: Postgres, upstream: UpstreamThread, codemie_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEMIE_DATABASE_URL", postgres.new_database())
    assert json.loads(accounts("list", "--json").out) == []
    added = accounts("add", "main", "--provider", "anthropic", "--base-url", upstream.url, typed=f"{KEY}\n")
    assert "Your accounts are in postgresql" in added.err
    add("spare", upstream.url, OTHER_KEY)
    assert accounts("test", "main").code == 0
    for arguments in (
        ["pause", "main", "--reason", "holidays"],
        ["resume", "main"],
        ["priority", "main", "3"],
        ["rename", "main", "first"],
        ["strategy", "least-used"],
        ["remove", "spare", "--yes"],
    ):
        outcome = accounts(*arguments)
        assert (outcome.code, "planted" in outcome.out + outcome.err) == (0, False), outcome.err
    assert accounts("key", "first", typed="planted-third-key\n").code == 0
    [found] = json.loads(accounts("list", "--json").out)
    assert (found["name"], found["priority"], found["state"]) == ("first", 3, "ready")
    assert [event["event"] for event in json.loads(accounts("events", "--json").out)] == [
        *("added", "added", "paused", "resumed", "priority", "renamed", "strategy", "removed", "secret replaced")
    ]
    assert not (codemie_home / "proxy" / "proxy.db").exists()


def test_without_its_libraries_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['sqlalchemy'] = None\n")
    path = {"PYTHONPATH": f"{tmp_path}:{environ()['PYTHONPATH']}"}
    outcome = accounts("add", "main", "--provider", "anthropic", typed=f"{KEY}\n", **path)
    assert outcome.code == 1
    assert outcome.err == "codemie-proxy: accounts need the library sqlalchemy: pip install 'codemie-proxy[store]'\n"


@pytest.mark.parametrize("arguments", [["--help"], ["accounts", "--help"], ["accounts", "add", "--help"]], ids=" ".join)
def test_help_loads_neither_database_nor_proxy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom codemie_core.cli.app import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules)"
    )
    done = subprocess.run(
        [COMMAND[0], "-c", code], env=environ(), capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.rpartition("MODULES")[2].split())
    assert "codemie_core.cli.accounts" in loaded
    ours = {name for name in loaded if name.startswith(("codemie_core.store", "codemie_core.accounts"))}
    assert not {"sqlalchemy", "alembic", "mitmproxy", "httpx", "cryptography"} & loaded | ours
