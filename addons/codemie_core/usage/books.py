"""Everything that is kept in mind to make a record of a turn: open tool calls, prices, working folders.

Used by one thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.asked import Asked
from codemie_core.usage.asking import asked_of
from codemie_core.usage.cost import Cost
from codemie_core.usage.files import file_operations
from codemie_core.usage.folders import Folders
from codemie_core.usage.providers import provider_of
from codemie_core.usage.record import Labels, Record, ToolUse
from codemie_core.usage.recording import record_of, served_by, shown
from codemie_core.usage.toolbook import ToolBook
from codemie_core.usage.turn import Turn
from codemie_core.usage.usage import Usage


class Prices(Protocol):
    """What a turn costs."""

    def price(self, provider: str, model: str, usage: Usage, at: datetime) -> Cost:
        """Its cost at that time."""


class Books:
    """One per process: a conversation may go on over many exchanges."""

    def __init__(self, prices: Prices, folders: Callable[[], Folders] = Folders) -> None:
        self._prices = prices
        self._tools = ToolBook()
        self._folders = folders()

    def record(self, turn: Turn) -> Record:
        """The record of this turn; the ones before it in its conversation must have been recorded."""
        exchange = turn.exchange
        answer = turn.meter.finish()
        body = exchange.request_parsed(turn.request, turn.encoding)
        asked = asked_of(turn.api, exchange.path, body) or Asked()
        # Clients that name no conversation share one page: ids of calls are unique, folders and prompts are not.
        named, conversation = exchange.conversation_id, f"{exchange.agent.name}:{exchange.conversation_id or ''}"
        asked = self._tools.placed(conversation, asked) if named else asked
        done = self._tools.paired(conversation, asked.results)
        tools = tuple(_use(exchange.agent.name, call) for call in answer.tools)
        self._tools.called(conversation, turn.id, tools)
        # An agent sends a prompt again where a request failed; a script means what it says twice.
        agent = named or exchange.agent.client_type
        again = asked.prompts and agent and not self._tools.new_prompt(conversation, asked.prompt_mark)
        provider = provider_of(served_by(exchange), turn.api, answer.model or asked.model)
        at = datetime.fromtimestamp(exchange.started_at + turn.began_ms / 1000, UTC)
        return record_of(
            turn,
            answer,
            asked,
            provider=provider,
            cost=self._prices.price(provider, answer.model or asked.model, answer.usage, at),
            labels=self._labels(exchange.labels, asked),
            tools=tools,
            done=done,
            prompts=0 if again else asked.prompts,
        )

    def _labels(self, labels: Labels, asked: Asked) -> Labels:
        """The folder that the agent says it works in counts more than the one the proxy was started in.

        The branch that it says is the one it started on; a folder of this machine knows today's.
        """
        if not asked.folder or asked.folder == labels.working_directory:
            return replace(labels, branch=asked.branch) if asked.branch else labels
        found = self._folders.of(asked.folder)
        return replace(
            labels,
            repository=found.repository,
            branch=found.branch or asked.branch,
            working_directory=asked.folder,
        )


def _use(agent: str, call: ToolCall) -> ToolUse:
    files = tuple(replace(each, path=shown(each.path)) for each in file_operations(agent, call))
    return ToolUse(replace(call, name=shown(call.name)), files)
