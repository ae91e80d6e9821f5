"""Files of the user's that overrule what an agent is told by its environment. They are read, never written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codemie_core.interception.trust import TRUST_VARIABLES
from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.environment import Via
from codemie_core.scope import host_matches
from codemie_core.settings import MAX_FILE_SIZE

CLAUDE_MANAGED = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)
GEMINI_MANAGED = (Path("/etc/gemini-cli/settings.json"),)
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_CLAUDE_PROXY = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", *TRUST_VARIABLES)
_PASSED_BY = "counts more than the environment: take it out, or the proxy is passed by"
_NOT_HERE = (
    "is a proxy for what goes to this machine, too: set it in your shell instead, where our proxy sees it as well"
)
# Text in quotes stays; the comma before a closing bracket goes when comments are gone.
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trap:
    """`key` as one writes it, with dots; `words` say what comes of it and what helps."""

    file: Path
    key: str
    words: str
    variable: str = ""
    """The variable that the file sets, where it does that."""
    managed: bool = False
    """Is it an administrator's, which nothing overrules?"""

    def __str__(self) -> str:
        return f"{self.file}: {self.key} {self.words}"


@dataclass(frozen=True, slots=True)
class Look:
    """Where to look, and for what."""

    agent: LaunchAgent
    via: Via
    home: Path
    folder: Path
    environ: Mapping[str, str]
    arguments: Sequence[str] = ()
    """Those of the user."""

    def configured(self, variable: str, usual: str) -> Path:
        """The folder that this variable names, else the usual one below the home folder."""
        named = self.environ.get(variable)
        return Path(named).expanduser() if named else self.home / usual


def traps(look: Look) -> tuple[Trap, ...]:
    """All that is found. A file that cannot be read or understood is none: the agent itself will complain."""
    return tuple(trap for kind in look.agent.traps for trap in KINDS[kind](look))


def logged_in(look: Look) -> bool:
    """Has the agent a login of its own?"""
    files = [look.home / name for name in look.agent.logins]
    if look.agent.name == "codex":
        files = [look.configured("CODEX_HOME", ".codex") / "auth.json"]
    if look.agent.name == "claude":
        # The first of them is in the keychain on a Mac; the second is always there and says who is logged in.
        files, state = files[:1], _json(files[1])
        if isinstance(state.get("oauthAccount"), dict):
            return True
    return any(file.is_file() for file in files)


def _claude_settings(look: Look) -> Iterator[Trap]:
    own = look.configured("CLAUDE_CONFIG_DIR", ".claude") / "settings.json"
    project = look.folder / ".claude"
    further = _CLAUDE_PROXY if look.via == "https-proxy" else PROXIES
    words = dict.fromkeys((*look.agent.base_url, *look.agent.removed, *further), _PASSED_BY)
    if look.via == "base-url":
        words |= dict.fromkeys(PROXIES, _NOT_HERE)
    # In the home folder the user's file and the project's are one.
    for file in dict.fromkeys((own, project / "settings.json", project / "settings.local.json", *CLAUDE_MANAGED)):
        variables = _inside(_json(file), "env")
        for name in words:
            if variables.get(name):
                yield Trap(file, f"env.{name}", words[name], name, file in CLAUDE_MANAGED)


def _codex_login(look: Look) -> Iterator[Trap]:
    if look.via != "base-url" or any(look.environ.get(name) for group in look.agent.keys for name in group):
        return
    file = look.configured("CODEX_HOME", ".codex") / "auth.json"
    found = _json(file)
    if isinstance(found.get("tokens"), dict) and not found.get("OPENAI_API_KEY"):
        yield Trap(file, "tokens", "is a login with ChatGPT, which a base URL cannot serve: use --via https-proxy")


def _codex_config(look: Look) -> Iterator[Trap]:
    file = look.configured("CODEX_HOME", ".codex") / "config.toml"
    config = _toml(file)
    profile = _argument(look.arguments, "-p", "--profile") or config.get("profile")
    chosen = _inside(config, "profiles", profile) if isinstance(profile, str) else {}
    if look.via == "base-url":
        if chosen.get("model_provider"):
            words = "counts more than what we say: take it out, or run without this profile"
            yield Trap(file, f"profiles.{profile}.model_provider", words)
        return
    provider = chosen.get("model_provider") or config.get("model_provider")
    base_url = _inside(config, "model_providers", provider).get("base_url") if isinstance(provider, str) else None
    for key, url in (
        (f"model_providers.{provider}.base_url", base_url),
        ("openai_base_url", config.get("openai_base_url")),
        ("chatgpt_base_url", config.get("chatgpt_base_url")),
    ):
        if isinstance(url, str) and not _at_vendor(url, look.agent):
            yield Trap(file, key, "leads to a host that may not be among those the proxy decrypts: see codemie_hosts")


def _gemini_settings(look: Look) -> Iterator[Trap]:
    if look.via != "base-url":
        return
    files = (look.home / ".gemini/settings.json", look.folder / ".gemini/settings.json", *GEMINI_MANAGED)
    for file in dict.fromkeys(files):
        settings = _json(file)
        key, chosen = "security.auth.selectedType", _inside(settings, "security", "auth").get("selectedType")
        if chosen is None:
            key, chosen = "selectedAuthType", settings.get("selectedAuthType")
        if isinstance(chosen, str) and chosen != "gemini-api-key":
            words = f"is {chosen!r}, which has no base URL: make it 'gemini-api-key', or use --via https-proxy"
            yield Trap(file, key, words)


def _opencode_config(look: Look) -> Iterator[Trap]:
    folder = look.configured("XDG_CONFIG_HOME", ".config") / "opencode"
    led = {pointer.path[1] for pointer in look.agent.pointers if pointer.path}
    for place in dict.fromkeys((folder, look.folder, look.folder / ".opencode")):
        for file in (place / "opencode.json", place / "opencode.jsonc"):
            for name, provider in _inside(_json(file), "provider").items():
                url = _inside(provider, "options").get("baseURL") if isinstance(provider, dict) else None
                past = look.via == "https-proxy" or name not in led
                if isinstance(url, str) and past and not _at_vendor(url, look.agent):
                    yield Trap(
                        file, f"provider.{name}.options.baseURL", "leads past the proxy when this provider is used"
                    )


KINDS: Mapping[str, Callable[[Look], Iterator[Trap]]] = {
    "claude-settings": _claude_settings,
    "codex-login": _codex_login,
    "codex-config": _codex_config,
    "gemini-settings": _gemini_settings,
    "opencode-config": _opencode_config,
}


def _at_vendor(url: str, agent: LaunchAgent) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and host_matches(str(host), agent.hosts)


def _argument(arguments: Sequence[str], *names: str) -> str:
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=False):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else following
    return ""


def _inside(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = document.get(key)
        if not isinstance(found, dict):
            return {}
        document = found
    return document


def _json(file: Path) -> Mapping[str, Any]:
    text = _text(file)
    try:
        for beyond in (_COMMENT, _LAST_COMMA):
            text = beyond.sub(lambda match: match[1] or "", text)
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _toml(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except (ValueError, RecursionError):
        return {}


def _text(file: Path) -> str:
    try:
        if not file.is_file() or file.stat().st_size > MAX_FILE_SIZE * 16:
            return ""
        return file.read_text("utf-8-sig", "replace")
    except OSError:
        return ""
