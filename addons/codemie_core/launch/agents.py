"""The agents that can be started through the proxy, as data: what points each of them somewhere, and what overrules it.

Tried with Claude Code 2.1, Codex 0.169, Gemini CLI 0.61 and opencode 1.18; those of kimi, copilot and pi are taken from
what CodeMie's own tools set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal

type Api = Literal["anthropic", "responses", "chat", "gemini"]

PROXY_HANDLED = "proxy-handled"
"""Stands where an agent wants a key before it sends anything; the proxy puts a credential in its place."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """One place that says where a vendor's API is. `{url}` in `value` is the proxy's address, without a slash."""

    vendor: str
    """Its host; no pointer is set when the target is the host of another vendor."""
    variable: str
    value: str = "{url}"
    path: tuple[str, ...] = ()
    """Where in the JSON that the variable holds; () when it holds the value itself."""


@dataclass(frozen=True, slots=True)
class Key:
    """What an agent wants before it asks a vendor anything."""

    vendor: str
    """Its host."""
    variables: tuple[str, ...]
    """One is enough; the first one is set when the proxy signs in."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings without which an agent does not start in base-url mode, for users who have chosen nothing."""

    variable: str
    """Names the file whose settings count less than all others."""
    files: tuple[str, ...]
    """Where that file is otherwise."""
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LaunchAgent:
    """What there is to know about an agent before it starts."""

    name: str
    title: str
    programs: tuple[str, ...]
    """Looked for on PATH, in this order."""
    install: str
    """How one comes by it."""
    api: Api
    default_target: str
    """Its vendor; "" when nobody can know."""
    hosts: tuple[str, ...] = ()
    """Its vendor's hosts, which are decrypted in https-proxy mode."""
    pointers: tuple[Pointer, ...] = ()
    """() when it has no base URL setting: then there is https-proxy mode only."""
    keys: tuple[Key, ...] = ()
    arguments: tuple[str, ...] = ()
    """Put before the user's in base-url mode. `{url}` as above, `{key}` is the first variable with a key."""
    keyless: tuple[str, ...] = ()
    """Put there instead when no variable holds a key: the agent's own login goes along."""
    removed: tuple[str, ...] = ()
    """Variables that would lead past the proxy, in either mode."""
    no_base_url: tuple[str, ...] = ()
    """Variables that choose a way to sign in for which there is https-proxy mode only."""
    defaults: Defaults | None = None
    logins: tuple[str, ...] = ()
    """Files that are there when somebody is logged in, below the home folder."""
    settings_argument: str = ""
    """Takes JSON whose `env` counts more than the agent's files."""
    traps: tuple[str, ...] = ()
    """Ids of what may overrule all this; see traps.py."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Further variables of base-url mode, where the user has not set them."""

    @property
    def key_variables(self) -> Iterator[str]:
        """All that may hold a key, those it would take first in front."""
        return (name for key in self.keys for name in key.variables)

    @property
    def base_url(self) -> Mapping[str, str]:
        """The variables that hold a base URL as it is, with their templates."""
        return {one.variable: one.value for one in self.pointers if not one.path}


ANTHROPIC = "api.anthropic.com"
OPENAI = "api.openai.com"
GOOGLE = "generativelanguage.googleapis.com"

_CODEX_PROVIDER = (
    "-c",
    "model_provider=codemie-proxy",
    "-c",
    'model_providers.codemie-proxy.name="CodeMie proxy"',
    "-c",
    'model_providers.codemie-proxy.base_url="{url}/v1"',
    "-c",
    'model_providers.codemie-proxy.wire_api="responses"',
)

_KNOWN = (
    LaunchAgent(
        name="claude",
        title="Claude Code",
        programs=("claude",),
        install="npm install -g @anthropic-ai/claude-code",
        api="anthropic",
        default_target=f"https://{ANTHROPIC}",
        hosts=(ANTHROPIC,),
        pointers=(Pointer(ANTHROPIC, "ANTHROPIC_BASE_URL"),),
        # As a bearer token it needs no approval; an API key is asked about once.
        keys=(Key(ANTHROPIC, ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")),),
        removed=("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"),
        logins=(".claude/.credentials.json", ".claude.json"),
        settings_argument="--settings",
        traps=("claude-settings",),
    ),
    LaunchAgent(
        name="codex",
        title="Codex",
        programs=("codex",),
        install="npm install -g @openai/codex",
        api="responses",
        default_target=f"https://{OPENAI}",
        hosts=(OPENAI, "chatgpt.com"),
        pointers=(Pointer(OPENAI, "OPENAI_BASE_URL", "{url}/v1"),),
        keys=(Key(OPENAI, ("CODEX_API_KEY", "OPENAI_API_KEY")),),
        # Its auth.json counts more than any variable; a provider of one's own counts more than auth.json.
        arguments=(*_CODEX_PROVIDER, "-c", 'model_providers.codemie-proxy.env_key="{key}"'),
        keyless=(*_CODEX_PROVIDER, "-c", "model_providers.codemie-proxy.requires_openai_auth=true"),
        logins=(".codex/auth.json",),
        traps=("codex-login", "codex-config"),
    ),
    LaunchAgent(
        name="gemini",
        title="Gemini CLI",
        programs=("gemini",),
        install="npm install -g @google/gemini-cli",
        api="gemini",
        default_target=f"https://{GOOGLE}",
        hosts=(GOOGLE, "cloudcode-pa.googleapis.com"),
        pointers=(Pointer(GOOGLE, "GOOGLE_GEMINI_BASE_URL"),),
        keys=(Key(GOOGLE, ("GEMINI_API_KEY",)),),
        removed=("GOOGLE_GENAI_USE_VERTEXAI",),
        no_base_url=("GOOGLE_GENAI_USE_GCA",),
        # A base URL alone makes it choose a way to sign in that it then calls invalid.
        defaults=Defaults(
            "GEMINI_CLI_SYSTEM_DEFAULTS_PATH",
            ("/etc/gemini-cli/system-defaults.json", "/Library/Application Support/GeminiCli/system-defaults.json"),
            MappingProxyType({"security": {"auth": {"selectedType": "gemini-api-key"}}}),
        ),
        logins=(".gemini/oauth_creds.json",),
        traps=("gemini-settings",),
    ),
    LaunchAgent(
        name="opencode",
        title="opencode",
        programs=("opencode",),
        install="npm install -g opencode-ai",
        api="anthropic",
        default_target=f"https://{ANTHROPIC}",
        hosts=(ANTHROPIC, OPENAI, GOOGLE, "opencode.ai"),
        pointers=tuple(
            Pointer(vendor, "OPENCODE_CONFIG_CONTENT", value, ("provider", provider, "options", "baseURL"))
            for vendor, provider, value in (
                (ANTHROPIC, "anthropic", "{url}/v1"),
                (OPENAI, "openai", "{url}/v1"),
                (GOOGLE, "google", "{url}/v1beta"),
            )
        ),
        keys=(
            Key(ANTHROPIC, ("ANTHROPIC_API_KEY",)),
            Key(OPENAI, ("OPENAI_API_KEY",)),
            Key(GOOGLE, ("GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY")),
        ),
        logins=(".local/share/opencode/auth.json",),
        traps=("opencode-config",),
    ),
    LaunchAgent(
        name="kimi",
        title="Kimi CLI",
        programs=("kimi",),
        install="uv tool install kimi-cli",
        api="chat",
        default_target="https://api.moonshot.ai",
        hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        pointers=(
            Pointer("api.moonshot.ai", "KIMI_MODEL_BASE_URL", "{url}/v1"),
            Pointer("api.moonshot.ai", "KIMI_BASE_URL", "{url}/v1"),
        ),
        keys=(Key("api.moonshot.ai", ("KIMI_MODEL_API_KEY", "KIMI_API_KEY")),),
    ),
    LaunchAgent(
        name="copilot",
        title="GitHub Copilot CLI",
        programs=("copilot",),
        install="npm install -g @github/copilot",
        api="anthropic",
        default_target=f"https://{ANTHROPIC}",
        hosts=("*.githubcopilot.com",),
        pointers=(Pointer(ANTHROPIC, "COPILOT_PROVIDER_BASE_URL"),),
        keys=(Key(ANTHROPIC, ("COPILOT_PROVIDER_API_KEY", "COPILOT_PROVIDER_BEARER_TOKEN")),),
        fixed=MappingProxyType({"COPILOT_PROVIDER_TYPE": "anthropic"}),
    ),
    LaunchAgent(
        name="pi",
        title="pi",
        programs=("pi",),
        install="npm install -g @mariozechner/pi-coding-agent",
        api="anthropic",
        default_target=f"https://{ANTHROPIC}",
        hosts=(ANTHROPIC, OPENAI, GOOGLE),
        keys=(Key(ANTHROPIC, ("ANTHROPIC_API_KEY",)),),
    ),
)

AGENTS: Mapping[str, LaunchAgent] = MappingProxyType({agent.name: agent for agent in _KNOWN})

GENERIC = LaunchAgent(
    name="any",
    title="any other program",
    programs=(),
    install="",
    api="anthropic",
    default_target="",
    hosts=(ANTHROPIC, OPENAI, GOOGLE),
    pointers=(
        Pointer(ANTHROPIC, "ANTHROPIC_BASE_URL"),
        Pointer(OPENAI, "OPENAI_BASE_URL", "{url}/v1"),
        Pointer(GOOGLE, "GOOGLE_GEMINI_BASE_URL"),
    ),
    keys=(
        Key(ANTHROPIC, ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")),
        Key(OPENAI, ("OPENAI_API_KEY",)),
        Key(GOOGLE, ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    ),
)
"""A script, an SDK, an editor: all variables that the SDKs of the vendors read."""


def agent_for(command: str) -> LaunchAgent:
    """The agent whose name or program `command` is, with or without a path; GENERIC for everything else."""
    name = PurePath(command).name
    return next((agent for agent in _KNOWN if name in (agent.name, *agent.programs)), GENERIC)
