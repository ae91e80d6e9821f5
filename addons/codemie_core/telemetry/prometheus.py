"""Turns as Prometheus metrics, in a registry of their own. Needs prometheus-client; imported when it is used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from codemie_core.telemetry import names
from codemie_core.usage.cost import NANO
from codemie_core.usage.record import Record

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OTHER = "other"
LONGEST_LABEL = 100
MOST_SERIES = 300
"""Different sets of labels per family; what comes later is counted as "other"."""

_WHAT = ("provider", "model")
_WHO = (*_WHAT, "agent", "account")
# Else every series gets a second one that says when it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has types almost everywhere


class Counters:
    """`count` each record, `rendered` whenever somebody asks. Any thread may do either."""

    def __init__(self, most_series: int = MOST_SERIES) -> None:
        self._registry = CollectorRegistry()
        family = functools.partial(_Family, self._registry, most_series)
        self._requests = family(Counter, names.REQUESTS, "Model turns.", _WHO, "status", "terminal")
        self._tokens = family(Counter, names.TOKENS, "Tokens: input is what no cache was used for.", _WHO, "type")
        self._reasoning = family(Counter, names.REASONING, "Output tokens that were reasoning.", _WHO)
        self._cost = family(Counter, names.COST_USD, "US dollars, as far as prices are known.", _WHO)
        self._unpriced = family(Counter, names.UNPRICED, "Turns with tokens and without a price.", _WHO)
        self._tries = family(Counter, names.TRIES, "Tries at an upstream.", ("account",), "outcome")
        self._failovers = family(Counter, names.FAILOVERS, "Tries with another account.", ("account",), "reason")
        seconds = functools.partial(Histogram, buckets=names.SECONDS_BOUNDS)
        self._duration = family(seconds, names.DURATION, "The whole turn.", _WHAT, "status")
        self._first_token = family(seconds, names.FIRST_TOKEN, "Until the first token.", _WHAT)

    def count(self, record: Record) -> None:
        """One turn."""
        who = (record.provider, record.model, record.agent, record.account)
        status = names.status_class(record.status)
        self._requests.child(*who, status, record.terminal).inc()
        self._duration.child(record.provider, record.model, status).observe(record.total_ms / 1000)
        if record.first_token_ms is not None:
            self._first_token.child(record.provider, record.model).observe(record.first_token_ms / 1000)
        self._count_tokens(record, who)
        self._count_tries(record)

    def rendered(self) -> bytes:
        """The text that Prometheus scrapes, of the type CONTENT_TYPE."""
        return generate_latest(self._registry)

    def _count_tokens(self, record: Record, who: tuple[str, str, str, str]) -> None:
        usage = record.usage
        for kind, count in (
            ("input", usage.input),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
            ("output", usage.output),
        ):
            if count:
                self._tokens.child(*who, kind).inc(count)
        if usage.reasoning:
            self._reasoning.child(*who).inc(usage.reasoning)
        if record.cost.nano_usd is not None:
            self._cost.child(*who).inc(record.cost.nano_usd / NANO)
        elif usage.total:
            self._unpriced.child(*who).inc()

    def _count_tries(self, record: Record) -> None:
        before = None
        for attempt in record.attempts:
            self._tries.child(attempt.account, attempt.reason or names.status_class(attempt.status)).inc()
            if before is not None and attempt.account != before.account:
                self._failovers.child(before.account, before.reason).inc()
            before = attempt


class _Family[M: (Counter, Histogram)]:
    """One metric. The first `most` sets of labels keep their names, later ones share a series.

    `named` of the labels, the first ones, hold names that come from clients and servers: any number, of any length.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        most: int,
        make: Callable[..., M],
        name: str,
        text: str,
        named: Sequence[str],
        *more: str,
    ) -> None:
        self._metric: M = make(name, text, (*named, *more), registry=registry)
        self._most, self._named = most, len(named)
        self._children: dict[tuple[str, ...], M] = {}

    def child(self, *values: str) -> M:
        """The series of these labels."""
        found = self._children.get(values)
        if found is not None:
            return found
        if len(self._children) >= self._most:
            return self._metric.labels(*(OTHER,) * self._named, *values[self._named :])
        found = self._children[values] = self._metric.labels(*map(_label, values))
        return found


def _label(text: str) -> str:
    return "".join(character for character in text[:LONGEST_LABEL] if character.isprintable())
