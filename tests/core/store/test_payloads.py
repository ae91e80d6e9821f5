"""Payloads: without secrets, bounded, sealed, and bound to their turn."""

from __future__ import annotations

import gzip

import pytest
import sqlalchemy as sa

from codemie_core.errors import SettingsError
from codemie_core.store import payloads, tables
from codemie_core.store.database import Database
from codemie_core.store.history import save_records
from codemie_core.store.payloads import PIECE, Payload, load_payload, pack, redact_in_pieces, save_payloads
from codemie_core.vault import Vault, VaultError
from support.records import new_record

PLANTED = "sk-ant-api03-planted0000000000000000000000000000000000000000"
LIMIT = 10_000


@pytest.fixture
def vault() -> Vault:
    return Vault.fresh()


def said(request: bytes, response: bytes = b"fine") -> Payload:
    payload = Payload.of(1_000, LIMIT)
    payload.request_headers = [("X-Api-Key", PLANTED), (b"accept", b"*/*")]
    payload.request(request)
    payload.response(response)
    return payload


def test_what_was_said_is_read_back_without_its_secrets(database: Database, vault: Vault) -> None:
    packed = pack("one", said(f'{{"text": "größe", "key": "{PLANTED}"}}'.encode()))
    with database.writing() as connection:
        save_records(connection, [new_record(id="one")])
        save_payloads(connection, vault, [packed])
        found = load_payload(connection, vault, "one")
        row = connection.execute(sa.select(tables.payloads)).one()
    assert found is not None
    assert "größe" in found.request.body
    assert found.request.headers[1] == ("accept", "*/*")
    assert found.response.body == "fine"
    assert found.response.bytes == 4
    assert found.at_ms == row.at_ms == 1_000
    assert PLANTED not in f"{found.request.body}{found.request.headers}"
    assert "größe" not in repr(found)
    assert row.bytes == packed.bytes
    assert row.sealed[:2] != b"\x1f\x8b"
    assert "größe".encode() not in row.sealed


def test_a_long_body_keeps_both_of_its_ends(vault: Vault, database: Database) -> None:
    body = b"begin " + b"word " * 100_000 + b"the end"
    packed = pack("one", said(body))
    assert packed.bytes < 3 * LIMIT
    with database.writing() as connection:
        save_records(connection, [new_record(id="one")])
        save_payloads(connection, vault, [packed])
        found = load_payload(connection, vault, "one")
    assert found is not None
    assert found.request.bytes == len(body)
    assert found.request.body.startswith("begin word")
    assert found.request.body.endswith("the end")
    assert f"[... of {len(body)} bytes ...]" in found.request.body


@pytest.mark.parametrize(
    "between", ['", "name": "', "}, {", "\n", "\\n", " "], ids=["values", "objects", "lines", "escaped", "words"]
)
def test_a_secret_is_found_wherever_in_a_long_text_it_is(between: str) -> None:
    piece = "a few harmless words of it" + between
    for before in range(PIECE - 400, PIECE + 400, 7):
        text = (piece * (before // len(piece) + 1))[:before] + between + f"api_key={PLANTED}" + between + piece * 20
        assert "planted" not in redact_in_pieces(text)


def test_nothing_else_changes_and_no_search_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def redact(text: str) -> str:
        lengths.append(len(text))
        return text

    monkeypatch.setattr(payloads, "redact_text", redact)
    for text in ("", "x" * 50_000, "word " * 50_000, "línea\n" * 9_000, '{"a": "b", "c": {}},' * 9_000):
        assert redact_in_pieces(text) == text
    assert max(lengths) <= 10_000


def test_what_is_no_text_harms_nobody() -> None:
    assert pack("one", said(bytes(range(256)) * 10)).packed


def test_a_payload_without_its_turn_is_left_out(database: Database, vault: Vault) -> None:
    with database.writing() as connection:
        save_records(connection, [new_record(id="one")])
        save_payloads(connection, vault, [pack("gone", said(b"a")), pack("one", said(b"b")), pack("one", said(b"c"))])
        assert connection.execute(sa.select(tables.payloads.c.request_id)).scalars().all() == ["one"]
        assert load_payload(connection, vault, "gone") is None


def test_moved_to_another_turn_it_does_not_open(database: Database, vault: Vault) -> None:
    with database.writing() as connection:
        save_records(connection, [new_record(id="one"), new_record(id="two")])
        save_payloads(connection, vault, [pack("one", said(b"a"))])
        connection.execute(sa.update(tables.payloads).values(request_id="two"))
        with pytest.raises(VaultError):
            load_payload(connection, vault, "two")
        connection.execute(sa.update(tables.payloads).values(request_id="one"))
        with pytest.raises(VaultError):
            load_payload(connection, Vault.fresh(), "one")


@pytest.mark.parametrize("plain", [b"no gzip", gzip.compress(b"no json", mtime=0), gzip.compress(b"{}", mtime=0)])
def test_what_another_version_wrote_is_told(database: Database, vault: Vault, plain: bytes) -> None:
    with database.writing() as connection:
        save_records(connection, [new_record(id="one")])
        sealed = vault.seal_bytes(plain, "payload:one")
        connection.execute(sa.insert(tables.payloads).values(request_id="one", at_ms=1, sealed=sealed, bytes=1))
        with pytest.raises(SettingsError, match="another version"):
            load_payload(connection, vault, "one")


def test_with_its_turn_it_goes(database: Database, vault: Vault) -> None:
    with database.writing() as connection:
        save_records(connection, [new_record(id="one")])
        save_payloads(connection, vault, [pack("one", said(b"a"))])
        connection.execute(sa.delete(tables.requests))
        assert load_payload(connection, vault, "one") is None
