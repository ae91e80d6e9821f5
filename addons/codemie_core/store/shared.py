"""The one database of this process, with its one thread: for the accounts, the history, the metrics.

Whoever needs it takes it and gives it back. The last one to give it back ends it, so the order in which addons stop
does not matter and nothing that was posted is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from codemie_core.places import Places
from codemie_core.store.place import LibraryMissing, database_url

if TYPE_CHECKING:
    from codemie_core.store.database import Database
    from codemie_core.store.worker import StoreWorker

logger = logging.getLogger(__name__)

TIMEOUT = 3.0
"""Seconds that the last one waits for what is not stored yet."""
TROUBLED = 1.2
"""The same where the database is known to take nothing: time for one more try. Others have waited for it before."""

_lock = threading.Lock()
_open: dict[tuple[str, str], SharedStore] = {}


class SharedStore:
    """Got by `take_store`; `release` it as often as it was taken."""

    def __init__(self, key: tuple[str, str], database: Database) -> None:
        self.database = database
        self._key, self._holders = key, 1
        self._worker: StoreWorker | None = None

    @property
    def worker(self) -> StoreWorker:
        """The thread; it begins when it is first asked for."""
        from codemie_core.store.worker import StoreWorker

        with _lock:
            if self._worker is None:
                self._worker = StoreWorker(self.database)
            return self._worker

    def release(self, timeout: float = TIMEOUT) -> bool:
        """Give it back. The last one has all that was posted stored within so many seconds; was it? Blocks."""
        begun = time.monotonic()
        with _lock:
            self._holders -= 1
            if self._holders:
                return True
            del _open[self._key]
            worker = self._worker
        if worker is not None and worker.trouble:
            timeout = min(timeout, TROUBLED)
        done = worker is None or worker.close(timeout - (time.monotonic() - begun))
        self.database.close()
        return done


def take_store(places: Places, environ: Mapping[str, str]) -> SharedStore:
    """Open it, make it if it is not there, or join those who have it. Blocks: not for the event loop.

    SettingsError when it cannot be used.
    """
    key = (str(places.home), database_url(places, environ))
    with _lock:
        if (store := _open.get(key)) is not None:
            store._holders += 1
            return store
        store = _open[key] = SharedStore(key, _opened(places, environ))
        return store


def _opened(places: Places, environ: Mapping[str, str]) -> Database:
    try:
        from codemie_core.store.database import open_database
    except ModuleNotFoundError as missing:
        fix = "pip install 'codemie-proxy[store]'"
        raise LibraryMissing(f"the database needs the library {missing.name}: {fix}") from None
    database = open_database(places, environ)
    if database.read_only_because:
        logger.warning("%s", database.read_only_because)
    return database
