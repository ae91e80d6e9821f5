"""Open or closed: what a running proxy makes of keys.json and of what happens to it."""

import logging
from pathlib import Path

import pytest

from codemie_core.access.client_keys import KeyStore
from codemie_core.access.key_watch import LOOK_EVERY, KeyWatch
from codemie_core.errors import SettingsError
from codemie_core.places import Places


class Room:
    """A file, its watch, and a clock."""

    def __init__(self, home: Path) -> None:
        self.store = KeyStore(Places(home))
        self.now = 100.0
        self.watch = KeyWatch(self.store.path, lambda: self.now)

    def add(self, name: str) -> bytes:
        return self.store.add(name)[1].get_secret_value().encode()

    def lets_in(self, key: bytes, wait: float = LOOK_EVERY) -> bool:
        """Is this key good, that many seconds later?"""
        self.now += wait
        self.watch.look()
        return self.watch.ring.holder([key]) is not None


@pytest.fixture
def room(codemie_home: Path) -> Room:
    return Room(codemie_home)


def test_without_a_file_the_gate_is_open(room: Room) -> None:
    room.watch.begin()
    room.now += LOOK_EVERY
    room.watch.look()
    assert (room.watch.closed, room.watch.trouble) == (False, "")


def test_before_the_first_look_it_is_closed(room: Room) -> None:
    assert room.watch.closed


def test_with_a_key_it_is_closed_and_lets_its_holder_in(room: Room) -> None:
    key = room.add("ann")
    room.watch.begin()
    assert room.watch.closed
    assert room.lets_in(key)


def test_with_revoked_keys_alone_it_is_closed_to_everybody(room: Room) -> None:
    key = room.add("ann")
    room.store.revoke("ann")
    room.watch.begin()
    assert room.watch.closed
    assert not room.lets_in(key)


def test_a_file_that_appears_later_closes_it(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.watch.begin()
    key = room.add("ann")
    assert room.lets_in(key)
    assert room.watch.closed
    assert "from now on every client must show one" in caplog.text


def test_a_file_without_keys_leaves_it_open(room: Room) -> None:
    room.store.path.parent.mkdir(parents=True)
    room.store.path.write_text('{"version": 1, "keys": []}')
    room.watch.begin()
    assert not room.watch.closed


def test_a_change_is_noticed_within_a_second_and_not_asked_for_more_often(room: Room) -> None:
    ann = room.add("ann")
    room.watch.begin()
    bob = room.add("bob")
    assert not room.lets_in(bob, wait=0.5)
    assert room.lets_in(bob, wait=0.5)
    room.store.revoke("ann")
    assert room.lets_in(ann, wait=0.9)
    assert not room.lets_in(ann, wait=0.1)
    assert room.lets_in(bob)


def test_a_damaged_file_at_the_start_is_an_error_and_closed(room: Room) -> None:
    room.add("ann")
    room.store.path.write_text("{")
    with pytest.raises(SettingsError, match="is no list of client keys"):
        room.watch.begin()
    assert room.watch.closed
    assert room.watch.trouble


def test_a_file_damaged_later_lets_nobody_in_until_it_is_whole_again(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    key = room.add("ann")
    room.watch.begin()
    whole = room.store.path.read_text()
    room.store.path.write_text("{")
    for _ in range(3):
        assert not room.lets_in(key)
    assert room.watch.closed
    assert "is no list of client keys" in room.watch.trouble
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    room.store.path.write_text(whole)
    assert room.lets_in(key)
    assert not room.watch.trouble


def test_an_open_gate_closes_when_a_damaged_file_appears(room: Room) -> None:
    room.watch.begin()
    room.store.path.parent.mkdir(parents=True)
    room.store.path.write_text("{")
    room.now += LOOK_EVERY
    room.watch.look()
    assert room.watch.closed
    assert room.watch.trouble


def test_a_file_that_cannot_be_read_for_a_moment_is_tried_again_unchanged(room: Room) -> None:
    key = room.add("ann")
    room.watch.begin()
    aside = room.store.path.rename(room.store.path.with_suffix(".aside"))
    room.store.path.mkdir()
    assert not room.lets_in(key)
    room.store.path.rmdir()
    aside.rename(room.store.path)
    assert room.lets_in(key)


def test_a_file_that_vanishes_leaves_it_closed_and_says_how_to_open_it(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    key = room.add("ann")
    room.watch.begin()
    room.store.path.unlink()
    for _ in range(3):
        assert not room.lets_in(key)
    assert room.watch.closed
    assert len(caplog.records) == 1
    assert "restart the proxy" in caplog.text
    again = room.add("bob")
    assert room.lets_in(again)


def test_an_emptied_list_does_not_open_it(room: Room) -> None:
    key = room.add("ann")
    room.watch.begin()
    room.store.path.write_text('{"version": 1, "keys": []}')
    assert not room.lets_in(key)
    assert room.watch.closed
