"""Files of the user's that overrule what an agent is told by its environment. They are read, never written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codemie_core.interception.trust import TRUST_VARIABLES
from codemie_core.launch.agent_files import inside, read_assignments, read_json, read_toml
from codemie_core.launch.agents import LaunchAgent
from codemie_core.launch.defaults import lacking
from codemie_core.launch.environment import Via
from codemie_core.logs.log_text import printable
from codemie_core.scope import host_matches

CLAUDE_MANAGED = (
    Path("/etc/claude-code/managed-settings.json"),
    Path("/Library/Application Support/ClaudeCode/managed-settings.json"),
)
CODEX_MANAGED = Path("/etc/codex/managed_config.toml")
GEMINI_MANAGED = (
    Path("/etc/gemini-cli/settings.json"),
    Path("/Library/Application Support/GeminiCli/settings.json"),
)
OPENCODE_MANAGED = (Path("/etc/opencode"), Path("/Library/Application Support/opencode"))
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
_CLAUDE_PROXY = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", *TRUST_VARIABLES)
_ENFORCED = "security.auth.enforcedType"
_PASSED_BY = "counts more than the environment: take it out, or the proxy is passed by"
_NOT_HERE = (
    "is a proxy for what goes to this machine, too: set it in your shell instead, where our proxy sees it as well"
)


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
        return printable(f"{self.file}: {self.key} {self.words}")


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
    by_hand: bool = False
    """Is it started without `run` and `env`, and so without what these bring along?"""

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
        files, state = files[:1], read_json(files[1])
        if isinstance(state.get("oauthAccount"), dict):
            return True
    return any(file.is_file() for file in files)


def claude_files(look: Look) -> Iterator[tuple[Path, bool]]:
    """Claude Code's settings, and whether an administrator manages them."""
    own, project = look.configured("CLAUDE_CONFIG_DIR", ".claude"), look.folder / ".claude"
    # In the home folder the user's file and the project's are one.
    for file in dict.fromkeys(folder / "settings.json" for folder in (own, project)):
        yield file, False
    yield project / "settings.local.json", False
    for file in CLAUDE_MANAGED:
        yield file, True
        for part in _listed(file.with_name("managed-settings.d")):
            yield part, True
    yield own / "remote-settings.json", True


def _claude_settings(look: Look) -> Iterator[Trap]:
    further = _CLAUDE_PROXY if look.via == "https-proxy" else PROXIES
    words = dict.fromkeys((*look.agent.base_url, *look.agent.removed, *further), _PASSED_BY)
    if look.via == "base-url":
        words |= dict.fromkeys(PROXIES, _NOT_HERE)
    for file, managed in claude_files(look):
        variables = inside(read_json(file), "env")
        for name in words:
            if variables.get(name):
                yield Trap(file, f"env.{name}", words[name], name, managed)


def _codex_login(look: Look) -> Iterator[Trap]:
    if look.via != "base-url" or any(map(look.environ.get, look.agent.key_variables)):
        return
    file = look.configured("CODEX_HOME", ".codex") / "auth.json"
    found = read_json(file)
    if isinstance(found.get("tokens"), dict) and not found.get("OPENAI_API_KEY"):
        yield Trap(file, "tokens", "is a login with ChatGPT, which a base URL cannot serve: use --via https-proxy")


def codex_config(look: Look) -> tuple[Path, Mapping[str, Any], str]:
    """Codex' configuration: the file, what is in it, and the profile in force; "" when there is none."""
    file = look.configured("CODEX_HOME", ".codex") / "config.toml"
    config = read_toml(file)
    profile = str(_argument(look.arguments, "-p", "--profile") or config.get("profile") or "")
    # Tables of that name are those of older versions.
    own = read_toml(file.parent / f"{profile}.config.toml") if profile else {}
    providers = {**inside(config, "model_providers"), **inside(own, "model_providers")}
    return file, {**config, **own, "model_providers": providers}, profile


def _codex_config(look: Look) -> Iterator[Trap]:
    file, config, profile = codex_config(look)
    chosen = inside(config, "profiles", profile)
    if look.via == "base-url":
        if read_toml(CODEX_MANAGED).get("model_provider"):
            yield Trap(CODEX_MANAGED, "model_provider", _PASSED_BY, managed=True)
        if chosen.get("model_provider"):
            words = "counts more than what we say: take it out, or run without this profile"
            yield Trap(file, f"profiles.{profile}.model_provider", words)
        return
    provider = chosen.get("model_provider") or config.get("model_provider")
    base_url = inside(config, "model_providers", provider).get("base_url") if isinstance(provider, str) else None
    for key, url in (
        (f"model_providers.{provider}.base_url", base_url),
        ("openai_base_url", config.get("openai_base_url")),
        ("chatgpt_base_url", config.get("chatgpt_base_url")),
    ):
        if isinstance(url, str) and not _at_vendor(url, look.agent):
            yield Trap(file, key, "leads to a host that may not be among those the proxy decrypts: see codemie_hosts")


def gemini_env(look: Look) -> Path | None:
    """The one `.env` that Gemini CLI reads: the nearest."""
    home = look.configured("GEMINI_CLI_HOME", "")
    folders = (look.folder, *look.folder.parents, home)
    return next((file for folder in folders for file in _dotted(folder) if file.is_file()), None)


def _dotted(folder: Path) -> tuple[Path, Path]:
    return folder / ".gemini" / ".env", folder / ".env"


def _gemini_settings(look: Look) -> Iterator[Trap]:
    if look.via != "base-url":
        file = gemini_env(look)
        for variable in look.agent.base_url if file else ():
            if file and read_assignments(file).get(variable):
                yield Trap(file, variable, "leads past the proxy: take it out, or use --via base-url")
        return
    home, system = look.configured("GEMINI_CLI_HOME", ""), look.environ.get("GEMINI_CLI_SYSTEM_SETTINGS_PATH")
    managed = (Path(system),) if system else GEMINI_MANAGED
    own = [folder / ".gemini/settings.json" for folder in (home, look.folder)]
    chosen = _chosen((*own, *managed))
    if _open_to_choice(chosen):
        chosen += _chosen(_gemini_lowest(look))
    for file, key, value in chosen:
        if value != "gemini-api-key":
            words = f"is {value!r}, which has no base URL: make it 'gemini-api-key', or use --via https-proxy"
            yield Trap(file, key, words)
    if _open_to_choice(chosen) and (look.by_hand or not lacking(look.agent, look.via, look.environ)):
        # A base URL alone makes it choose a way to sign in that it then calls invalid.
        words = "is not set, and with a base URL it has to be: make it 'gemini-api-key', or use --via https-proxy"
        yield Trap(home / ".gemini/settings.json", "security.auth.selectedType", words)


def _gemini_lowest(look: Look) -> Iterator[Path]:
    """The file whose settings count less than all others."""
    if look.agent.defaults is not None:
        named = look.environ.get(look.agent.defaults.variable)
        yield from (Path(named),) if named else map(Path, look.agent.defaults.files)


def _chosen(files: Iterable[Path]) -> list[tuple[Path, str, str]]:
    return [(file, *choice) for file in dict.fromkeys(files) for choice in _gemini_choices(read_json(file))]


def _open_to_choice(chosen: Sequence[tuple[Path, str, str]]) -> bool:
    return all(key == _ENFORCED for _, key, _ in chosen)


def _gemini_choices(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys that choose a way to sign in, the last one of older versions."""
    auth = inside(settings, "security", "auth")
    choices = {"security.auth.selectedType": auth.get("selectedType"), _ENFORCED: auth.get("enforcedType")}
    if "selectedType" not in auth:
        choices["selectedAuthType"] = settings.get("selectedAuthType")
    yield from ((key, value) for key, value in choices.items() if value and isinstance(value, str))


def opencode_files(look: Look) -> Iterator[tuple[Path, bool]]:
    """opencode's configuration, and whether an administrator manages it."""
    usual = look.configured("XDG_CONFIG_HOME", ".config") / "opencode"
    yield usual / "config.json", False
    if named := look.environ.get("OPENCODE_CONFIG"):
        yield Path(named).expanduser(), False
    further = look.environ.get("OPENCODE_CONFIG_DIR")
    folders = [usual, look.home / ".opencode", *([Path(further).expanduser()] if further else [])]
    for folder in (look.folder, *look.folder.parents):
        folders += [folder, folder / ".opencode"]
        if (folder / ".git").exists():
            break
    for folder in dict.fromkeys(folders):
        yield from ((folder / name, False) for name in ("opencode.json", "opencode.jsonc"))
    for folder in OPENCODE_MANAGED:
        yield from ((folder / name, True) for name in ("opencode.json", "opencode.jsonc"))


def _opencode_config(look: Look) -> Iterator[Trap]:
    led = {pointer.path[1] for pointer in look.agent.pointers if pointer.path}
    for file, managed in opencode_files(look):
        for name, provider in inside(read_json(file), "provider").items():
            url = inside(provider, "options").get("baseURL") if isinstance(provider, dict) else None
            past = managed or look.via == "https-proxy" or name not in led
            if isinstance(url, str) and past and not _at_vendor(url, look.agent):
                words = "leads past the proxy when this provider is used"
                yield Trap(file, f"provider.{name}.options.baseURL", words, managed=managed)


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


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix == ".json" and not file.name.startswith("."))
    except OSError:
        return []
