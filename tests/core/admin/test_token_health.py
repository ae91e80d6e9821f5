import pytest
from pydantic import SecretStr

from account_rotation import AccountRotation
from codemie_core.accounts.account import Kind
from codemie_core.admin.problems import NotFound
from codemie_core.admin.token_health import account_token_health, reauth_needed, token_health
from codemie_core.oauth.tokens import Tokens
from codemie_core.places import Places
from support.planes import now, plane_of
from support.stored import StoredHome, new_account

URL = "https://api.test"


def tokens(left: float, refresh: str = "planted-r") -> str:
    renewed = SecretStr(refresh) if refresh else None
    return Tokens(SecretStr("planted-a"), renewed, now() + left, 0.0, "", "lab").dump()


async def test_each_sign_in_is_told_as_it_is(places: Places) -> None:
    home = StoredHome(places.home)
    home.key("key", URL, "planted-key", provider="anthropic-compatible")
    for name, held, over in (
        ("good", tokens(3600), False),
        ("renewed-soon", tokens(60), False),
        ("ends-soon", tokens(60, ""), False),
        ("ended", tokens(-60, ""), False),
        ("lapsed", tokens(-60), False),
        ("over", tokens(3600), True),
        ("damaged", "nothing", False),
    ):
        account = new_account(name, URL, "anthropic-compatible", kind=Kind.OAUTH, paused="test", needs_login=over)
        home.add(account, held)
    async with plane_of(AccountRotation(), clock=now) as room:
        health = await token_health(room.plane)
        found = {one.name: (one.status, one.needs_reauth) for one in health.accounts}
        assert found == {
            "key": ("key", False),
            "good": ("good", False),
            "renewed-soon": ("good", False),
            "ends-soon": ("expires soon", False),
            "ended": ("expired", True),
            "lapsed": ("expired", False),
            "over": ("sign in again", True),
            "damaged": ("unreadable", True),
        }
        needing = await reauth_needed(room.plane)
        assert (health.needing, {one.name for one in needing.accounts}) == (3, {"ended", "over", "damaged"})
        assert all("auth login" in (one.remedy or "") for one in needing.accounts)
        assert (await account_token_health(room.plane, "good")).expires_in_seconds in range(3500, 3601)
        with pytest.raises(NotFound, match="did you mean 'good'"):
            await account_token_health(room.plane, "goood")
        assert "planted" not in health.model_dump_json()


async def test_without_accounts_nothing_needs_anybody(places: Places) -> None:
    async with plane_of(clock=now) as room:
        assert (await token_health(room.plane)).needing == 0
        with pytest.raises(NotFound):
            await account_token_health(room.plane, "main")
