"""The keyring: shared with keytar's items on a real Secret Service, and harmless whenever it fails."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from codemie_core.sso.keychain import BoundedKeychain, system_keychain
from support import secret_service

BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}


class Scripted:
    """A backend that keeps texts, or does what the test says instead."""

    def __init__(self, instead: Any = None) -> None:
        self.texts: dict[str, str] = {}
        self.calls = 0
        self._instead = instead

    def read(self, account: str) -> str | None:
        self._step()
        return self.texts.get(account)

    def write(self, account: str, text: str) -> None:
        self._step()
        self.texts[account] = text

    def delete(self, account: str) -> bool:
        self._step()
        return self.texts.pop(account, None) is not None

    def _step(self) -> None:
        self.calls += 1
        if self._instead:
            self._instead()


def test_what_is_there_is_read_and_what_is_not_is_left_out() -> None:
    ring = BoundedKeychain(Scripted(), timeout=60)
    assert ring.write("one", "1")
    assert ring.read(["one", "two"]) == {"one": "1"}
    assert [ring.delete("one"), ring.delete("one")] == [True, False]


def test_any_failure_means_that_there_is_no_keyring(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def fail() -> None:
        raise RuntimeError("planted-value")

    backend = Scripted(fail)
    ring = BoundedKeychain(backend, timeout=60)
    assert (ring.read(["one"]), ring.write("one", "1"), ring.delete("one")) == ({}, False, False)
    assert backend.calls == 3, "a failure is no reason to give up, unlike silence"
    assert "RuntimeError" in caplog.text
    assert "planted-value" not in caplog.text


def test_a_keyring_that_waits_for_a_person_is_given_up_once(caplog: pytest.LogCaptureFixture) -> None:
    answered = threading.Event()
    backend = Scripted(lambda: answered.wait(60))
    ring = BoundedKeychain(backend, timeout=0.05)
    try:
        assert ring.read(["one"]) == {}
        assert not ring.write("one", "1"), "it has answered: it was waited for"
        assert not ring.delete("one")
    finally:
        answered.set()
    assert backend.calls == 1
    assert caplog.messages == ["The keyring did not answer in 0.05 seconds: using files alone"]


@pytest.mark.parametrize("off", ["0", "no", "FALSE", "off "])
def test_the_switch_leaves_the_keyring_alone(off: str) -> None:
    assert system_keychain({"CODEMIE_KEYRING": off, **BUS}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the session bus is Linux's")
def test_without_a_session_bus_or_the_library_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system_keychain({}) is None
    pytest.importorskip("secretstorage", reason="the extra 'keyring' is not installed")
    assert system_keychain(BUS) is not None
    monkeypatch.setattr("codemie_core.sso.keychain.find_spec", lambda name: None)
    assert system_keychain(BUS) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the session bus is Linux's")
def test_a_session_bus_that_is_gone_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("secretstorage", reason="the extra 'keyring' is not installed")
    for name, value in BUS.items():
        monkeypatch.setenv(name, value)
    ring = system_keychain(BUS)
    assert ring is not None
    assert (ring.read(["one"]), ring.write("one", "1"), ring.delete("one")) == ({}, False, False)


STORE = """
from codemie_core.places import Places
from codemie_core.sso.keychain import BoundedKeychain
from codemie_core.sso.session import Session
from codemie_core.sso.store import CredentialStore
from pydantic import SecretStr
import os, sys
BoundedKeychain.__init__.__defaults__ = (60.0,)  # A keyring on a busy machine is no silent one.
store, url = CredentialStore(Places.from_env(os.environ)), "https://codemie.example.com/code-assistant-api"
found = store.read(url, "sso")
"""
ACCOUNT = "sso-$(printf https://codemie.example.com | sha256sum | cut -d' ' -f1)"


def test_an_item_of_another_program_is_read_replaced_and_removed(tmp_path: Path) -> None:
    said = secret_service.run(
        f"""
        cat > write.py <<'END'
{STORE}
store.write(url, Session(url, {{"session": SecretStr("planted")}}))
END
        cat > read.py <<'END'
{STORE}
print(found and found.source, file=sys.stdout)
END
        cat > remove.py <<'END'
{STORE}
print(store.delete(url)[-1].split()[-1])
END
        python write.py
        # The keyring alone has it, and another program wrote it.
        text=$(cat codemie/credentials/*.enc)
        rm codemie/credentials/*.enc
        secret-tool clear service codemie-code account {ACCOUNT}
        python read.py
        for schema in service=codemie-code xdg:schema=org.freedesktop.Secret.Generic xdg:schema=another; do
            printf %s "$text" | secret-tool store --label=x ${{schema%=*}} ${{schema#*=}} \\
                service codemie-code account {ACCOUNT}
            python read.py
            rm -f codemie/credentials/*.enc
            # That program finds the new text in its one item.
            python write.py
            secret-tool lookup ${{schema%=*}} ${{schema#*=}} service codemie-code account {ACCOUNT} > kept
            cmp kept codemie/credentials/*.enc && echo same
            secret-tool search --all service codemie-code 2>/dev/null | grep -c ^secret
            rm codemie/credentials/*.enc
            secret-tool clear service codemie-code account {ACCOUNT}
        done
        # An item of our own is found as keytar looks for it: by its schema's name.
        python write.py
        secret-tool lookup xdg:schema org.freedesktop.Secret.Generic service codemie-code account {ACCOUNT} > kept
        cmp kept codemie/credentials/*.enc && echo same
        python remove.py
        secret-tool search --all service codemie-code 2>/dev/null | grep -c ^secret || true
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert said.splitlines() == ["None", *3 * ["the keyring", "same", "1"], "same", "keyring", "0"]


def test_a_locked_keyring_is_left_locked_and_nobody_is_asked(tmp_path: Path) -> None:
    said = secret_service.run(
        f"""
        cat > use.py <<'END'
import secretstorage
{STORE}
store.write(url, Session(url, {{"session": SecretStr("planted")}}))
bus = secretstorage.dbus_init()
collection = secretstorage.get_default_collection(bus)
collection.lock()
again = CredentialStore(Places.from_env(os.environ))
print(again.read(url, "sso").source.endswith(".enc"))
again.write(url, Session(url, {{"session": SecretStr("newer")}}))
print(again.read(url, "sso").headers()["cookie"].get_secret_value(), collection.is_locked())
END
        python use.py
        """.replace("\n        ", "\n"),
        tmp_path,
    )
    assert said.splitlines() == ["True", "session=newer True"]
