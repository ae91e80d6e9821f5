"""Turns and records to count with."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from codemie_core.agents import CLAUDE
from codemie_core.errors import Api
from codemie_core.exchange import Exchange, Terminal
from codemie_core.usage.answer import Answer
from codemie_core.usage.cost import Cost
from codemie_core.usage.record import NO_LABELS, Record
from codemie_core.usage.turn import Read, Turn
from codemie_core.usage.usage import UNKNOWN

_BLANK: dict[str, object] = {
    "str": "",
    "int": 0,
    "float": 0.0,
    "bool": False,
    "int | None": None,
    "float | None": None,
    "Labels": NO_LABELS,
    "Usage": UNKNOWN,
    "Cost": Cost(),
}


def exchange_like(**values: Any) -> Exchange:
    """An exchange of Claude Code that ended well, but for these values."""
    exchange = Exchange(
        **{
            "request_id": "11111111-2222-4333-8444-555555555555",
            "api": Api.ANTHROPIC,
            "agent": CLAUDE,
            "scoped": True,
            "method": "POST",
            "host": "api.anthropic.com",
            "path": "/v1/messages",
            "conversation_id": "conversation-1",
            "status": 200,
            "terminal": Terminal.COMPLETE,
            **values,
        }
    )
    return exchange


def turn_like(exchange: Exchange | None = None, answer: Answer | None = None, **values: Any) -> Turn:
    """A turn of Claude Code that ended well, but for these values."""
    values = {"api": "anthropic", "request": b"", **values}
    return Turn(exchange or exchange_like(), meter=Read(answer or Answer()), **values)


def record_like(**values: Any) -> Record:
    """A record that says nothing, but for these values."""
    blank = {each.name: _BLANK[str(each.type)] for each in fields(Record) if str(each.type) in _BLANK}
    return Record(**{**blank, **values})
