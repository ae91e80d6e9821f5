"""Real agents and SDKs as somebody runs them: which program, told what, and what they said in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from codemie_core.interception.trust import Trust
from codemie_core.launch.agents import AGENTS, GENERIC, LaunchAgent
from codemie_core.launch.environment import Circumstances, Via, prepare
from support.agents_npm import NotInstalled, installed, version
from support.agents_wire import MODELS, Call

OWN = "sk-planted-own-key"
"""The credential an agent is given by its user: no upstream may see it on a model turn that an account serves."""
PATIENCE = 150.0
_HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Way:
    """How it gets to the model API: `url` is the proxy's, or the upstream's own where there is none."""

    via: Via
    url: str
    trust: Trust | None = None
    """In HTTPS_PROXY mode."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a run ended: `code` is None when it had to be killed for taking too long."""

    code: int | None
    text: str
    """The agent's last words, as it shows them; what it complains of, too."""
    out: str = field(repr=False)
    err: str
    seconds: float


class Run:
    """A running client, the leader of a process group of its own, of which nothing is left afterwards."""

    def __init__(self, client: Client, command: list[str], environ: Mapping[str, str], folder: Path) -> None:
        self._client = client
        self._out, self._err = (folder / f".{name}-{time.monotonic_ns()}" for name in ("out", "err"))
        self._began = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                env=dict(environ),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """With all it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    @property
    def said(self) -> str:
        """On stdout so far."""
        return self._out.read_text("utf-8", "replace")

    def told(self, within: float = PATIENCE) -> Told:
        """Wait for its end."""
        try:
            code: int | None = self.process.wait(within)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        out, err = self.said, self._err.read_text("utf-8", "replace")
        return Told(code, self._client.words(out), out, err, time.monotonic() - self._began)


class Client:
    """One agent; `api` is what it speaks. `start` with `again` goes on with the conversation of this folder."""

    name: ClassVar[str]
    api: ClassVar[str]
    vendor: ClassVar[str]
    """The host it asks in HTTPS_PROXY mode."""
    path: ClassVar[str]
    """Part of the path of its model turns."""
    side: ClassVar[int] = 0
    """Requests with a smaller body are titles and the like."""
    websocket: ClassVar[bool] = False
    session_header: ClassVar[str] = ""
    """Where it names its conversation."""
    provider: ClassVar[str]
    """That of accounts it can be served from."""

    def available(self) -> None:
        """NotInstalled when it cannot be had."""
        raise NotImplementedError

    @property
    def version(self) -> str:
        raise NotImplementedError

    def command(self, prompt: str, again: bool) -> list[str]:
        """The program, and what its user would type."""
        raise NotImplementedError

    def variables(self, home: Path) -> dict[str, str]:
        """What its user has set: a key, and that it leaves the network alone. Files of settings go below `home`."""
        raise NotImplementedError

    def overrides(self, way: Way) -> list[str]:
        """Further arguments, before the user's."""
        return []

    def call(self, command: str) -> Call:
        """Its shell tool, to run this."""
        raise NotImplementedError

    def words(self, out: str) -> str:
        """What it showed in the end."""
        return out

    def user(self, folder: Path) -> dict[str, str]:
        """The environment of its user: nothing of this machine but the way to its programs."""
        home = folder.parent / "agent-home"
        home.mkdir(exist_ok=True)
        base = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "LANG": "C.UTF-8", "SHELL": "/bin/sh"}
        return {**base, **self.variables(home)}

    def start(self, way: Way, folder: Path, prompt: str, again: bool = False) -> Run:
        """Begin a run, led to the proxy as `codemie-proxy run` and `codemie-proxy env` do it."""
        environ = self.user(folder)
        prepared = prepare(self.agent, way.via, way.url, way.trust, environ, Circumstances(target_host="localhost"))
        program, *words = self.command(prompt, again)
        command = [program, *prepared.arguments, *self.overrides(way), *words]
        return Run(self, command, prepared.applied(environ), folder)

    @property
    def agent(self) -> LaunchAgent:
        """What the launcher knows of it."""
        return GENERIC

    def ask(self, way: Way, folder: Path, prompt: str, again: bool = False, within: float = PATIENCE) -> Told:
        """A run from its beginning to its end."""
        with self.start(way, folder, prompt, again) as run:
            return run.told(within)


def _events(out: str) -> Iterator[dict[str, Any]]:
    for line in out.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


class FromNpm(Client):
    """An agent that npm installs."""

    program: ClassVar[str]

    def available(self) -> None:
        installed(self.program)

    @property
    def version(self) -> str:
        return version(self.program)

    @property
    def agent(self) -> LaunchAgent:
        return AGENTS[self.program]

    @property
    def executable(self) -> str:
        return str(installed(self.program))


class Claude(FromNpm):
    name, program, api, provider = "claude", "claude", "anthropic", "anthropic-compatible"
    vendor, path, session_header = "api.anthropic.com", "/v1/messages", "x-claude-code-session-id"

    def variables(self, home: Path) -> dict[str, str]:
        quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}
        return {**quiet, **self.credential()}

    def credential(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": OWN}

    def command(self, prompt: str, again: bool) -> list[str]:
        shown = ["--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        words = [self.executable, "-p", prompt, "--model", MODELS["anthropic"], *shown, "--allowedTools", "Bash"]
        return [*words, "--continue"] if again else words

    def call(self, command: str) -> Call:
        return "Bash", {"command": command, "description": "Run it"}

    def words(self, out: str) -> str:
        results = [str(event.get("result")) for event in _events(out) if event.get("type") == "result"]
        return results[-1] if results else ""


class ClaudeOAuth(Claude):
    """With a subscription's token, as `claude setup-token` makes it."""

    name = "claude-oauth"

    def credential(self) -> dict[str, str]:
        return {"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-planted-own-token"}


class Codex(FromNpm):
    name, program, api, provider = "codex", "codex", "responses", "openai-compatible"
    vendor, path, session_header = "api.openai.com", "/v1/responses", "session-id"

    def variables(self, home: Path) -> dict[str, str]:
        config = home / ".codex" / "config.toml"
        config.parent.mkdir(exist_ok=True)
        config.write_text("check_for_update_on_startup = false\n[analytics]\nenabled = false\n")
        return {"CODEX_API_KEY": OWN}

    def command(self, prompt: str, again: bool) -> list[str]:
        flags = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        words = [self.executable, "exec", *flags, "-m", MODELS["responses"]]
        return [*words, "resume", "--last", prompt] if again else [*words, prompt]

    def overrides(self, way: Way) -> list[str]:
        """By itself it asks its vendor over a WebSocket, and everybody else over HTTP."""
        if way.via == "base-url":
            return ["-c", "model_providers.codemie-proxy.supports_websockets=true"] if self.websocket else []
        if self.websocket:
            return []
        place = f'base_url="https://{self.vendor}/v1", env_key="CODEX_API_KEY"'
        provider = f'{{name="http", {place}, wire_api="responses"}}'
        return ["-c", "model_provider=http", "-c", f"model_providers.http={provider}"]

    def call(self, command: str) -> Call:
        return "exec_command", {"cmd": command, "yield_time_ms": 30_000}

    def words(self, out: str) -> str:
        items = [event.get("item", {}) for event in _events(out) if event.get("type") == "item.completed"]
        said = [str(item.get("text")) for item in items if item.get("type") == "agent_message"]
        problems = [event for event in _events(out) if event.get("type") in ("error", "turn.failed")]
        complaints = [str(event.get("message") or event.get("error")) for event in problems]
        return said[-1] if said else "\n".join(complaints)


class CodexWebSocket(Codex):
    """As it asks OpenAI when nothing else is configured."""

    name, websocket = "codex-ws", True


class Gemini(FromNpm):
    name, program, api, provider = "gemini", "gemini", "gemini", "gemini"
    vendor, path = "generativelanguage.googleapis.com", ":streamGenerateContent"

    def variables(self, home: Path) -> dict[str, str]:
        settings = home / ".gemini" / "settings.json"
        settings.parent.mkdir(exist_ok=True)
        quiet = {"privacy": {"usageStatisticsEnabled": False}, "general": {"enableAutoUpdate": False}}
        settings.write_text(json.dumps({"security": {"auth": {"selectedType": "gemini-api-key"}}, **quiet}))
        return {"GEMINI_API_KEY": OWN, "GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_TELEMETRY_ENABLED": "false"}

    def command(self, prompt: str, again: bool) -> list[str]:
        words = [self.executable, "-m", MODELS["gemini"], "--yolo", "--output-format", "stream-json"]
        return [*words, *(["--resume", "latest"] if again else []), "-p", prompt]

    def call(self, command: str) -> Call:
        return "run_shell_command", {"command": command, "description": "Run it"}

    def words(self, out: str) -> str:
        said = [str(event.get("content")) for event in _events(out) if event.get("role") == "assistant"]
        return "".join(said)


class OpenCode(FromNpm):
    name, program, api, provider = "opencode", "opencode", "anthropic", "anthropic-compatible"
    vendor, path, side, session_header = "api.anthropic.com", "/v1/messages", 10_000, "x-session-id"

    def variables(self, home: Path) -> dict[str, str]:
        config = {"autoupdate": False, "share": "disabled", "permission": "allow"}
        quiet = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
        more = {"OPENCODE_CONFIG_CONTENT": json.dumps(config), "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"}
        return {"ANTHROPIC_API_KEY": OWN, **more, **quiet}

    def command(self, prompt: str, again: bool) -> list[str]:
        words = [self.executable, "run", "--format", "json", "-m", f"anthropic/{MODELS['anthropic']}"]
        return [*words, *(["--continue"] if again else []), prompt]

    def call(self, command: str) -> Call:
        return "bash", {"command": command, "description": "Run it"}

    def words(self, out: str) -> str:
        parts = [event.get("part", {}) for event in _events(out) if event.get("type") == "text"]
        return str(parts[-1].get("text")) if parts else out[-600:]


class Sdk(Client):
    """A Python SDK in `support/agents_sdk.py`."""

    module: ClassVar[str]

    def available(self) -> None:
        try:
            found = find_spec(self.module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise NotInstalled(f"{self.name}: there is no module {self.module}")

    @property
    def version(self) -> str:
        try:
            return metadata.version(self.module.replace(".", "-"))
        except metadata.PackageNotFoundError:
            return ""

    def command(self, prompt: str, again: bool) -> list[str]:
        return [sys.executable, "-P", "-m", "support.agents_sdk", self.api, prompt, *(["--again"] if again else [])]

    def variables(self, home: Path) -> dict[str, str]:
        key = {"anthropic": "ANTHROPIC_API_KEY", "gemini": "GEMINI_API_KEY"}.get(self.api, "OPENAI_API_KEY")
        return {key: OWN, "PYTHONPATH": f"{_HERE}:{_HERE.parent / 'addons'}"}

    def call(self, command: str) -> Call:
        return "run_shell", {"command": command}


class AnthropicSdk(Sdk):
    name, module, api, provider = "anthropic SDK", "anthropic", "anthropic", "anthropic-compatible"
    vendor, path = "api.anthropic.com", "/v1/messages"


class OpenAIResponsesSdk(Sdk):
    name, module, api, provider = "openai SDK (responses)", "openai", "responses", "openai-compatible"
    vendor, path = "api.openai.com", "/v1/responses"


class OpenAIChatSdk(Sdk):
    name, module, api, provider = "openai SDK (chat)", "openai", "chat", "openai-compatible"
    vendor, path = "api.openai.com", "/v1/chat/completions"


class GeminiSdk(Sdk):
    name, module, api, provider = "google-genai SDK", "google.genai", "gemini", "gemini"
    vendor, path = "generativelanguage.googleapis.com", ":streamGenerateContent"


REAL_AGENTS: tuple[Client, ...] = (Claude(), Codex(), CodexWebSocket(), Gemini(), OpenCode())
SDK_CLIENTS: tuple[Client, ...] = (AnthropicSdk(), OpenAIResponsesSdk(), OpenAIChatSdk(), GeminiSdk())
CLIENTS = (*REAL_AGENTS, *SDK_CLIENTS)
