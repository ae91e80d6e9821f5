from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from codemie_core.cli import event_loop, launcher, plan
from codemie_core.cli.launcher import Launcher
from support.cli import call


def own(arguments: Sequence[str]) -> bool:
    """Did the user name a confdir?"""
    return "confdir=mine" in arguments


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], bool]]:
    """What `start` hands to mitmdump, which the process tests run for real."""
    calls: list[tuple[list[str], bool]] = []

    def run(arguments: Sequence[str], all_addons: bool, ready: Callable[[Launcher], None], usual_config: bool) -> None:
        calls.append((list(arguments), all_addons))
        assert usual_config == ("--set" in arguments and str(arguments).count("confdir=") == 1 and not own(arguments))

    monkeypatch.setattr(launcher, "run", run)
    monkeypatch.setattr(event_loop, "choose_event_loop", lambda: "asyncio")
    return calls


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["https://a.example"], ["--mode", "reverse:https://a.example:443"]),
        (["https://a.example", "--port", "9"], ["--mode", "reverse:https://a.example:443", "--listen-port", "9"]),
        (["--regular", "-q"], ["--mode", "regular", "--set", "flow_detail=0"]),
        (["https://a.example", "--", "-w", "f"], ["--mode", "reverse:https://a.example:443", "-w", "f"]),
        # The first word after -- is never taken for TARGET, nor --help for ours, nor a second -- away.
        (["--regular", "--", "-w", "f", "--", "--help"], ["--mode", "regular", "-w", "f", "--", "--help"]),
        (["--", "--mode", "socks5"], ["--mode", "socks5"]),
    ],
)
def test_everything_after_the_dashes_is_mitmdumps(
    started: list[tuple[list[str], bool]], codemie_home: Path, arguments: list[str], expected: list[str]
) -> None:
    assert call("start", *arguments).code == 0
    confdir = ["--set", f"confdir={codemie_home / 'proxy' / 'ca'}"] if "--regular" in arguments else []
    common = ["-s", str(plan.BUNDLE), *confdir, "--listen-host", "127.0.0.1"]
    assert started == [(common + expected, False)]


def test_in_regular_mode_its_authority_is_made_before_the_start(
    started: list[tuple[list[str], bool]], codemie_home: Path
) -> None:
    call("start", "--regular")
    assert {"mitmproxy-ca.pem", "mitmproxy-ca-cert.pem"} <= {
        path.name for path in (codemie_home / "proxy/ca").iterdir()
    }


def test_a_confdir_of_the_users_own_counts(started: list[tuple[list[str], bool]], codemie_home: Path) -> None:
    call("start", "--regular", "--", "--set", "confdir=mine")
    assert str(started[0][0]).count("confdir=") == 1
    assert not (codemie_home / "proxy").exists()


def test_rules_are_handed_on_and_a_gateway_among_them_is_signed_in_to(
    started: list[tuple[list[str], bool]], codemie_home: Path
) -> None:
    url = "https://codemie.example.com/code-assistant-api"
    call("start", "--regular", "--retarget", f"api.anthropic.com={url}", "--retarget", "api.openai.com=https://a.test")
    arguments = started[0][0]
    assert f"codemie_retargeting_rules=api.anthropic.com={url}" in arguments
    assert "codemie_retargeting_rules=api.openai.com=https://a.test" in arguments
    assert "codemie_sso_auth_url=https://codemie.example.com:443/code-assistant-api" in arguments


def test_all_addons_are_kept_on_request(started: list[tuple[list[str], bool]]) -> None:
    call("start", "--regular", "--all-addons")
    assert started[0][1]


def test_without_a_target_it_says_where_to(started: list[tuple[list[str], bool]]) -> None:
    assert call("start").out == "No TARGET given and no CodeMie profile found: https://api.anthropic.com it is.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://a.example"],
        ["https://a.example", "--regular"],
        ["https://a.example", "--retarget", "b.example=https://c.example"],
        ["--regular", "--retarget", "b.example"],
        ["--regular", *(f"--retarget=h{n}.test=https://{n}.test/code-assistant-api" for n in "12")],
    ],
)
def test_a_bad_start_is_one_line(started: list[tuple[list[str], bool]], arguments: list[str]) -> None:
    outcome = call("start", *arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("codemie-proxy: ")
    assert outcome.err.count("\n") == 1
    assert not started


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_an_impossible_port_is_refused(started: list[tuple[list[str], bool]], port: str) -> None:
    assert call("start", "--regular", "--port", port).code == 2
    assert not started
