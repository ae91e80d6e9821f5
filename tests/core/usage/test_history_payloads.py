"""Payloads come second: stored when there is room, and never instead of a turn."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from codemie_core.places import Places
from codemie_core.store import tables
from codemie_core.store.database import Database
from codemie_core.store.payloads import Payload, load_payload
from codemie_core.store.secrets import vault_checks
from codemie_core.usage import packing
from codemie_core.usage.history import History
from codemie_core.vault import open_vault
from support.histories import until, warnings
from support.records import new_record

SQLITE = {"CODEMIE_KEYRING": "0"}


def said(text: str) -> Payload:
    payload = Payload.of(1_000, 10_000)
    payload.request(text.encode())
    return payload


async def test_payloads_are_stored_with_their_turns_and_sealed_by_the_homes_vault(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    history = History(places, environ)
    history.begin()
    for number in range(120):
        history.put(new_record(id=f"r{number}"), said(f"question {number}"))
    await until(lambda: history.shown().get("payloads") == 120)
    assert await history.end(60)
    with database.reading() as connection:
        vault = open_vault(places, environ, vault_checks(connection))
        found = load_payload(connection, vault, "r7")
    assert found is not None
    assert found.request.body == "question 7"


async def test_at_the_end_payloads_are_packed_and_stored_too(
    places: Places, environ: dict[str, str], database: Database
) -> None:
    history = History(places, environ)
    history.begin()
    await until(lambda: history._store)
    for number in range(60):
        history.put(new_record(id=f"r{number}"), said(f"question {number}"))
    assert await history.end(60)
    with database.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.payloads)) == 60


async def test_payloads_are_dropped_before_a_turn_is(
    places: Places, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(packing, "MOST_HELD", 20_000)
    history = History(places, SQLITE)
    for _ in range(50):
        history.put(new_record(), said("x" * 4_000))
    shown = history.shown()
    assert shown["waiting"] == 50
    assert isinstance(shown["payloads_dropped"], int)
    assert shown["payloads_dropped"] > 30
    assert len([line for line in warnings(caplog) if "Payloads are dropped" in line]) == 1
    history.begin()
    assert await history.end(60)
    assert history.stored == 50


async def test_without_its_vault_payloads_are_dropped_and_turns_are_stored(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(places, SQLITE)
    history.begin()
    history.put(new_record(), said("one"))
    await until(lambda: history.shown().get("payloads") == 1)
    assert await history.end(60)
    (places.proxy / "vault.key").unlink()
    history = History(places, SQLITE)
    history.begin()
    history.put(new_record(), said("two"))
    await until(lambda: history.stored == 1 and history.shown().get("payloads_dropped") == 1)
    assert await history.end(60)
    assert any("Payloads are dropped" in line and "vault.key" in line for line in warnings(caplog))
