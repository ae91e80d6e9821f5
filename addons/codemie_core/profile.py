"""The CodeMie profile, read only: what CodeMie's own tools were told about gateway, model and project.

`codemie-cli.config.json` holds named profiles (version 2) or, from older tools, one flat object. The environment
wins over the file, except that a profile picked by name keeps its own gateway, provider, model and integration.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.scope import address_of
from codemie_core.settings import nearest, read_text

GATEWAY_PATH = "/code-assistant-api"
"""Where CodeMie's gateway answers; its root says 405."""
GATEWAY_PROVIDERS = frozenset({"ai-run-sso", "bearer-auth"})
LEGACY_NAME = "default"

_PINNED_BY_NAME = frozenset(
    {"CODEMIE_BASE_URL", "CODEMIE_URL", "CODEMIE_MODEL", "CODEMIE_PROVIDER", "CODEMIE_INTEGRATION_ID"}
)
"""Variables that do not reach into a profile picked by name: they belong to another gateway."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What we take from a profile; empty text and None mean unset. Keys, tokens and cookies stay out."""

    name: str = LEGACY_NAME
    provider: str = ""
    base_url: str = ""
    """With the gateway's path for CodeMie's providers, without a slash at the end."""
    codemie_url: str = ""
    model: str = ""
    timeout_ms: int | None = None
    project: str = ""
    integration_id: str = ""

    @property
    def requires_integration(self) -> bool:
        """Does the provider want the integration named in each request?"""
        return self.provider == "ai-run-sso"

    @property
    def base_path(self) -> str:
        """The path part of the base URL, "" when there is none."""
        return urlsplit(self.base_url).path

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where CodeMie is, as "host:port"; the base URL of another provider is not CodeMie's."""
        gateway = self.base_url if self.provider in GATEWAY_PROVIDERS else ""
        found = (urlsplit(url) for url in (gateway, self.codemie_url) if url)
        return tuple(
            address_of(parts.hostname, parts.port or (80 if parts.scheme == "http" else 443))
            for parts in found
            if parts.hostname
        )


def load_profile(places: Places, environ: Mapping[str, str], name: str | None = None) -> Profile:
    """The profile called `name`, else the active one; without a file what the environment says.

    SettingsError names the file or variable, the place and the fix.
    """
    pinned = _PINNED_BY_NAME if name else frozenset()
    env = _Source({key: text for key, text in environ.items() if text and key not in pinned}, "")
    chosen, values = _choose(places.profile, _read(places.profile, required=bool(name)), name)
    file = _Source(values, f"{places.profile}, profile {chosen!r}: ")
    provider = env.text("CODEMIE_PROVIDER") or file.text("provider")
    base_url = env.url("CODEMIE_BASE_URL") or file.url("baseUrl")
    return Profile(
        name=chosen,
        provider=provider,
        base_url=_with_gateway_path(base_url, provider),
        codemie_url=env.url("CODEMIE_URL") or file.url("codeMieUrl"),
        model=env.text("CODEMIE_MODEL") or file.text("model"),
        timeout_ms=(env if "CODEMIE_TIMEOUT" in env.values else file).milliseconds("CODEMIE_TIMEOUT", "timeout"),
        project=env.text("CODEMIE_PROJECT") or file.text("codeMieProject"),
        integration_id=env.text("CODEMIE_INTEGRATION_ID") or file.inside("codeMieIntegration").text("id"),
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """Typed reading of one layer; `where` opens each error message. Values never appear in errors."""

    values: Mapping[str, Any]
    where: str

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise SettingsError(f"{self.where}{key} must be text; put it in quotes")
        return value.strip()

    def url(self, key: str) -> str:
        text = self.text(key)
        if text and not _is_plain_url(text):
            raise SettingsError(f"{self.where}{key} must be like https://host/path, without user, password, ? and #")
        return text.rstrip("/")

    def milliseconds(self, *keys: str) -> int | None:
        """The first key present. It holds seconds: CodeMie's code decides, its documents say milliseconds."""
        key = next((key for key in keys if self.values.get(key) is not None), None)
        if key is None:
            return None
        value = self.values[key]
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise SettingsError(f"{self.where}{key} must be a number of seconds, like 300; 0 means no timeout")
        return max(round(seconds * 1000), 1) if seconds else None

    def inside(self, key: str) -> _Source:
        value = self.values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise SettingsError(f'{self.where}{key} must be an object, like {{"id": "..."}}')
        return _Source(value or {}, f"{self.where}{key}.")


def _read(path: Path, required: bool) -> dict[str, Any]:
    text = read_text(path, required)
    if not text.strip():
        return {}
    fix = "mend it, or run 'codemie setup' to write it anew"
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SettingsError(f"{path}, {place}: this is not JSON ({error.msg}); {fix}") from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets nested thousands deep.
        raise SettingsError(f"{path}: this JSON is too deep or its numbers too long; {fix}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: the file must hold one JSON object; {fix}")
    return found


def _choose(path: Path, content: dict[str, Any], name: str | None) -> tuple[str, Mapping[str, Any]]:
    """A profile's name and its values."""
    profiles = content.get("profiles")
    active = content.get("activeProfile")
    if content.get("version") == 2 and isinstance(profiles, dict) and profiles and (name or active):
        wanted, asked = (name, "") if name else (active, "activeProfile: ")
        if not isinstance(wanted, str) or wanted not in profiles:
            raise SettingsError(f"{path}: {asked}there is no profile {wanted!r}{_known(str(wanted), profiles)}")
        values = profiles[wanted]
        if not isinstance(values, dict):
            raise SettingsError(f"{path}: the profile {wanted!r} must be a JSON object")
        return wanted, values
    if name and name != LEGACY_NAME:
        raise SettingsError(f"{path}: there is no profile {name!r}{_known(name, [LEGACY_NAME])}")
    return LEGACY_NAME, content


def _known(wanted: str, profiles: Iterable[str]) -> str:
    found = nearest(wanted, profiles)
    return f"; did you mean {found!r}?" if found else f"; there are: {', '.join(sorted(profiles))}"


def _is_plain_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Reading the port is what checks it.
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False


def _with_gateway_path(base_url: str, provider: str) -> str:
    if not base_url or provider not in GATEWAY_PROVIDERS or GATEWAY_PATH in base_url:
        return base_url
    return base_url + GATEWAY_PATH
