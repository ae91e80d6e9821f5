"""The X-CodeMie headers: who asks, in which session, from which repository.

Runs after whoever changes the target, so that the headers match where the request goes, and fails open. Whatever
X-CodeMie headers a client sends are dropped before anyone can believe them. In reverse mode every request gets them, in
other modes only those to CodeMie's hosts. The values are labels, not secrets: they go onto the flow's own request.
"""

import asyncio
import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from mitmproxy import http
from mitmproxy.proxy.mode_specs import ReverseMode
from pydantic import Field, field_validator

from codemie_core import __version__
from codemie_core.addon import Addon, AddonSettings
from codemie_core.core_addon import core_of
from codemie_core.exchange import Exchange, exchange_of
from codemie_core.options import FromEnv, FromProfile
from codemie_core.scope import CODEMIE_HOSTS, address_of, host_matches, validate_hosts
from codemie_core.usage.record import NO_LABELS, Labels
from codemie_core.workspace import Workspace, find_workspace

LONGEST_VALUE = 256

type Fields = tuple[tuple[bytes, bytes], ...]

LITELLM_CLIENTS = frozenset({"codemie-codex", "codemie-copilot"})
"""CodeMie's gateway groups the calls of these clients by LiteLLM's own session header."""


class HeaderInjection(Addon, priority=20):
    """One set of headers per exchange; a value that is empty leaves its header out."""

    class Settings(AddonSettings):
        """Values are cleaned as `header_value` says."""

        cli: str = Field(f"codemie-proxy/{__version__}", min_length=1, description="X-CodeMie-CLI.")
        client_type: Annotated[str, FromEnv("CODEMIE_CLIENT_TYPE")] = Field(
            "", description="X-CodeMie-Client; empty means the name CodeMie has for the agent that asks."
        )
        model: Annotated[str, FromProfile("model")] = Field("", description="X-CodeMie-CLI-Model.")
        timeout_ms: Annotated[int, FromProfile("timeout_ms")] = Field(
            0, ge=0, description="X-CodeMie-CLI-Timeout in milliseconds; 0 leaves it out."
        )
        project: Annotated[str, FromProfile("project")] = Field("", description="X-CodeMie-Project.")
        integration: Annotated[str, FromProfile("integration_id")] = Field(
            "",
            description="X-CodeMie-Integration; the profile's own is sent only if its provider requires it.",
        )
        repository: Annotated[str, FromEnv("CODEMIE_REPOSITORY")] = Field(
            "", description="X-CodeMie-Repository; empty means that of the folder the proxy was started in."
        )
        branch: Annotated[str, FromEnv("CODEMIE_GIT_BRANCH")] = Field(
            "", description="X-CodeMie-Branch; empty means the one checked out there."
        )
        hosts: tuple[str, ...] = Field(
            CODEMIE_HOSTS,
            description="Hosts that get the headers in regular mode, beside those of the CodeMie profile and sign-in.",
        )

        @field_validator("hosts")
        @classmethod
        def _hosts_are_patterns(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
            validate_hosts(hosts)
            return hosts

    settings: Settings

    def __init__(self, find: Callable[[Path, Mapping[str, str]], Workspace] = find_workspace) -> None:
        self._find = find
        self._workspace = Workspace("", None)
        self._constant: Fields = ()
        self._labels = NO_LABELS
        self._folder = ""
        self._hosts: tuple[str, ...] = ()

    def settled(self) -> None:
        """Make the headers that are the same for every request."""
        own, core = self.settings, core_of(self)
        profile = core.layers.profile
        # Where requests are signed in is CodeMie's, whoever named it.
        self._hosts = (*own.hosts, *profile.hosts, *core.further_hosts.get("sso_auth", ()))
        wanted = profile.requires_integration or own.integration != profile.integration_id
        values = {
            "X-CodeMie-CLI": own.cli,
            "X-CodeMie-Integration": own.integration if wanted else "",
            "X-CodeMie-CLI-Model": own.model,
            "X-CodeMie-CLI-Timeout": str(own.timeout_ms or ""),
            "X-CodeMie-Repository": own.repository or self._workspace.repository,
            "X-CodeMie-Branch": own.branch or self._workspace.branch or "",
            "X-CodeMie-Project": own.project,
        }
        found = (values["X-CodeMie-Repository"], values["X-CodeMie-Branch"])
        self._labels = Labels(own.project, *found, working_directory=self._folder)
        self._constant = fields(values)

    async def start(self) -> None:
        """Ask git once, in a thread. Until it has answered the two headers are left out; nothing waits for them."""
        folder = Path.cwd()
        self._workspace = await asyncio.to_thread(self._find, folder, os.environ)
        self._folder = str(folder)
        self.settled()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Drop what the client claims to be, and say what we know of it."""
        exchange = exchange_of(flow)
        if exchange.scoped:
            exchange.labels = self._labels
            exchange.client_type = self.settings.client_type or exchange.agent.client_type
            flow.request.headers.fields = tuple(
                field for field in flow.request.headers.fields if not is_reserved(field[0])
            )

    async def request(self, flow: http.HTTPFlow) -> None:
        """The body is there, and with it the conversation that some agents name only in it."""
        exchange = exchange_of(flow)
        if flow.response is not None or flow.error is not None or not exchange.scoped:
            return
        if not self._is_codemie(flow):
            return
        await exchange.identify(flow)
        request, ours = flow.request, (*self._constant, *self._own(exchange))
        if request.is_http2 or request.is_http3:
            # mitmproxy logs a line for each capital in a header's name that goes from HTTP/2 to HTTP/2.
            ours = tuple((name.lower(), value) for name, value in ours)
        names = {name.lower() for name, _ in ours}
        # All at once: each assignment to `headers[name]` copies the list of headers.
        request.headers.fields = (*(f for f in request.headers.fields if f[0].lower() not in names), *ours)

    def _own(self, exchange: Exchange) -> Fields:
        return fields(
            {
                "X-CodeMie-Request-ID": exchange.request_id,
                "X-CodeMie-Session-ID": exchange.session_id,
                "X-CodeMie-Client": exchange.client_type,
                "x-litellm-session-id": exchange.session_id if exchange.client_type in LITELLM_CLIENTS else "",
            }
        )

    def _is_codemie(self, flow: http.HTTPFlow) -> bool:
        if isinstance(flow.client_conn.proxy_mode, ReverseMode):
            return True
        return host_matches(address_of(flow.request.host, flow.request.port), self._hosts)


def is_reserved(name: bytes) -> bool:
    """Is this one of ours? Many servers take `_` in a header's name for `-`."""
    return name.lower().replace(b"_", b"-").startswith(b"x-codemie-")


def fields(values: Mapping[str, str]) -> Fields:
    """The headers that have a value, as they go onto a request."""
    pairs = ((name, header_value(text)) for name, text in values.items())
    return tuple((name.encode(), value.encode()) for name, value in pairs if value)


def header_value(text: str) -> str:
    """`text` as a header value: no control characters, all beyond ASCII as %XX of its UTF-8, at most 256 long.

    A character never arrives in part: the first one that does not fit any more ends the value.
    """
    if len(text) <= LONGEST_VALUE and text.isascii() and text.isprintable():
        return text.strip()
    value = ""
    for character in text:
        if unicodedata.category(character) == "Cc":
            continue
        piece = character if character.isascii() else quote(character, errors="replace")
        if len(value) + len(piece) > LONGEST_VALUE:
            break
        value += piece
    return value.strip()


addons = [HeaderInjection()]
