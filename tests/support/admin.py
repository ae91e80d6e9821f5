"""The admin plane of a real proxy: where it is, and clients with its token.

with reverse(upstream.url) as proxy, admin_of(proxy) as admin:
    admin.get("/api/stats").json()
    page = admin.page_url("/accounts")  # good once, for a minute: signs a browser in
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from support.proxy import Mitmproxy

PATIENCE = 60.0
"""Seconds: the first answer waits until all is loaded, and other tests have the machine, too."""


class Admin(httpx.Client):
    """An HTTP client at the admin API; `token=""` for one that has none."""

    def __init__(self, port: int, token: str, **more: Any) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        super().__init__(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=PATIENCE, **more
        )
        self.port, self.token = port, token

    def stranger(self, **more: Any) -> Admin:
        """One without the token."""
        return Admin(self.port, "", **more)

    def code(self) -> str:
        """A code that opens a page once."""
        made: str = self.post("/api/session/code").raise_for_status().json()["code"]
        return made

    def page_url(self, path: str = "/") -> str:
        """The address that signs a browser in and shows this page."""
        return f"http://127.0.0.1:{self.port}{path}{'&' if '?' in path else '?'}code={self.code()}"

    def browser(self) -> Admin:
        """A client that is signed in as a page is: by its cookie, and it says where it asks from."""
        signed_in = self.stranger()
        signed_in.get("/", params={"code": self.code()}, headers={"accept": "text/html"})
        signed_in.headers["origin"] = f"http://127.0.0.1:{self.port}"
        return signed_in


def admin_port(proxy: Mitmproxy) -> int:
    """Where its admin plane listens, as the register tells."""
    home = Path(proxy.env["CODEMIE_HOME"])
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for path in (home / "proxy" / "run").glob("*.json"):
            entry = json.loads(path.read_bytes())
            if entry["pid"] == proxy.process.pid and entry["admin_port"]:
                return int(entry["admin_port"])
        time.sleep(0.02)
    raise AssertionError(f"the proxy has no admin port:\n{proxy.log}")


def admin_token(home: Path | None = None) -> str:
    """The token of this CodeMie home, else of the test's own."""
    return ((home or Path(os.environ["CODEMIE_HOME"])) / "proxy" / "admin.token").read_text("ascii").strip()


@contextmanager
def admin_of(proxy: Mitmproxy) -> Iterator[Admin]:
    """A client with the token of this proxy."""
    port = admin_port(proxy)
    with Admin(port, admin_token(Path(proxy.env["CODEMIE_HOME"]))) as client:
        yield client
