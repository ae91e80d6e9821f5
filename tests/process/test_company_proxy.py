"""A real outbound proxy of the kind that companies run, which wants a password: tinyproxy, where it is installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from codemie_core.demo.absent import closed_port
from codemie_core.demo.upstream import Upstream
from support.access import until
from support.certificates import Authority
from support.programs import REQUIRED
from support.proxy import reverse

TINYPROXY = shutil.which("tinyproxy")
pytestmark = pytest.mark.skipif(TINYPROXY is None and not REQUIRED, reason="there is no tinyproxy")

USER, PASSWORD = "planted-user", "PlantedPassword77"
ASK = {"model": "m", "messages": []}
# 127.0.0.1 in a form that only the system's resolver knows to be loopback: no rule for loopback applies to it.
HOST = "127.1"


@contextmanager
def tinyproxy(folder: Path) -> Iterator[str]:
    """Its host and port."""
    port = closed_port()
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", f"BasicAuth {USER} {PASSWORD}"]
    (folder / "tinyproxy.conf").write_text("\n".join([*lines, ""]))
    with (folder / "tinyproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [str(TINYPROXY), "-d", "-c", str(folder / "tinyproxy.conf")], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: process.poll() is not None or _listens(port), 60)
        assert process.poll() is None, (folder / "tinyproxy.log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


async def test_a_real_proxy_with_a_password_leads_there_and_a_wrong_one_is_shown_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = {"codemie_upstream_attempts_ca_file": authority.pem, "codemie_upstream_attempts_backoff": "5ms"}
    async with Upstream(authority.server("127.0.0.1", HOST)) as upstream:
        with tinyproxy(tmp_path) as outbound:
            answers, logs = [], ""
            for password in (PASSWORD, "planted-wrong"):
                env = {"HTTPS_PROXY": f"http://{USER}:{password}@{outbound}"}
                with reverse(f"https://{HOST}:{upstream.port}", options=options, env=env) as proxy:
                    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                        answers.append(await client.post(f"{proxy.url}/v1/messages", json=ASK))
                logs += proxy.log
    good, wrong = answers
    assert (good.status_code, upstream.request_count) == (200, 1), good.text
    assert (wrong.status_code, wrong.headers["x-should-retry"]) == (400, "false")
    assert f"({outbound} answers 401" in wrong.json()["error"]["message"]
    told = (tmp_path / "tinyproxy.log").read_text()
    assert told.count("CONNECT 127.1:") == 2, "a wrong password is not shown again"
    assert "planted-" not in logs + wrong.text
    assert PASSWORD not in logs
