import json
import socket

import pytest

from codemie_core.launch.agents import AGENTS
from codemie_core.launch.environment import Prepared
from codemie_core.launch.nesting import RUN, leave_outer_run, marked, outer_run

URL = "http://127.0.0.1:4000"
BEFORE = {"PATH": "/bin", "NO_PROXY": "a.example", "CLAUDE_CODE_USE_VERTEX": "1", "WORK_KEY": "planted"}
PREPARED = Prepared(
    {"ANTHROPIC_BASE_URL": URL, "NO_PROXY": "a.example,localhost", "ANTHROPIC_AUTH_TOKEN": "proxy-handled"},
    ("CLAUDE_CODE_USE_VERTEX", "WORK_KEY"),
    hidden=("WORK_KEY", "ANTHROPIC_AUTH_TOKEN"),
)


def inner(url: str = URL) -> dict[str, str]:
    return marked(AGENTS["claude"], "base-url", url, PREPARED, {**BEFORE, "ANTHROPIC_AUTH_TOKEN": "planted"})


def test_a_run_within_a_run_finds_the_environment_as_it_was_but_for_our_secrets() -> None:
    environ = inner()
    assert environ["ANTHROPIC_BASE_URL"] == URL
    assert "planted" not in str(environ)
    found = outer_run({**environ, "NEW": "1"})
    assert found is not None
    assert found.undone({**environ, "NEW": "1"}) == {
        "PATH": "/bin",
        "NO_PROXY": "a.example",
        "CLAUDE_CODE_USE_VERTEX": "1",
        "NEW": "1",
    }


def test_a_process_leaves_the_run_it_is_in() -> None:
    environ = inner()
    leave_outer_run(environ)
    assert environ == {"PATH": "/bin", "NO_PROXY": "a.example", "CLAUDE_CODE_USE_VERTEX": "1"}
    leave_outer_run(environ)
    assert environ["PATH"] == "/bin"


def test_the_outer_proxy_serves_the_same_agent_in_the_same_way_while_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = outer_run(inner(f"http://127.0.0.1:{listening.getsockname()[1]}"))
        assert found is not None
        assert found.serves(AGENTS["claude"], "base-url")
        assert not found.serves(AGENTS["claude"], "https-proxy")
        assert not found.serves(AGENTS["codex"], "base-url")
    assert not found.serves(AGENTS["claude"], "base-url")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", json.dumps({"agent": "a", "via": "b", "url": "c", "before": []})]
)
def test_a_variable_that_is_not_ours_is_no_outer_run(text: str) -> None:
    assert outer_run({RUN: text}) is None
    assert outer_run({}) is None


def test_an_address_that_is_none_serves_nobody() -> None:
    for url in ("", "http://", "http://127.0.0.1:99999"):
        found = outer_run(inner(url))
        assert found is not None
        assert not found.serves(AGENTS["claude"], "base-url")
