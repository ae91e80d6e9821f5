"""Client keys: who may use the proxies of this home. A key is told once, to whoever made it; the file has its hash."""

from __future__ import annotations

from pydantic import Field

from codemie_core.access.client_keys import ClientKey, KeyStore
from codemie_core.access.key_use import address_for_clients, environment
from codemie_core.admin.changing import Body, told
from codemie_core.admin.plane import Plane
from codemie_core.admin.problems import NotFound
from codemie_core.admin.wire import Wire

FIRST = (
    "This is the first key: from now on every client needs one, those on this machine too. "
    "Running proxies notice within a second."
)
LAST = "It was the last one: now nobody is let in. Make another one, or see docs/access.md for how to open the gate."


class KeyInfo(Wire):
    """A key, without the key."""

    id: str
    name: str
    created_at: str
    revoked_at: str | None
    active: bool


class NewClientKey(Body):
    """Whose it will be."""

    name: str = Field(
        min_length=1,
        max_length=64,
        json_schema_extra={"pattern": r"^[!-~]+$"},
        description="Shown in the log and in the history.",
    )


class KeyMade(KeyInfo):
    """A new key: the one time that it is told."""

    key: str
    environment: dict[str, str] = Field(description="For an agent: the first two, or the last one alone.")
    first: bool
    notice: str


class KeyRevoked(KeyInfo):
    """One that opens nothing any more."""

    notice: str


class KeyStats(Wire):
    """How many there are."""

    total: int
    active: int
    revoked: int


async def list_keys(plane: Plane) -> list[KeyInfo]:
    """All keys, revoked ones too, in the order in which they were made."""
    return [KeyInfo(**_values(key)) for key in await plane.in_thread(lambda: _ring(plane))]


async def key_stats(plane: Plane) -> KeyStats:
    """How many there are."""
    found = await plane.in_thread(lambda: _ring(plane))
    active = sum(key.active for key in found)
    return KeyStats(total=len(found), active=active, revoked=len(found) - active)


async def add_key(plane: Plane, name: str, who: str) -> KeyMade:
    """Make a key. The first one closes the gate for everybody who has none."""

    def make() -> tuple[ClientKey, str, bool, str]:
        store = KeyStore(plane.places)
        with told():
            first = not store.ring()
            entry, secret = store.add(name)
        return entry, secret.get_secret_value(), first, address_for_clients(plane.places)

    entry, key, first, address = await plane.in_thread(make)
    await plane.audit("client key added", f"{entry.name} ({entry.id})", who)
    settings = environment(entry.name, key, address)
    return KeyMade(**_values(entry), key=key, environment=settings, first=first, notice=FIRST if first else "")


async def revoke_key(plane: Plane, name_or_id: str, who: str) -> KeyRevoked:
    """Take it back. Its holder is stopped within a second."""

    def revoke() -> tuple[ClientKey, bool]:
        store = KeyStore(plane.places)
        with told():
            if not any(key.active and name_or_id in (key.name, key.id) for key in store.ring().keys):
                raise NotFound(f"No active key is named {name_or_id!r}: GET /api/api-keys shows all.")
            entry = store.revoke(name_or_id)
            return entry, not store.ring().active_count

    entry, last = await plane.in_thread(revoke)
    await plane.audit("client key revoked", f"{entry.name} ({entry.id})", who)
    return KeyRevoked(**_values(entry), notice=LAST if last else "")


def _ring(plane: Plane) -> tuple[ClientKey, ...]:
    with told():
        return KeyStore(plane.places).ring().keys


def _values(key: ClientKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
        "active": key.active,
    }
