"""A scripted CodeMie, its sessions on disk as a sign-in leaves them, and a proxy that signs with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from codemie_core.places import Places
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from support.codemie_backend import PREFIX, CodemieBackend
from support.proxy import ADDONS, Mitmproxy

SCRIPTS = (ADDONS / "upstream_attempts.py", ADDONS / "sso_auth.py")
DUMMIES = {
    "authorization": "Bearer planted-dummy-1a",
    "x-api-key": "planted-dummy-2b",
    "x-goog-api-key": "planted-dummy-3c",
    "api-key": "planted-dummy-4d",
    "cookie": "agent=planted-dummy-5e",
    "user-id": "planted-dummy-6f",
}
"""What an agent may send because its settings made it have something."""


def keep(backend: CodemieBackend, cookies: Mapping[str, str], expires_at: float | None = None) -> Path:
    """Store this session as the one for the backend."""
    secrets = {name: SecretStr(value) for name, value in cookies.items()}
    session = Session(backend.api_url, secrets, expires_at=expires_at)
    return CredentialStore(Places.from_env(os.environ)).write(backend.url, session)


def sign_in(backend: CodemieBackend, lifetime: float | None = None) -> dict[str, str]:
    """Make a session and store it; its cookies."""
    cookies = backend.sign_in(lifetime)
    keep(backend, cookies)
    return cookies


@contextmanager
def signing(
    backend: CodemieBackend,
    *args: str,
    options: Mapping[str, object] | None = None,
    scripts: Sequence[Path] = SCRIPTS,
    **kwargs: Any,
) -> Iterator[Mitmproxy]:
    """A proxy before this CodeMie, which is named by option alone."""
    own = {"codemie_sso_auth_url": backend.api_url, "codemie_upstream_attempts_target_path": PREFIX}
    mode = ("--mode", f"reverse:{backend.url}")
    with Mitmproxy(*mode, *args, options={**own, **(options or {})}, scripts=scripts, **kwargs) as proxy:
        yield proxy


def cookie_of(cookies: Mapping[str, str]) -> str:
    """The one Cookie header that carries them."""
    return "; ".join(f"{name}={value}" for name, value in cookies.items())
