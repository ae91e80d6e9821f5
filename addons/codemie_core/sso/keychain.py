"""The operating system's keyring, where CodeMie's tools keep a copy of each credential (through keytar).

Best effort: a missing library, no session bus, a locked keyring, a refusal and a question that nobody answers all
mean "no keyring". Nothing is ever unlocked, so nothing prompts on Linux; macOS may ask once whether Python may read
an item that another program made.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from codemie_core.settings import NO

SERVICE = "codemie-code"
SWITCH = "CODEMIE_KEYRING"
"""Set to 0 to leave the keyring alone."""

_DEFAULT_COLLECTION = "/org/freedesktop/secrets/aliases/default"
_SCHEMA = {"xdg:schema": "org.freedesktop.Secret.Generic"}

logger = logging.getLogger(__name__)


class Keychain(Protocol):
    """Account -> text. No method raises or waits for long."""

    def read(self, accounts: Iterable[str]) -> dict[str, str]:
        """The texts of those accounts that are there."""
        ...

    def write(self, account: str, text: str) -> bool:
        """Replace the account's text. False: it is not kept."""
        ...

    def delete(self, account: str) -> bool:
        """Was there such an account, and is it gone?"""
        ...


class Backend(Protocol):
    """One operating system's way. May raise anything and take as long as it likes."""

    def read(self, account: str) -> str | None: ...

    def write(self, account: str, text: str) -> None: ...

    def delete(self, account: str) -> bool: ...


def system_keychain(environ: Mapping[str, str]) -> Keychain | None:
    """This machine's keyring; None when it has none, its library is missing or CODEMIE_KEYRING is 0."""
    if environ.get(SWITCH, "").strip().lower() in NO:
        return None
    if sys.platform == "darwin":
        return BoundedKeychain(MacKeychain()) if find_spec("keyring") else None
    if sys.platform == "linux" and environ.get("DBUS_SESSION_BUS_ADDRESS") and find_spec("secretstorage"):
        return BoundedKeychain(SecretService())
    return None


class BoundedKeychain:
    """A backend that gets `timeout` seconds per call, in a thread; after one overrun it is not asked again."""

    def __init__(self, backend: Backend, timeout: float = 3.0) -> None:
        self._backend = backend
        self._timeout = timeout
        self._given_up = False

    def read(self, accounts: Iterable[str]) -> dict[str, str]:
        wanted = list(accounts)
        texts = self._call(lambda: [self._backend.read(account) for account in wanted]) or []
        return {account: text for account, text in zip(wanted, texts, strict=False) if text}

    def write(self, account: str, text: str) -> bool:
        def write() -> bool:
            self._backend.write(account, text)
            return True

        return bool(self._call(write))

    def delete(self, account: str) -> bool:
        return bool(self._call(lambda: self._backend.delete(account)))

    def _call[Result](self, work: Callable[[], Result]) -> Result | None:
        if self._given_up:
            return None
        answers: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

        def run() -> None:
            try:
                answers.put(work())
            except Exception as error:
                # Names of types only: what a keyring library puts into its messages is not known.
                logger.debug("The keyring does not answer: %s", type(error).__name__)
                answers.put(None)

        # Daemonic, so that a keyring that waits for a person never keeps the process.
        threading.Thread(target=run, name="keyring", daemon=True).start()
        try:
            return answers.get(timeout=self._timeout)
        except queue.Empty:
            self._given_up = True
            logger.warning("The keyring did not answer in %g seconds: using files alone", self._timeout)
            return None


class SecretService:
    """Linux. Python's `keyring` gives its items other attributes than keytar does, hence the library below it."""

    def read(self, account: str) -> str | None:
        import secretstorage

        with closing(secretstorage.dbus_init()) as bus:
            for item in secretstorage.search_items(bus, _attributes(account)):
                # Asking for the text of a locked item would prompt.
                if not item.is_locked():
                    return bytes(item.get_secret()).decode()
        return None

    def write(self, account: str, text: str) -> None:
        import secretstorage

        with closing(secretstorage.dbus_init()) as bus:
            found = list(secretstorage.search_items(bus, _attributes(account)))
            for item in found:
                # In its place, because keytar finds an item by its schema too, and versions of it differ in that.
                item.set_secret(text.encode())
            if not found:
                # Not get_default_collection: that one makes a missing collection, with a prompt.
                collection = secretstorage.Collection(bus, _DEFAULT_COLLECTION)
                collection.create_item(f"{SERVICE}/{account}", _SCHEMA | _attributes(account), text.encode())

    def delete(self, account: str) -> bool:
        import secretstorage

        with closing(secretstorage.dbus_init()) as bus:
            found = [item for item in secretstorage.search_items(bus, _attributes(account)) if not item.is_locked()]
            for item in found:
                item.delete()
        return bool(found)


class MacKeychain:
    """macOS. `keyring` and keytar both keep generic passwords under service and account."""

    def read(self, account: str) -> str | None:
        found: str | None = self._keyring().get_password(SERVICE, account)
        return found

    def write(self, account: str, text: str) -> None:
        self._keyring().set_password(SERVICE, account, text)

    def delete(self, account: str) -> bool:
        if self.read(account) is None:
            return False
        self._keyring().delete_password(SERVICE, account)
        return True

    @staticmethod
    def _keyring() -> Any:
        # Not keyring.get_keyring(): a configuration of the user could put any backend there.
        return import_module("keyring.backends.macOS").Keyring()


def _attributes(account: str) -> dict[str, str]:
    return {"service": SERVICE, "account": account}
