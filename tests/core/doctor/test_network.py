import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.doctor import network
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from support.patient import levels, surroundings, told


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def with_proxy(home: Path, port: int, **environ: str) -> Surroundings:
    pid, started = this_process()
    write_entry(Places(home), RunningProxy("one", pid, started, 1.0, (f"127.0.0.1:{port}",), ("regular",), "1"))
    return surroundings(home, **environ)


def test_without_variables_requests_go_out_directly(codemie_home: Path) -> None:
    around = surroundings(codemie_home)
    assert levels([*network.outbound(around), *network.base_urls(around)]) == ["ok", "ok"]


def test_a_companys_proxy_is_told_without_its_password(codemie_home: Path) -> None:
    around = surroundings(codemie_home, HTTPS_PROXY="http://ann:hunter2-planted@proxy.example.com:3128")
    assert told(network.outbound(around)) == [("ok", "https requests go through proxy.example.com:3128")]


def test_a_variable_that_is_no_url_is_a_problem_without_its_value(codemie_home: Path) -> None:
    (found,) = network.outbound(surroundings(codemie_home, HTTPS_PROXY="socks5://ann:hunter2-planted@h:1"))
    assert (found.level, "HTTPS_PROXY" in found.what, "planted" in str(found)) == ("problem", True, False)


def test_variables_that_lead_to_ourselves_are_known_as_such(codemie_home: Path, listening: int) -> None:
    around = with_proxy(codemie_home, listening, HTTPS_PROXY=f"http://127.0.0.1:{listening}")
    (found,) = network.outbound(around)
    assert (found.level, "a proxy of ours" in found.what) == ("note", True)


def test_variables_that_lead_to_nobody_are_a_problem(codemie_home: Path) -> None:
    (found,) = network.outbound(surroundings(codemie_home, HTTPS_PROXY=f"http://localhost:{closed_port()}"))
    assert (found.level, found.fix.startswith("unset HTTPS_PROXY")) == ("problem", True)


def test_a_no_proxy_that_leads_agents_past_us_is_told(codemie_home: Path, listening: int) -> None:
    around = with_proxy(
        codemie_home, listening, HTTPS_PROXY=f"http://127.0.0.1:{listening}", NO_PROXY="localhost,.anthropic.com"
    )
    found = list(network.outbound(around))
    assert [one.level for one in found] == ["note", "warning"]
    assert "past the proxy for api.anthropic.com" in found[1].what


def test_a_base_url_where_nobody_listens_is_a_problem(codemie_home: Path, listening: int) -> None:
    port = closed_port()
    around = surroundings(
        codemie_home,
        ANTHROPIC_BASE_URL=f"http://127.0.0.1:{port}",
        OPENAI_BASE_URL=f"http://localhost:{listening}/v1",
        GOOGLE_GEMINI_BASE_URL="https://elsewhere.example",
    )
    found = list(network.base_urls(around))
    assert levels(found) == ["problem", "ok"]
    assert found[0].fix == f"unset ANTHROPIC_BASE_URL; or start the proxy there: codemie-proxy start --port {port}"


def test_a_companys_proxy_that_would_be_asked_for_this_machine_is_told(codemie_home: Path, listening: int) -> None:
    variables = {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{listening}", "HTTP_PROXY": "http://proxy.example.com:3128"}
    assert levels(network.base_urls(surroundings(codemie_home, **variables))) == ["ok", "warning"]
    assert levels(network.base_urls(surroundings(codemie_home, **variables, NO_PROXY="127.0.0.1"))) == ["ok"]
    # One that is there, and does not say this.
    (_, found) = network.base_urls(surroundings(codemie_home, **variables, NO_PROXY=".example.com,10.0.0.0/8"))
    value = ".example.com,10.0.0.0/8,127.0.0.1,localhost"
    assert found.fix == f"export NO_PROXY={value} no_proxy={value}"
    assert levels(network.base_urls(surroundings(codemie_home, **variables, NO_PROXY=value))) == ["ok"]
