import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from codemie_core.errors import SettingsError
from codemie_core.launch import run, serving
from codemie_core.launch.agents import AGENTS, ANTHROPIC, PROXY_HANDLED
from codemie_core.launch.destination import Destination, decide
from codemie_core.launch.environment import Prepared
from codemie_core.launch.kept_proxy import KeptProxy
from codemie_core.launch.nesting import DEEPEST, RUN, remembered
from codemie_core.launch.pool_facts import PoolFacts
from codemie_core.launch.run import Run, Wanted, prepared_for
from codemie_core.places import Places

URL = "http://127.0.0.1:4000"


@pytest.fixture
def environ(codemie_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A home without anything in it, and `claude` on the PATH, which writes down how it was called."""
    home, folder = codemie_home.parent, tmp_path / "bin"
    folder.mkdir()
    program = folder / "claude"
    lines = (
        "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open(os.environ['SEEN'], 'w')); sys.exit(4)"
    )
    program.write_text(f"#!{sys.executable}\n{lines}\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    return {"PATH": str(folder), "HOME": str(home), "CODEMIE_HOME": str(codemie_home), "SEEN": str(tmp_path / "seen")}


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that fits."""
    monkeypatch.setattr(serving, "daemon_for", lambda going, passed_on, places: URL)


def seen(environ: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    arguments, variables = json.loads(Path(environ["SEEN"]).read_text())
    return arguments, variables


def test_a_daemon_that_fits_is_used_and_nothing_started(environ: dict[str, str], shared: None) -> None:
    said: list[str] = []
    assert Run(Wanted("claude", ("-p", "x")), environ, said.append).run() == 4
    arguments, variables = seen(environ)
    assert (arguments, variables["ANTHROPIC_BASE_URL"], said) == (["-p", "x"], URL, [])
    assert not Places.from_env(environ).run.exists()


def test_what_there_is_to_say_is_said_before_the_agent_starts(environ: dict[str, str], shared: None) -> None:
    settings = Path(environ["HOME"]) / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://other.example"}}))
    said: list[bool] = []
    Run(Wanted("claude", ("x",)), environ, lambda line: said.append(Path(environ["SEEN"]).exists())).run()
    assert said == [False]
    assert seen(environ)[0] == ["--settings", json.dumps({"env": {"ANTHROPIC_BASE_URL": URL}}), "x"]


def test_a_key_for_the_gateway_of_a_settings_file_goes_nowhere_else(environ: dict[str, str], shared: None) -> None:
    settings = Path(environ["HOME"]) / ".claude" / "settings.json"
    settings.parent.mkdir()
    env = {"ANTHROPIC_BASE_URL": "https://other.example", "ANTHROPIC_AUTH_TOKEN": "planted"}
    settings.write_text(json.dumps({"env": env}))
    with pytest.raises(SettingsError, match=r"leads to other\.example, and env\.ANTHROPIC_AUTH_TOKEN may be meant"):
        Run(Wanted("claude"), environ, print).run()
    assert not Path(environ["SEEN"]).exists()


def test_a_run_within_a_run_starts_from_the_environment_of_the_outer_one(
    environ: dict[str, str], shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(Wanted("claude"), {**environ, "ANTHROPIC_BASE_URL": "https://mine.example"}, print).run()
    inside = seen(environ)[1]
    asked: list[str] = []

    def daemon_for(going: Destination, passed_on: object, places: object) -> str:
        asked.append(going.host)
        return URL

    monkeypatch.setattr(serving, "daemon_for", daemon_for)
    Run(Wanted("claude"), inside, print).run()
    assert asked == ["mine.example"]
    assert json.loads(seen(environ)[1][RUN])["before"] == {"ANTHROPIC_BASE_URL": "https://mine.example"}


def test_a_shell_that_env_has_told_is_no_gateway_of_the_users(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = Prepared({"ANTHROPIC_BASE_URL": URL})
    told = remembered(AGENTS["claude"], "base-url", URL, prepared, environ, None).applied(environ)
    asked: list[str] = []

    def daemon_for(going: Destination, passed_on: object, places: object) -> str:
        asked.append(going.host)
        return "http://127.0.0.1:5000"

    monkeypatch.setattr(serving, "daemon_for", daemon_for)
    Run(Wanted("claude"), told, print).run()
    assert asked == ["api.anthropic.com"]
    assert json.loads(seen(environ)[1][RUN])["depth"] == 1


def test_a_script_of_the_agents_name_that_calls_us_ends_instead_of_calling_for_ever(
    environ: dict[str, str], shared: None
) -> None:
    inside = environ
    for _ in range(DEEPEST):
        Run(Wanted("claude"), inside, print).run()
        inside = seen(environ)[1]
    with pytest.raises(SettingsError, match="it is a script that calls us"):
        Run(Wanted("claude"), inside, print).run()


def test_the_key_of_a_profiles_token_is_the_proxys(environ: dict[str, str]) -> None:
    document = {
        "provider": "bearer-auth",
        "baseUrl": "https://codemie.example.com",
        "jwtConfig": {"tokenEnvVar": "MY_JWT"},
    }
    places = Places.from_env(environ)
    places.write_private(places.profile, json.dumps(document).encode())
    environ |= {"MY_JWT": "planted", "CODEMIE_JWT_TOKEN": "planted"}
    going = decide(AGENTS["claude"], "claude", "base-url", None, "", environ)
    found = prepared_for(AGENTS["claude"], Wanted("claude"), going, URL, places, environ)
    assert set(found.removed) == {"MY_JWT", "CODEMIE_JWT_TOKEN"}
    assert found.set["ANTHROPIC_AUTH_TOKEN"] == "proxy-handled"
    found = prepared_for(AGENTS["claude"], Wanted("claude"), going, URL, places, environ, hide=False)
    assert found.removed == ()


def test_logs_that_killed_runs_have_left_go_after_a_week(tmp_path: Path) -> None:
    old, new = tmp_path / "old.log", tmp_path / "new.log"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, time.time() - run.KEPT_LOGS - 60))
    run._remove_old(tmp_path)
    run._remove_old(tmp_path / "missing")
    assert [path.name for path in tmp_path.glob("*.log")] == ["new.log"]


class Ending(KeptProxy):
    """Somebody presses Ctrl-C while it ends."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        self.stopped = True


def test_ctrl_c_ends_the_wait_for_late_telemetry_and_not_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    class Impatient(threading.Event):
        """Ctrl-C is pressed when it is waited for: earlier it would end this very process."""

        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0.0)
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            return super().wait(timeout)

    monkeypatch.setattr(run, "GRACE", 60.0)
    monkeypatch.setattr(run, "threading", SimpleNamespace(Event=Impatient))
    began, proxy = time.monotonic(), Ending()
    run._end(proxy)
    assert (waited, time.monotonic() - began < 50, proxy.stopped) == ([60.0], True, True)


def test_in_a_folder_that_is_gone_it_says_so(
    environ: dict[str, str], shared: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SettingsError, match=r"the working folder: .*; change to another one"):
        Run(Wanted("claude"), environ, print).run()


def test_a_user_without_a_home_is_asked_for_one(
    environ: dict[str, str], shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(SettingsError, match="set HOME"):
        Run(Wanted("claude"), environ, print).run()


@pytest.mark.parametrize(
    "name, target, hosts, made_up",
    [
        ("opencode", None, ANTHROPIC, {"ANTHROPIC_API_KEY"}),
        ("opencode", None, "gateway.example", set()),
        # What goes elsewhere goes without the agent's key, whatever comes in its place.
        ("claude", "https://gateway.example", "gateway.example", {"ANTHROPIC_AUTH_TOKEN"}),
        ("claude", "https://gateway.example", ANTHROPIC, {"ANTHROPIC_AUTH_TOKEN"}),
        ("claude", None, "", set()),
    ],
)
def test_by_https_proxy_a_key_is_made_up_where_the_agents_own_would_not_arrive(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    target: str | None,
    hosts: str,
    made_up: set[str],
) -> None:
    monkeypatch.setattr(run, "pool_facts", lambda environ: PoolFacts(frozenset({hosts})))
    going = decide(AGENTS[name], name, "https-proxy", target, "", environ)
    wanted = Wanted(name, via="https-proxy")
    found = prepared_for(AGENTS[name], wanted, going, URL, Places.from_env(environ), environ)
    assert {key for key, value in found.set.items() if value == PROXY_HANDLED} == made_up
