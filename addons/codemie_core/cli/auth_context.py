"""What the `auth` commands work on: whose CodeMie, which profile, where sessions are kept."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from codemie_core.errors import SettingsError
from codemie_core.options import Layers
from codemie_core.places import Places
from codemie_core.profile import Profile
from codemie_core.sources import read_layers
from codemie_core.sso.backend import api_base
from codemie_core.sso.session import Session
from codemie_core.sso.sources import gateway_session
from codemie_core.sso.store import CredentialStore
from codemie_core.urls import origin_of
from codemie_core.web import client_for

PROVIDERS = ("codemie",)
COMMAND = "codemie-proxy auth"
_TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True, slots=True)
class AuthContext:
    """`url` is where to sign in; `named` says that it came from the command line, `picked` the profile's name there.

    `folder_file` is the file of the working folder that may have decided on the URL; it may come from anyone.
    """

    places: Places
    environ: Mapping[str, str]
    profile: Profile
    store: CredentialStore
    url: str
    named: bool
    picked: str
    ca_file: str
    folder_file: str

    @classmethod
    def of(cls, provider: str, picked: str, url: str, environ: Mapping[str, str] = os.environ) -> AuthContext:
        """From the arguments of a command. SettingsError names what is missing and the option that gives it."""
        if provider not in PROVIDERS:
            raise SettingsError(f"there is no provider {provider!r} to sign in to; there are: {', '.join(PROVIDERS)}")
        places = Places.from_env(environ)
        layers = read_layers(places, environ, {"codemie_profile": picked} if picked else {})
        if layers.problems:
            raise SettingsError(layers.problems[0])
        profile = layers.profile
        known = url or _setting(layers, "sso_auth", "url")
        found = known or profile.codemie_url or profile.gateway_url
        if not found:
            raise SettingsError("no CodeMie is known here: name it with --url https://codemie.example.com")
        api_base(found)
        ca_file = _setting(layers, "upstream_attempts", "ca_file")
        folder_file = "" if known else _deciding_file(profile, found)
        return cls(places, environ, profile, CredentialStore(places), found, bool(url), picked, ca_file, folder_file)

    @property
    def host(self) -> str:
        """For people."""
        return urlsplit(self.url).netloc

    def session(self) -> Session | None:
        """The session a proxy would sign requests with, expired or not."""
        return gateway_session(self.profile, self.url, self.environ, self.store)

    def client(self) -> httpx.AsyncClient:
        """For calls to CodeMie."""
        return client_for(api_base(self.url), self.places, self.environ, self.ca_file)

    def command(self, words: str) -> str:
        """A command line that means the same CodeMie and profile as this one."""
        url = f" --url {shlex.quote(self.url)}" if self.named else ""
        profile = f" --profile {shlex.quote(self.picked)}" if self.picked else ""
        return f"{COMMAND} {words}{url}{profile}"


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; SIGTERM unwinds it like Ctrl-C, so that the terminal is as it was."""

    async def ended_by_signals() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(ended_by_signals())
    except asyncio.CancelledError:
        raise SystemExit(_TERMINATED) from None


def _deciding_file(profile: Profile, url: str) -> str:
    gateway = profile.gateway_url
    # The profile says whose the gateway's URL is. A portal of another origin may be the folder's, then.
    apart = not gateway or origin_of(gateway) != origin_of(url)
    return profile.project_file if profile.url_from_project or apart else ""


def _setting(layers: Layers, section: str, key: str) -> str:
    """A setting of an addon, which needs not be loaded for it."""
    if text := layers.environ.get(f"CODEMIE_{section}_{key}".upper()):
        return text
    values = layers.file.get(section)
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, str) else ""
