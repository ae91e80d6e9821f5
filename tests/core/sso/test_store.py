"""The credential store: what it finds, what it writes where, and what it passes over."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.errors import SettingsError
from codemie_core.places import Places
from codemie_core.sso.cipher import Kind, Machine, decrypt, encrypt, global_name, key_name
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore

HOST = "https://codemie.example.com"
URL = f"{HOST}/code-assistant-api"
BOX = Machine("devbox", "linux", "x64")
PLANTED = "planted-value-0123456789"


class Ring:
    """A keyring in memory that may refuse to write."""

    def __init__(self, writable: bool = True) -> None:
        self.texts: dict[str, str] = {}
        self.writable = writable

    def read(self, accounts: Iterable[str]) -> dict[str, str]:
        return {account: self.texts[account] for account in accounts if account in self.texts}

    def write(self, account: str, text: str) -> bool:
        if self.writable:
            self.texts[account] = text
        return self.writable

    def delete(self, account: str) -> bool:
        return self.texts.pop(account, None) is not None


@pytest.fixture
def places(codemie_home: Path) -> Places:
    return Places(codemie_home)


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def store(places: Places, ring: Ring) -> CredentialStore:
    return CredentialStore(places, BOX, ring)


def sso(value: str = "abc", expires_at: float | None = 1000.0, url: str = URL) -> Session:
    return Session(url, {"session": SecretStr(value)}, expires_at=expires_at)


def jwt(value: str = "tok", expires_at: float | None = 1000.0) -> Session:
    return Session(URL, token=SecretStr(value), expires_at=expires_at)


def path_of(places: Places, name: str) -> Path:
    return (places.home if name == global_name("sso") else places.credentials) / f"{name}.enc"


def put(places: Places, name: str, session: Session | str, machine: Machine = BOX) -> Path:
    """As CodeMie's own tools would: with whatever mode the umask gives."""
    path = path_of(places, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(session if isinstance(session, str) else encrypt(session.to_json(), machine))
    return path


def value_of(session: Session | None) -> str | None:
    if session is None:
        return None
    [header] = session.headers().values()
    return header.get_secret_value()


def test_without_an_entry_there_is_no_session_and_nothing_is_made(store: CredentialStore, places: Places) -> None:
    assert store.read(URL, "sso") is None
    assert store.read(URL, "jwt") is None
    assert store.delete(URL) == []
    assert store.problems == []
    assert not places.home.exists()


def test_what_was_written_is_read_by_any_url_of_the_host(store: CredentialStore) -> None:
    path = store.write(URL, sso())
    for url in (URL, HOST, f"{HOST}/", f"{HOST.upper()}:443/other"):
        found = store.read(url, "sso")
        assert (value_of(found), found and found.api_url) == ("session=abc", URL)
    assert store.read(URL, "jwt") is None
    assert path.name == key_name("sso", HOST) + ".enc"


@pytest.mark.parametrize(
    "other", ["http://codemie.example.com", f"{HOST}:8443", "https://example.com", "https://x.codemie.example.com"]
)
def test_a_session_is_for_its_own_scheme_host_and_port(store: CredentialStore, other: str) -> None:
    store.write(URL, sso())
    assert store.read(other, "sso") is None


def test_files_are_private_whatever_the_umask(store: CredentialStore, places: Places) -> None:
    places.credentials.mkdir(parents=True, mode=0o755)
    put(places, key_name("sso", HOST), sso("old")).chmod(0o644)
    before = os.umask(0)
    try:
        path = store.write(URL, sso())
    finally:
        os.umask(before)
    assert [found.stat().st_mode & 0o777 for found in (path, path.parent)] == [0o600, 0o700]
    assert [found.name for found in path.parent.iterdir()] == [path.name], "no half-written file may stay"


def test_what_is_written_is_the_authenticated_cipher_and_no_plain_secret(store: CredentialStore, ring: Ring) -> None:
    path = store.write(URL, sso(PLANTED))
    text = path.read_text()
    assert len(text.split(":")) == 3
    assert PLANTED not in text
    assert json.loads(decrypt(text, BOX))["cookies"] == {"session": PLANTED}
    assert ring.texts == {path.stem: text}


@pytest.mark.parametrize("url", [URL, f"{URL}/", URL.upper(), HOST])
def test_entries_of_older_tools_under_the_whole_url_are_found(store: CredentialStore, places: Places, url: str) -> None:
    put(places, key_name("sso", url), sso("by url"[:2]))
    assert value_of(store.read(URL, "sso")) == "session=by"
    assert value_of(store.read(HOST, "sso")) == "session=by"


@pytest.mark.parametrize("kind", ["sso", "jwt"])
def test_the_entry_without_a_url_counts_only_for_its_own_host(
    store: CredentialStore, places: Places, kind: Kind
) -> None:
    put(places, global_name(kind), sso() if kind == "sso" else jwt())
    assert store.read(URL, kind) is not None
    assert store.read("https://evil.example", kind) is None
    assert store.read("http://codemie.example.com", kind) is None
    assert store.problems == []


@pytest.mark.parametrize(
    "ends, expected",
    [
        ({"ring": 3000.0, "host": 2000.0, "url": 1000.0}, "ring"),
        ({"ring": 1000.0, "host": 2000.0, "url": 1000.0}, "host"),
        ({"ring": 1000.0, "host": 2000.0, "url": 3000.0}, "url"),
        ({"ring": 1000.0, "host": 1000.0, "url": 1000.0}, "ring"),
        ({"host": 1000.0, "url": 1000.0, "global": 1000.0}, "host"),
        ({"host": 1000.0, "global": 2000.0}, "global"),
        ({"ring": None, "host": 1000.0}, "host"),
        ({"ring": None, "host": None}, "ring"),
    ],
)
def test_of_several_the_one_that_ends_last_wins(
    store: CredentialStore, places: Places, ring: Ring, ends: dict[str, float | None], expected: str
) -> None:
    names = {"host": key_name("sso", HOST), "url": key_name("sso", URL), "global": global_name("sso")}
    for where, end in ends.items():
        if where == "ring":
            ring.texts[names["host"]] = encrypt(sso(where, end).to_json(), BOX)
        else:
            put(places, names[where], sso(where, end))
    assert value_of(store.read(URL, "sso")) == f"session={expected}"


def test_a_session_says_where_it_was_found(store: CredentialStore, places: Places, ring: Ring) -> None:
    path = put(places, key_name("sso", HOST), sso())
    assert [found.source for found in [store.read(URL, "sso")] if found] == [str(path)]
    ring.texts[key_name("sso", HOST)] = encrypt(sso(expires_at=2000.0).to_json(), BOX)
    assert [found.source for found in [store.read(URL, "sso")] if found] == ["the keyring"]


def test_a_new_sign_in_replaces_what_older_tools_left_even_if_that_lasts_longer(
    store: CredentialStore, places: Places, ring: Ring
) -> None:
    for name in (key_name("sso", URL), global_name("sso")):
        put(places, name, sso("old", 9000.0))
        ring.texts[name] = encrypt(sso("old", 9000.0).to_json(), BOX)
    kept = put(places, key_name("jwt", URL), jwt())
    path = store.write(URL, sso("new", 1000.0))
    assert value_of(store.read(URL, "sso")) == "session=new"
    assert sorted(places.credentials.iterdir()) == sorted([path, kept])
    assert list(ring.texts) == [path.stem]


def test_a_keyring_that_does_not_take_the_session_loses_the_old_one(store: CredentialStore, ring: Ring) -> None:
    name = key_name("sso", HOST)
    ring.texts[name], ring.writable = "old", False
    store.write(URL, sso())
    assert ring.texts == {}
    assert store.problems == ["the keyring did not take the session; the file alone has it"]
    assert value_of(store.read(URL, "sso")) == "session=abc"


def test_signing_out_removes_every_form_of_both_kinds_and_says_what(
    store: CredentialStore, places: Places, ring: Ring
) -> None:
    written = [store.write(URL, sso()), store.write(URL, jwt())]
    written += [put(places, key_name("sso", URL), sso()), put(places, global_name("sso"), sso())]
    put(places, global_name("jwt"), encrypt('{"token": "t", "apiUrl": "https://other.example"}', BOX))
    other = store.write("https://other.example", sso(url="https://other.example"))
    removed = store.delete(HOST)
    assert sorted(removed) == sorted([*map(str, written), *(f"{path.stem} of the keyring" for path in written[:2])])
    assert sorted(places.credentials.iterdir()) == sorted([other, path_of(places, global_name("jwt"))])
    assert list(ring.texts) == [other.stem]


def test_the_signature_changes_with_any_file_of_the_url_and_asks_no_keyring(places: Places) -> None:
    store = CredentialStore(places, BOX, _Unasked())
    seen = [store.signature(URL)]
    for name in (key_name("sso", HOST), key_name("sso", URL), global_name("sso"), key_name("jwt", HOST)):
        put(places, name, "one")
        seen.append(store.signature(URL))
        places.write_private(path_of(places, name), b"two")
        seen.append(store.signature(URL))
    path_of(places, key_name("sso", HOST)).unlink()
    seen.append(store.signature(URL))
    assert len(set(map(repr, seen))) == len(seen)
    put(places, key_name("sso", "https://other.example"), "x")
    assert store.signature(URL) == seen[-1]


class _Unasked(Ring):
    def read(self, accounts: Iterable[str]) -> dict[str, str]:
        raise AssertionError("the keyring was asked")


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "not in CodeMie's format"),
        (PLANTED, "not in CodeMie's format"),
        ("00" * 12 + ":" + "00" * 16 + ":00", "another host name, or is damaged"),
        (encrypt(sso(PLANTED).to_json(), Machine("other", "linux", "x64")), "another host name, or is damaged"),
        (encrypt(PLANTED, BOX), "this is not JSON"),
        (encrypt(json.dumps({"cookies": {"a": f"{PLANTED}\r\nX: y"}, "apiUrl": URL}), BOX), "no header can carry"),
        (encrypt(json.dumps({"cookies": {}, "apiUrl": URL}), BOX), "neither cookies nor a token"),
        (encrypt("[" * 100_000, BOX), "this is not JSON"),
        (encrypt(jwt(PLANTED).to_json(), BOX), "of the other kind"),
        ("00" * 1_000_000, "too large"),
    ],
)
def test_a_bad_entry_is_passed_over_with_file_reason_and_fix(
    store: CredentialStore, places: Places, content: str, reason: str
) -> None:
    path = put(places, key_name("sso", HOST), content)
    assert store.read(URL, "sso") is None
    [problem] = store.problems
    assert problem.startswith(str(path))
    assert reason in problem
    assert "sign in again: codemie-proxy auth login" in problem
    assert PLANTED not in problem
    put(places, key_name("sso", URL), sso("good"))
    assert value_of(store.read(URL, "sso")) == "session=good"
    assert len(store.problems) == 1, "each call tells its own"


def test_a_bad_entry_of_the_keyring_leaves_the_file(store: CredentialStore, places: Places, ring: Ring) -> None:
    put(places, key_name("sso", HOST), sso())
    ring.texts[key_name("sso", HOST)] = "garbage"
    assert value_of(store.read(URL, "sso")) == "session=abc"
    assert [problem.split(":")[0] for problem in store.problems] == ["the keyring"]


def test_a_byte_order_mark_and_line_ends_do_not_matter(store: CredentialStore, places: Places) -> None:
    put(places, key_name("sso", HOST), f"\ufeff{encrypt(sso().to_json(), BOX)}\r\n")
    assert value_of(store.read(URL, "sso")) == "session=abc"


def test_a_folder_or_a_pipe_in_the_place_of_a_file_does_not_hold_anyone_up(
    store: CredentialStore, places: Places
) -> None:
    path_of(places, key_name("sso", HOST)).mkdir(parents=True)
    os.mkfifo(path_of(places, key_name("sso", URL)))
    assert store.read(URL, "sso") is None
    assert ["it is no file" in problem for problem in store.problems] == [True, True]
    removed = store.delete(URL)
    assert removed == [str(path_of(places, key_name("sso", URL)))]
    assert [problem.split("; ")[-1] for problem in store.problems] == ["remove it yourself"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("what", ["file", "folder", "linked folder"])
def test_what_belongs_to_another_user_is_neither_read_nor_written(
    store: CredentialStore, places: Places, tmp_path: Path, what: str
) -> None:
    path = put(places, key_name("sso", HOST), sso())
    foreign = path if what == "file" else places.credentials
    if what == "linked folder":
        foreign = tmp_path / "foreign"
        places.credentials.rename(foreign)
        places.credentials.symlink_to(foreign)
    os.chown(foreign, 12345, 12345)
    assert store.read(URL, "sso") is None
    assert "belongs to another user" in store.problems[0]
    if what != "file":
        with pytest.raises(SettingsError, match="belongs to another user"):
            store.write(URL, sso("new"))
        assert [found.name for found in foreign.iterdir()] == [path.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(store: CredentialStore, places: Places) -> None:
    put(places, key_name("sso", HOST), sso()).chmod(0)
    assert store.read(URL, "sso") is None
    assert "Permission denied" in store.problems[0]


@pytest.mark.parametrize("url", ["", "codemie.example.com", "https://[::1", "ftp://h"])
def test_a_url_without_a_host_finds_nothing_and_writes_nothing(
    store: CredentialStore, places: Places, url: str
) -> None:
    put(places, global_name("sso"), sso())
    assert store.read(url, "sso") is None
    assert store.delete(url) == []
    with pytest.raises(SettingsError, match="sign in to is not usable"):
        store.write(url, sso())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
def test_no_reading_leaves_a_file_open(store: CredentialStore, places: Places) -> None:
    put(places, key_name("sso", HOST), sso())
    path_of(places, key_name("sso", URL)).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        store.read(URL, "sso")
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_stores_on_one_folder_see_each_others_sign_ins(places: Places) -> None:
    one, two = (CredentialStore(places, BOX, Ring()) for _ in range(2))
    before = two.signature(URL)
    one.write(URL, sso())
    assert two.signature(URL) != before
    assert value_of(two.read(URL, "sso")) == "session=abc"


def test_names_and_values_of_all_languages_in_the_url_are_one_entry(store: CredentialStore) -> None:
    store.write("https://bücher.example/x", sso(url="https://bücher.example/x"))
    assert store.read("https://xn--bcher-kva.example", "sso") is not None


def test_problems_hold_no_secret(store: CredentialStore, places: Places) -> None:
    content: dict[str, Any] = {"cookies": {PLANTED: "x"}, "apiUrl": f"https://{PLANTED}@h", "expiresAt": PLANTED}
    put(places, key_name("sso", HOST), encrypt(json.dumps(content), BOX))
    assert store.read(URL, "sso") is None
    assert PLANTED not in "".join(store.problems)
