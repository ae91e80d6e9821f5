"""The sessions among flows: one line for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from codemie_core.amounts import money, several, tokens
from codemie_core.inspection.facts import Facts, facts_of


class Flow(Protocol):
    """What a flow keeps beside its messages."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Names and plain values."""


def session_lines(flows: Iterable[Flow]) -> list[str]:
    """In the order of their first requests."""
    found: dict[str, list[Facts]] = {}
    for flow in flows:
        facts = facts_of(flow.metadata)
        if facts.session and facts.turns:
            found.setdefault(facts.session, []).append(facts)
    if not found:
        return ["no session has asked a model yet"]
    return [_line(session, turns) for session, turns in found.items()]


def _line(session: str, turns: list[Facts]) -> str:
    read, written = (
        sum(value or 0 for value in values) for values in ([t.read for t in turns], [t.written for t in turns])
    )
    known = [each.nano_usd for each in turns if each.nano_usd is not None]
    cost = money(sum(known) if known else None, sum(each.unpriced for each in turns))
    asked = several(sum(each.turns for each in turns), "turn")
    accounts = ", ".join(dict.fromkeys(filter(None, (each.account for each in turns))))
    by = f", account {accounts}" if accounts else ""
    return f"{session} {turns[0].agent}: {asked}, {tokens(read)} read, {tokens(written)} written, {cost}{by}"
