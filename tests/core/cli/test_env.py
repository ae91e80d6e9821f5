import json
import os
from pathlib import Path

import pytest

from codemie_core.launch import run
from codemie_core.launch.nesting import RUN, outer_run
from codemie_core.launch.pool_facts import PoolFacts
from codemie_core.launch.shells import Shell, without_function
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.cli import call


@pytest.fixture
def places(codemie_home: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("CODEMIE_HOME", str(codemie_home))
    return Places(codemie_home)


def runs(places: Places, mode: str) -> None:
    write_entry(places, RunningProxy("r", *this_process(), 1.0, ("127.0.0.1:4000",), (mode,), "1"))


def test_the_variables_of_a_running_proxy_are_printed_for_eval(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(places, "reverse:https://api.anthropic.com")
    monkeypatch.setenv("CODEMIE_JWT_TOKEN", "planted")
    monkeypatch.setenv("SHELL", "/bin/bash")
    found = call("env", "claude")
    # The shell keeps what only a proxy needs: it may start one.
    first, mark = found.out.splitlines()
    assert (found.code, first) == (0, "export ANTHROPIC_BASE_URL=http://127.0.0.1:4000;")
    assert mark.startswith(f"export {RUN}='")
    assert "planted" not in mark
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert call("env", "claude").out.startswith("set -gx ANTHROPIC_BASE_URL http://127.0.0.1:4000;\n")


def evaluated(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """As a shell would."""
    found = json.loads(call("env", *arguments, "--shell", "json").out)
    for name, value in found["set"].items():
        monkeypatch.setenv(name, value)
    for name in found["unset"]:
        monkeypatch.delenv(name)


def test_a_shell_that_was_told_twice_still_knows_what_stood_there_before(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://corporate.example:3128")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://mine.example")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    runs(places, "regular")
    evaluated(monkeypatch, "claude", "--via", "https-proxy")
    evaluated(monkeypatch, "codex", "--via", "https-proxy")
    outer = outer_run(os.environ)
    assert outer is not None
    assert (outer.agent, outer.via, outer.url, outer.depth) == ("codex", "https-proxy", "http://127.0.0.1:4000", 0)
    known = {"HTTPS_PROXY": "http://corporate.example:3128", "SSL_CERT_FILE": None}
    assert known.items() <= {**outer.before}.items()
    assert outer.undone(os.environ)["ANTHROPIC_BASE_URL"] == "https://mine.example"


def test_a_key_that_is_an_accounts_is_not_printed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(places, "reverse:https://api.anthropic.com")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "planted")
    facts = PoolFacts(frozenset({"api.anthropic.com"}), frozenset({"ANTHROPIC_AUTH_TOKEN"}))
    monkeypatch.setattr(run, "pool_facts", lambda environ: facts)
    found = call("env", "claude", "--shell", "bash")
    assert "export ANTHROPIC_AUTH_TOKEN=proxy-handled;" in found.out
    assert "planted" not in found.out


def test_https_proxy_mode_names_a_certificate_that_is_there(places: Places) -> None:
    runs(places, "regular")
    found = json.loads(call("env", "codex", "--via", "https-proxy", "--shell", "json").out)
    assert found["set"]["HTTPS_PROXY"] == "http://127.0.0.1:4000"
    assert Path(found["set"]["SSL_CERT_FILE"]).is_file()
    assert (found["unset"], found["arguments"]) == ([], [])


def test_an_agent_that_needs_arguments_gets_a_function(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(places, "reverse:https://api.openai.com")
    monkeypatch.setenv("OPENAI_API_KEY", "planted")
    found = call("env", "codex", "--shell", "zsh").out
    assert "function codex { command codex -c model_provider=codemie-proxy" in found
    assert "planted" not in found
    comment = found.partition("\n")[0]
    assert comment.startswith("# codex is led by arguments")
    assert comment.endswith("codemie-proxy run codex")


@pytest.mark.parametrize("shell, line", [("bash", "false;\n"), ("fish", "false;\n"), ("json", "")])
def test_what_cannot_be_told_makes_eval_fail(places: Places, shell: str, line: str) -> None:
    """Or the agent behind `eval "$(...)" &&` went past the proxy."""
    found = call("env", "codex", "--shell", shell)
    assert (found.code, found.out) == (1, line)
    assert "no proxy runs" in found.err


def test_a_function_of_before_does_not_outlive_the_other_way_in(places: Places) -> None:
    runs(places, "regular")
    first = call("env", "codex", "--via", "https-proxy", "--shell", "zsh").out.partition("\n")[0]
    assert first == without_function("codex", Shell.ZSH)
    assert "unset -f" not in call("env", "claude", "--via", "https-proxy", "--shell", "zsh").out


def test_remarks_are_not_for_eval(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    runs(places, "reverse:https://api.anthropic.com")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    found = call("env", "claude", "--shell", "bash")
    assert "unset CLAUDE_CODE_USE_BEDROCK;\n" in found.out
    assert "CLAUDE_CODE_USE_BEDROCK is left out" in found.err


@pytest.mark.parametrize(
    "mode, arguments, words",
    [
        (
            "",
            (),
            "no proxy runs that Claude Code could use in base-url mode. Start one: codemie-proxy daemon start https:",
        ),
        ("regular", (), "in base-url mode"),
        ("reverse:https://api.openai.com", (), "in base-url mode"),
        (
            "reverse:https://api.anthropic.com",
            ("--via", "https-proxy"),
            "daemon start --regular; or let codemie-proxy run",
        ),
        ("reverse:https://api.anthropic.com", ("--target", "https://b.example"), "could use for b.example in base-url"),
    ],
)
def test_when_none_fits_it_says_so(places: Places, mode: str, arguments: tuple[str, ...], words: str) -> None:
    if mode:
        runs(places, mode)
    found = call("env", "claude", *arguments)
    assert (found.code, found.out) == (1, "false;\n")
    assert words in found.err
