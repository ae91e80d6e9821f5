"""The sign-in with a real browser: what chromium sends is what the callback has to take, and to refuse."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codemie_core.demo.script import Step
from codemie_core.places import Places
from codemie_core.sso.callback import session_callback
from codemie_core.sso.store import CredentialStore
from support.chromium import browser_script, browsing
from support.cli import environ, run
from support.codemie_backend import EMAIL, CodemieBackend
from support.programs import needs_chromium

pytestmark = [pytest.mark.browser, needs_chromium]

EVIL = """<!doctype html><title>A page of somebody else</title>
<img src="{callback}"><iframe src="{callback}"></iframe><script src="{callback}"></script>
<link rel="stylesheet" href="{callback}">
<script>
  const tries = [{{mode: "no-cors"}}, {{}}, {{method: "POST"}}].map(how => fetch("{callback}", how));
  addEventListener("load", () => Promise.allSettled(tries).then(() => fetch("{told}")));
</script>
"""


@pytest.fixture
def backend() -> Iterator[CodemieBackend]:
    with CodemieBackend() as scripted:
        yield scripted


def test_login_takes_a_person_through_the_browser(backend: CodemieBackend, codemie_home: Path, tmp_path: Path) -> None:
    with browser_script(tmp_path) as browser:
        env = environ(BROWSER=str(browser))
        outcome = run("auth", "login", "--json", "--url", backend.url, "--timeout", "60", env=env, timeout=90)
    assert outcome.code == 0, outcome.err
    [cookies] = backend.sessions.values()
    session = CredentialStore(Places(codemie_home)).read(backend.url, "sso")
    assert session is not None
    assert {name: value.get_secret_value() for name, value in session.cookies.items()} == cookies
    shown = json.loads(outcome.out)
    assert (shown["who"], shown["checked"]) == (EMAIL, "valid")
    assert Path(shown["stored_in"]).is_relative_to(codemie_home)
    assert not any(value in outcome.out + outcome.err for value in cookies.values())


async def test_a_page_of_somebody_else_cannot_sign_anybody_in(
    backend: CodemieBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    async with session_callback(backend.api_url) as server:
        judge = server._judge

        def counted(request: Any) -> Any:
            seen.append(request)
            return judge(request)

        monkeypatch.setattr(server, "_judge", counted)
        page = EVIL.format(callback=backend.callback_url(server.port), told=f"{backend.api_url}/told")
        backend.answers["/evil"] = Step(body=page, headers=[("content-type", "text/html")])
        waiting = asyncio.get_running_loop().create_task(server.brought())
        with browsing(tmp_path, f"{backend.api_url}/evil"):
            await asyncio.to_thread(backend.wait_until, lambda: came(backend, "/told"), 60)
        assert not waiting.done()
        waiting.cancel()
    assert len(seen) >= 6  # chromium did send what the page asked for


def came(backend: CodemieBackend, path: str) -> bool:
    return any(request.path == path for request in backend.requests)


async def test_the_same_address_signs_in_when_somebody_goes_there(backend: CodemieBackend, tmp_path: Path) -> None:
    async with session_callback(backend.api_url) as server:
        with browsing(tmp_path, backend.callback_url(server.port)):
            async with asyncio.timeout(60):
                session = await server.brought()
    assert session.who == EMAIL
