"""Homes whose proxies share one pool: two proxies of one home, or homes of their own with one PostgreSQL."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from support import forged
from support.cli import COMMAND, Outcome, environ
from support.proxy import Mitmproxy, reverse
from support.stored import StoredHome

OWN = "planted-key-of-the-client"


@dataclass(frozen=True, slots=True)
class Site:
    """Where one proxy runs. Without a URL the database is in the home."""

    home: Path
    url: str = ""

    @property
    def environ(self) -> dict[str, str]:
        """What makes a process belong here."""
        return {"CODEMIE_HOME": str(self.home), "CODEMIE_DATABASE_URL": self.url}

    @property
    def stored(self) -> StoredHome:
        """Its database and its vault."""
        return StoredHome(self.home, {**os.environ, **self.environ})

    def homes(self) -> dict[int, str]:
        """What is stored of conversations: the account of each."""
        names = {account.id: account.name for account in self.stored.accounts()}
        return {int(home.key[-12:]): names[home.account_id] for home in self.stored.state(time.time()).homes}

    def proxy(self, upstream_url: str, **options: object) -> AbstractContextManager[Mitmproxy]:
        """A proxy, in reverse mode before this upstream."""
        return reverse(upstream_url, env=self.environ, options=options)

    def accounts(self, *arguments: str, typed: str = "") -> Outcome:
        """`codemie-proxy accounts ...` as a process of its own, with `typed` on a pipe."""
        done = forged.run([*COMMAND, "accounts", *arguments], environ(**self.environ), typed=typed)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def take_key_of(self, other: Site) -> None:
        """Bring the other's vault key here, as an operator would."""
        folder = self.stored.places.proxy
        self.stored.places.ensure_private(folder)
        shutil.copy2(other.stored.places.proxy / "vault.key", folder / "vault.key")


@contextmanager
def running(*proxies: AbstractContextManager[Mitmproxy]) -> Iterator[list[Mitmproxy]]:
    """All of them, started at once."""
    with ExitStack() as stack:
        with ThreadPoolExecutor() as starters:
            started = list(starters.map(stack.enter_context, proxies))
        yield started


def turn(proxy: Mitmproxy, number: int, path: str = "/v1/messages") -> httpx.Response:
    """One turn of Claude Code's conversation of this number."""
    headers = {
        "x-claude-code-session-id": f"00000000-0000-4000-8000-{number:012}",
        "user-agent": "claude-cli/2.1.197 (external, cli)",
        "authorization": f"Bearer {OWN}",
    }
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(f"{proxy.url}{path}", json={"model": "m", "messages": []}, headers=headers)
