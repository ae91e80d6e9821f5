"""The doctor as a process, beside a real proxy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codemie_core.demo.threaded import UpstreamThread
from support.cli import environ, run
from support.patient import program
from support.proxy import reverse


def looked(*arguments: str, **env: str) -> tuple[int, list[dict[str, str]]]:
    outcome = run("doctor", "--json", *arguments, env=environ(**env))
    return outcome.code, json.loads(outcome.out)["findings"]


@pytest.mark.slow
def test_a_proxy_that_runs_is_found_well_and_its_upstream_reached(codemie_home: Path, tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "claude")
    with UpstreamThread() as upstream, reverse(upstream.url) as proxy:
        for _ in range(5):  # it gives each of them a few seconds to answer, and a busy machine may need more
            code, found = looked("--port", str(proxy.port), PATH=path, ANTHROPIC_BASE_URL=proxy.url)
            if code == 0:
                break
        assert (code, [one for one in found if one["level"] == "problem"]) == (0, [])
        told = {one["id"]: one["what"] for one in found}
        assert told["proxies"] == f"127.0.0.1:{proxy.port} (pid {proxy.process.pid}) serves"
        assert told["port"] == f"port {proxy.port} is held by a proxy of this home (pid {proxy.process.pid})"
        assert told["base_urls"] == f"ANTHROPIC_BASE_URL leads to port {proxy.port} of this machine"
        assert told["upstream"].startswith(f"{upstream.url} answers (")
        assert told["database"].startswith(str(codemie_home / "proxy" / "proxy.db"))
        assert told["agents"] == f"Claude Code: {path}/claude"
    # The same shell, when the proxy has ended.
    code, found = looked("--offline", ANTHROPIC_BASE_URL=proxy.url)
    assert (code, [one["id"] for one in found if one["level"] == "problem"]) == (1, ["base_urls"])
