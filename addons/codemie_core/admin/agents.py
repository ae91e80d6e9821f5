"""Which coding agents work here, on what, and at what cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codemie_core.admin.asked import EVERYTHING, Asked
from codemie_core.admin.counted import Counted, counted
from codemie_core.admin.plane import Plane
from codemie_core.admin.wire import Wire
from codemie_core.store.breakdown import Breakdown
from codemie_core.store.filters import Filter

if TYPE_CHECKING:
    from sqlalchemy import Connection

TITLES = {
    "claude": "Claude Code",
    "codex": "Codex",
    "gemini": "Gemini CLI",
    "opencode": "opencode",
    "anthropic-sdk": "Anthropic SDK",
    "openai-sdk": "OpenAI SDK",
    "google-genai": "Google Gen AI SDK",
    "litellm": "LiteLLM",
    "unknown": "Other clients",
}


class AgentUsage(Counted):
    """One agent."""

    id: str
    name: str
    models: list[str]
    accounts: list[str]
    projects: list[str]


class Agents(Wire):
    """Those that were seen, the one with most turns first."""

    agents: list[AgentUsage]


async def agents(plane: Plane, asked: Asked = EVERYTHING) -> Agents:
    """Of the turns that are asked for."""
    wanted = asked.filter(round(plane.clock() * 1000))
    return await plane.read(lambda connection: _found(connection, wanted))


def _found(connection: Connection, wanted: Filter) -> Agents:
    found = Breakdown(connection, wanted, ("agent", "model", "account", "project"))
    models, accounts, projects = (found.beside("agent", other) for other in ("model", "account", "project"))
    return Agents(
        agents=[
            AgentUsage(
                **counted(one).model_dump(by_alias=False),
                id=name,
                name=TITLES.get(name, name),
                models=models[name],
                accounts=accounts[name],
                projects=projects[name],
            )
            for name, one in found.by_name("agent").items()
        ]
    )
