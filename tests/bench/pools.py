"""A home with accounts in its database, and with conversations that live on them."""

import time
from collections.abc import Mapping
from itertools import batched
from pathlib import Path

from bench.wire import conversation
from codemie_core.accounts.account import Account, Kind
from codemie_core.accounts.state import Home
from codemie_core.places import Places
from codemie_core.store.accounts import add_account
from codemie_core.store.database import open_database
from codemie_core.store.pool import save_changes
from codemie_core.store.secrets import set_vault_checks
from codemie_core.vault import open_vault


def fill(
    folder: Path, environ: Mapping[str, str], upstream: str, accounts: int, known: int, ranked: bool = True
) -> None:
    """So many accounts at this upstream; `ranked`: the first is asked first. `known` conversations live on all."""
    places = Places(folder)
    database = open_database(places, environ)
    listed = [
        Account(f"id-{n}", f"a{n}", "anthropic", Kind.API_KEY, upstream, priority=int(ranked and n > 0))
        for n in range(accounts)
    ]
    now = time.time()
    homes = (Home(f"claude:{conversation(n)}", f"id-{n % accounts}", now, now) for n in range(known))
    try:
        with database.writing() as connection:
            vault = open_vault(places, environ, {}, may_create=True)
            set_vault_checks(connection, {vault.key_id: vault.check()}, int(now * 1000))
            for number, account in enumerate(listed):
                sealed = vault.seal(f"not-a-key-{number}", f"account:{account.id}")
                add_account(connection, account, sealed, "bench")
            for some in batched(homes, 10_000):
                save_changes(connection, some, "bench")
    finally:
        database.close()
