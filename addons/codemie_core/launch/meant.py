"""A key may be meant for one place alone: whoever has given an agent another address has given it the key for that.

We overrule such an address. The key would then go where we lead, unless the user has said that it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from codemie_core.errors import SettingsError
from codemie_core.launch.agent_files import inside, json_object, read_assignments, read_json
from codemie_core.launch.destination import Destination
from codemie_core.launch.environment import pointers_to
from codemie_core.launch.overruling import takes_settings
from codemie_core.launch.traps import Look, claude_files, codex_config, gemini_env, opencode_files
from codemie_core.logs.log_text import printable

MEANT = "{place} leads to {host}, and {key} may be meant for that alone: --target says where it may go with {title}"


@dataclass(frozen=True, slots=True)
class Meant:
    """An address and a key that belong together."""

    place: str
    """Who says so."""
    url: str
    key: str
    """Where it stands; never itself."""


def keep_keys_home(look: Look, target: str | None, going: Destination) -> None:
    """SettingsError when a key would go where it was not meant to. `target` is what the user asks for, if anything."""
    # What goes to CodeMie or is sent elsewhere goes without the agent's own key.
    if target is not None or going.gateway or going.retarget:
        return
    vendors = {key.vendor for key in look.agent.keys}
    for found in KINDS[look.agent.name](look, going.host) if look.agent.name in KINDS else ():
        host = _host(found.url)
        if host and host not in ({going.host} if look.via == "base-url" else vendors):
            words = MEANT.format(place=found.place, host=host, key=found.key, title=look.agent.title)
            raise SettingsError(printable(words))


def _claude(look: Look, host: str) -> Iterator[Meant]:
    if not takes_settings(look.agent, look.arguments):
        return
    files = {file: read_json(file) for file, managed in claude_files(look) if not managed}
    names = list(look.agent.key_variables)
    keys = [f"env.{name}" for one in files.values() for name in names if inside(one, "env").get(name)]
    keys += ["apiKeyHelper" for one in files.values() if one.get("apiKeyHelper")]
    keys += filter(look.environ.get, names)
    for file, document in files.items():
        for variable in look.agent.base_url:
            url = inside(document, "env").get(variable)
            if isinstance(url, str) and keys:
                yield Meant(f"{file}: env.{variable}", url, keys[0])


def _codex(look: Look, host: str) -> Iterator[Meant]:
    if look.via != "base-url":
        return
    file, config, profile = codex_config(look)
    key = next(filter(look.environ.get, look.agent.key_variables), "") or "its login"
    provider = inside(config, "profiles", profile).get("model_provider") or config.get("model_provider")
    if isinstance(provider, str):
        own = inside(config, "model_providers", provider)
        if own.get("env_key") == key:
            yield Meant(f"{file}: model_providers.{provider}.base_url", str(own.get("base_url", "")), key)
    yield Meant(f"{file}: openai_base_url", str(config.get("openai_base_url", "")), key)


def _gemini(look: Look, host: str) -> Iterator[Meant]:
    file = gemini_env(look)
    if look.via != "base-url" or file is None:
        return
    said = {**read_assignments(file), **look.environ}
    for variable in look.agent.base_url:
        if key := next(filter(said.get, look.agent.key_variables), ""):
            yield Meant(f"{file}: {variable}", read_assignments(file).get(variable, ""), key)


def _opencode(look: Look, host: str) -> Iterator[Meant]:
    if look.via != "base-url":
        return
    files = {str(file): read_json(file) for file, managed in opencode_files(look) if not managed}
    pointers = pointers_to(look.agent, host)
    for variable in {pointer.variable for pointer in pointers}:
        files[variable] = json_object(look.environ.get(variable, ""))
    stored = read_json(look.configured("XDG_DATA_HOME", ".local/share") / "opencode" / "auth.json")
    for pointer in pointers:
        name = pointer.path[1]
        options = {place: inside(document, "provider", name, "options") for place, document in files.items()}
        keys = ["apiKey"] if any(one.get("apiKey") for one in options.values()) else []
        for key in look.agent.keys:
            keys += filter(look.environ.get, key.variables if key.vendor == pointer.vendor else ())
        keys += ["its login"] if name in stored else []
        for place, one in options.items() if keys else ():
            yield Meant(f"{place}: provider.{name}.options.baseURL", str(one.get("baseURL", "")), keys[0])


KINDS: Mapping[str, Callable[[Look, str], Iterator[Meant]]] = {
    "claude": _claude,
    "codex": _codex,
    "gemini": _gemini,
    "opencode": _opencode,
}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
