"""What is made of waiting records: a batch per branch, and the letter that it goes out as. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import batched

from codemie_core.metrics.aggregate import Schema, aggregate
from codemie_core.metrics.batches import Batch, key_of
from codemie_core.metrics.journal import Entry
from codemie_core.metrics.session import ACTIVE
from codemie_core.metrics.session_files import Found
from codemie_core.metrics.transport import Letter, letter_headers

LARGEST = 1_000
"""Records in one metric."""


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What to send, and where to."""

    url: str
    """The whole address metrics are posted to."""
    schema: Schema
    agent_version: str
    cli: str
    """X-CodeMie-CLI."""
    foreign: bool = False
    """Sessions of CodeMie's CLI too? Only when it does not send them itself."""
    max_retries: int = 3


def new_batches(found: Found, entries: Sequence[Entry], plan: SyncPlan) -> list[tuple[Batch, tuple[str, ...]]]:
    """What these records come to, and the ids of those in each."""
    session, made = found.session, []
    if session is None:
        return []
    for some in batched(entries, LARGEST):
        for metric in aggregate(
            [entry.delta for entry in some],
            session,
            schema=plan.schema,
            agent_version=plan.agent_version,
            client_type=session.client_type,
            final=session.status != ACTIVE,
        ):
            key = key_of(found.session_id, metric.branch, metric.record_ids)
            batch = Batch(key, found.session_id, str(found.journal.path), metric.branch, metric.body())
            made.append((batch, metric.record_ids))
    return made


def letter_of(batch: Batch, found: Found | None, plan: SyncPlan) -> Letter:
    """The batch as it goes out."""
    session = found.session if found is not None else None
    return Letter(batch.id, batch.body, letter_headers(session, batch.branch, plan.cli))
