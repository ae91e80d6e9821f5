"""`codemie-proxy` as processes: what it starts, what it prints, how it ends."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from mitmproxy import http, io

from codemie_core.demo.absent import closed_port
from codemie_core.demo.threaded import UpstreamThread
from support.cli import COMMAND, environ, run
from support.proxy import Mitmproxy

BODY = {"model": "demo-model", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def upstream() -> Iterator[UpstreamThread]:
    with UpstreamThread() as thread:
        yield thread


@contextmanager
def started(*arguments: str, passed_on: tuple[str, ...] = (), **env: str) -> Iterator[Mitmproxy]:
    """`codemie-proxy start ARGUMENTS -- PASSED_ON`, on a free port, once its banner stands."""
    command = [*COMMAND, "start", *arguments, "--"]
    with Mitmproxy(*passed_on, scripts=(), command=command, env=environ(**env)) as proxy:
        proxy.wait_for_log("stop +Ctrl-C")
        yield proxy


def post(url: str, **kwargs: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{url}/v1/messages", json=BODY)


def test_start_serves_and_says_how_to_send_agents_there(upstream: UpstreamThread) -> None:
    with started(upstream.url) as proxy:
        assert post(proxy.url).status_code == 200
        assert f"{proxy.url}  ->  {upstream.url}" in proxy.log
        assert f"export ANTHROPIC_BASE_URL={proxy.url}\n" in proxy.log
        assert f"export OPENAI_BASE_URL={proxy.url}/v1\n" in proxy.log
        assert f"curl {proxy.url}/health\n" in proxy.log
        assert proxy.health()["status"] == "ok"
        proxy.wait_for_log("POST .*/v1/messages")
        assert proxy.stop(signal.SIGINT) == 0


def test_start_puts_the_targets_path_before_every_request() -> None:
    with UpstreamThread(prefix="/gateway") as upstream, started(upstream.url) as proxy:
        assert upstream.url.endswith("/gateway")
        assert f"->  {upstream.url}\n" in proxy.log
        assert post(proxy.url).status_code == 200


def test_start_without_a_target_takes_the_profiles(codemie_home: Path) -> None:
    with UpstreamThread(prefix="/gateway") as upstream:
        codemie_home.mkdir(mode=0o700)
        profile = {"provider": "litellm", "baseUrl": upstream.url}
        (codemie_home / "codemie-cli.config.json").write_text(json.dumps(profile))
        with started() as proxy:
            assert f"TARGET is the base URL of the CodeMie profile 'default': {upstream.url}\n" in proxy.log
            assert f"->  {upstream.url}\n" in proxy.log
            assert post(proxy.url).status_code == 200


def test_start_in_regular_mode_is_a_proxy(upstream: UpstreamThread) -> None:
    with started("--regular") as proxy:
        assert f"export HTTPS_PROXY={proxy.url}\n" in proxy.log
        with httpx.Client(trust_env=False, proxy=proxy.url, timeout=60) as client:
            assert client.post(f"{upstream.url}/v1/messages", json=BODY).status_code == 200


def test_quiet_prints_no_line_per_request(upstream: UpstreamThread) -> None:
    with started(upstream.url, "--quiet") as proxy:
        assert post(proxy.url).status_code == 200
        proxy.wait_for_log("client disconnect")
        assert proxy.stop() == 0
        assert "/v1/messages" not in proxy.log


def test_addons_that_have_something_to_do_still_do_it(upstream: UpstreamThread, tmp_path: Path) -> None:
    flows = tmp_path / "saved.flows"
    options = ("-w", str(flows), "--modify-headers", "/~q/x-added/by mitmproxy")
    with started(upstream.url, passed_on=options) as proxy:
        assert post(proxy.url).status_code == 200
        assert proxy.stop() == 0
    assert upstream.upstream.requests[0].header("x-added") == "by mitmproxy"
    with flows.open("rb") as file:
        (flow,) = io.FlowReader(file).stream()
    assert isinstance(flow, http.HTTPFlow)
    assert flow.response is not None


@pytest.mark.parametrize("arguments, same", [((), False), (("--all-addons",), True)])
def test_idle_addons_are_out_unless_wanted(
    arguments: tuple[str, ...], same: bool, upstream: UpstreamThread, tmp_path: Path
) -> None:
    script = tmp_path / "who_is_there.py"
    script.write_text(
        "from mitmproxy import ctx\n"
        "def requestheaders(flow):\n"
        "    print('THERE', 'modifyheaders' in ctx.master.addons.lookup, flush=True)\n"
    )
    with started(upstream.url, *arguments, passed_on=("-s", str(script))) as proxy:
        assert post(proxy.url).status_code == 200
        proxy.wait_for_log(f"THERE {same}")


def test_a_script_may_set_options_of_idle_addons_while_it_loads(upstream: UpstreamThread, tmp_path: Path) -> None:
    script = tmp_path / "set_headers.py"
    script.write_text(
        "from mitmproxy import ctx\n"
        "def load(loader):\n"
        "    ctx.options.update(modify_headers=['/~q/x-added/by a script'])\n"
    )
    with started(upstream.url, passed_on=("-s", str(script))) as proxy:
        assert post(proxy.url).status_code == 200
    assert upstream.upstream.requests[0].header("x-added") == "by a script"


def test_a_busy_port_is_one_line_with_the_fix(upstream: UpstreamThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = run("start", upstream.url, "--port", str(port))
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err == (
        f"codemie-proxy: 127.0.0.1:{port} is in use. `codemie-proxy status` shows running proxies; "
        f"--port {port + 1} takes another port\n"
    )


@pytest.mark.parametrize(
    "arguments, env, words",
    [
        (
            ["--", "--set", "codemie_upstream_attempts_max_atempts=3"],
            {},
            "did you mean 'codemie_upstream_attempts_max_attempts'?",
        ),
        (["--", "--set", "codemie_upstream_attempts_max_attempts=0"], {}, "codemie_upstream_attempts_max_attempts"),
        ([], {"CODEMIE_KEPT_FLOWS": "many"}, "CODEMIE_KEPT_FLOWS: this must be a whole number"),
        (["--", "--no-such-flag"], {}, "unrecognized arguments: --no-such-flag"),
    ],
)
def test_a_bad_start_says_what_is_wrong_and_prints_no_banner(
    arguments: list[str], env: dict[str, str], words: str
) -> None:
    outcome = run("start", f"http://127.0.0.1:{closed_port()}", "--port", "0", *arguments, env=environ(**env))
    assert outcome.code == 1
    assert words in outcome.out + outcome.err
    assert "Ctrl-C" not in outcome.out
    assert "Traceback" not in outcome.out + outcome.err
    assert "deprecated" not in outcome.out  # mitmproxy's word for options of ours, which it finds in sys.argv


def test_help_after_the_dashes_is_mitmdumps() -> None:
    shown = run("start", "--", "--help").out
    assert "--listen-port" in shown
    assert "--set option" in shown


def test_start_without_a_usable_uvloop_runs_on_asyncio_and_says_so(upstream: UpstreamThread, tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    (tmp_path / "uvloop.py").write_text("raise ImportError('made for another machine')")
    path = os.pathsep.join([str(tmp_path), environ()["PYTHONPATH"]])
    with started(upstream.url, PYTHONPATH=path) as proxy:
        assert "loop     asyncio (uvloop cannot be loaded: made for another machine)" in proxy.log
        assert post(proxy.url).status_code == 200


def test_start_runs_on_uvloop_where_it_is_installed(upstream: UpstreamThread) -> None:
    uvloop = pytest.importorskip("uvloop")
    with started(upstream.url) as proxy:
        assert f"loop     uvloop {uvloop.__version__}\n" in proxy.log


def answered[T](ask: Callable[[], T], well: Callable[[T], object]) -> T:
    """What `status` says once the proxy answers it in time, from which a busy machine may keep it for a moment."""
    deadline = time.monotonic() + 120
    while not well(told := ask()):
        assert time.monotonic() < deadline, told
    return told


def test_status_finds_a_running_proxy_and_forgets_an_ended_one(upstream: UpstreamThread) -> None:
    with started(upstream.url) as proxy:
        (found,) = answered(lambda: json.loads(run("status", "--json").out), lambda told: told[0]["health"])
        assert found["pid"] == proxy.process.pid
        assert found["addresses"] == [f"127.0.0.1:{proxy.port}"]
        assert found["mode"] == [f"reverse:{upstream.url}"]
        assert found["health"]["run_id"] == found["run_id"]
        row = answered(lambda: run("status").out.splitlines()[1].rstrip(), lambda told: told.endswith("ok"))
        assert str(proxy.process.pid) in row
        assert proxy.stop() == 0
    assert run("status", "--json").out == "[]\n"


def test_status_forgets_a_proxy_that_was_killed(upstream: UpstreamThread) -> None:
    with started(upstream.url) as proxy:
        proxy.stop(signal.SIGKILL)
    assert run("status").out == "No proxy is running. Start one: codemie-proxy start\n"
