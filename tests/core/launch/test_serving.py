import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from codemie_core.cli.plan import Plan
from codemie_core.daemon.order import Order
from codemie_core.daemon.probe import Answer
from codemie_core.daemon.state import DaemonState, write_state
from codemie_core.launch import serving
from codemie_core.launch.agents import AGENTS, GENERIC
from codemie_core.launch.destination import Destination
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry

VENDOR = "reverse:https://api.anthropic.com:443"
CLAUDE = Destination("https://api.anthropic.com", plan=Plan("reverse:https://api.anthropic.com"))
pid, started = this_process()


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


def register(
    places: Places, run_id: str, mode: str, began: float = 1.0, address: str = "127.0.0.1:4000"
) -> RunningProxy:
    entry = RunningProxy(run_id, pid, started, began, (address,), (mode,), "1")
    write_entry(places, entry)
    return entry


@pytest.fixture
def daemon(places: Places, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """Says which URL a run would use beside a daemon that was started with this order."""
    monkeypatch.setattr(serving, "probe", lambda address, run_id: Answer("ok", "ok"))

    def asked(going: Destination, mode: str, *passed_on: str, **order: object) -> str | None:
        register(places, "daemon", mode)
        made = dataclasses.replace(Order(), **order)  # type: ignore[arg-type] # its own fields
        state = DaemonState(pid, started, 1.0, made, os.getcwd(), 4000, pid, started)
        write_state(places, state)
        return serving.daemon_for(going, passed_on, places)

    return asked


def test_a_daemon_that_leads_to_the_same_place_is_used(daemon: Callable[..., str | None]) -> None:
    assert daemon(CLAUDE, VENDOR, target="https://api.anthropic.com") == "http://127.0.0.1:4000"
    assert daemon(CLAUDE, "reverse:https://api.anthropic.com") == "http://127.0.0.1:4000"
    regular = Destination(regular=True, plan=Plan("regular"))
    assert daemon(regular, "regular", regular=True) == "http://127.0.0.1:4000"
    rules = ("api.anthropic.com=https://a.example",)
    led_on = dataclasses.replace(regular, retarget=rules)
    assert daemon(led_on, "regular", regular=True, retarget=rules) == "http://127.0.0.1:4000"
    assert daemon(led_on, "regular", regular=True) is None


@pytest.mark.parametrize(
    "mode, passed_on, order",
    [
        ("reverse:https://api.openai.com", (), {}),
        ("regular", (), {"regular": True}),
        (VENDOR, (), {"retarget": ("api.anthropic.com=https://a.example",)}),
        (VENDOR, (), {"target": "https://api.anthropic.com/below"}),
        (VENDOR, (), {"profile": "other"}),
        (VENDOR, ("--set", "a=b"), {}),
        (VENDOR, (), {"passed_on": ("--set", "a=b")}),
    ],
)
def test_a_daemon_that_is_another_one_is_not(
    daemon: Callable[..., str | None], mode: str, passed_on: tuple[str, ...], order: dict[str, object]
) -> None:
    assert daemon(CLAUDE, mode, *passed_on, **order) is None


def test_a_daemon_that_does_not_answer_is_none(
    daemon: Callable[..., str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "probe", lambda address, run_id: Answer("unhealthy", "no"))
    assert daemon(CLAUDE, VENDOR) is None


def test_without_a_daemon_there_is_none(places: Places) -> None:
    assert serving.daemon_for(CLAUDE, (), places) is None


def test_the_newest_that_an_agent_may_use_is_found(places: Places) -> None:
    register(places, "old", "reverse:https://gateway.example/x", 1.0)
    register(places, "claude", VENDOR, 2.0)
    register(places, "codex", "reverse:https://api.openai.com", 3.0)
    register(places, "any", "regular", 4.0)
    lent = register(places, "somebody's", VENDOR, 5.0)
    write_entry(places, dataclasses.replace(lent, lent=True))
    found = {
        (name, via, host): [one.run_id for one in serving.fitting(AGENTS.get(name, GENERIC), via, host, places)]  # type: ignore[arg-type] # they are
        for name, via, host in (
            ("claude", "base-url", ""),
            ("codex", "base-url", ""),
            ("any", "base-url", ""),
            ("claude", "base-url", "gateway.example"),
            ("claude", "https-proxy", ""),
        )
    }
    assert list(found.values()) == [["claude", "old"], ["codex", "old"], ["codex", "claude", "old"], ["old"], ["any"]]


@pytest.mark.parametrize(
    "address, url",
    [("0.0.0.0:1", "http://127.0.0.1:1"), (":::1", "http://[::1]:1"), ("127.0.0.1:1", "http://127.0.0.1:1")],
)
def test_a_client_of_this_machine_finds_it(places: Places, address: str, url: str) -> None:
    assert serving.url_of(register(places, "x", VENDOR, address=address)) == url


@pytest.mark.parametrize(
    "mode, found",
    [
        ("reverse:https://a.example:444@8080", ("https", "a.example", 444)),
        ("reverse:http://a.example", ("http", "a.example", 80)),
        ("reverse:tcp://a.example:1", None),
        ("regular", None),
        ("upstream:http://a.example", None),
    ],
)
def test_where_a_mode_leads_is_read_from_it(mode: str, found: tuple[str, str, int] | None) -> None:
    target = serving.leads_to_mode(mode)
    assert (target and (target.scheme, target.host, target.port)) == found


def test_a_running_proxy_before_codemie_is_signed_in_to(places: Places) -> None:
    environ = {"CODEMIE_HOME": str(places.home)}

    def leads(mode: str) -> Destination:
        return serving.destination_of(register(places, "x", mode), places, environ)

    assert leads("reverse:https://codemie.lab.epam.com:443").gateway
    assert leads(VENDOR).gateway == ""
    assert (leads("regular").regular, leads("regular").host, leads("regular").gateway) == (True, "", "")
    rules = ("api.anthropic.com=https://codemie.lab.epam.com/code-assistant-api",)
    order = Order(regular=True, retarget=rules)
    write_state(places, DaemonState(pid, started, 1.0, order, os.getcwd(), 4000, pid, started))
    assert leads("regular").gateway
