"""The pool, hook by hook: what gets an account, and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import ctx, exceptions
from mitmproxy.test import tflow, tutils

from account_rotation import AT_WORK, CA_FILE_OPTION, AccountRotation
from codemie_core.accounts.verdicts import OVERLOAD
from codemie_core.accounts.way_out import ProxyHost
from codemie_core.credential import Credential
from codemie_core.egress import parse_proxy
from codemie_core.exchange import exchange_of
from codemie_core.seams.dispatch import has_listeners
from codemie_core.store.accounts import remove_account
from codemie_core.store.settings import put_setting
from support.rotation_room import URL, addon_of, answered, asked, fill, reason, refusal, rotating, served
from support.stored import StoredHome
from support.wires import until


@pytest.fixture
def pool(codemie_home: Path) -> StoredHome:
    home = StoredHome(codemie_home)
    fill(home)
    return home


def forget_rests(addon: AccountRotation) -> None:
    """As if time had passed."""
    for account in addon.pool.accounts:
        addon.pool.succeeded(account.id, "")


def knows(addon: AccountRotation, name: str) -> bool:
    return any(one.name == name for one in addon.pool.accounts)


async def test_a_request_gets_an_account_beside_the_flow(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        before = flow.request.headers.fields
        assert await served(room, flow) == "planted-main"
    exchange = exchange_of(flow)
    assert flow.request.headers.fields == before
    assert flow.response is None
    assert (exchange.account, flow.metadata["codemie.account"]) == ("main", "main")
    assert exchange.account_why == flow.metadata["codemie.account_why"] == "no conversation, priority 0"


async def test_responses_that_the_account_keeps_are_asked_of_the_same_account_again(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    for name in ("one", "other"):
        home.key(name, URL, f"planted-{name}", provider="anthropic-compatible")
    async with rotating() as room:
        kept = {await served(room, asked("/v1/responses", body=b'{"model": "gpt"}')) for _ in range(6)}
        alone = {await served(room, asked("/v1/chat/completions", body=b'{"model": "gpt"}')) for _ in range(6)}
    assert (len(kept), len(alone)) == (1, 2)


async def test_what_is_not_the_pools_is_left_alone(pool: StoredHome) -> None:
    async with rotating(codemie_hosts=["api.test", "other.test"], mode=["regular"]) as room:
        out_of_scope = asked(mode="regular")
        exchange_of(out_of_scope).scoped = False
        browsers = asked(mode="regular")
        browsers.request.headers["sec-fetch-site"] = "same-origin"
        for flow in (
            asked(host="other.test"),
            asked("/api/event_logging/batch"),
            asked(method="DELETE"),
            out_of_scope,
            browsers,
        ):
            assert await served(room, flow) == ""
            assert flow.response is None
        sent_here = asked()
        sent_here.request.headers["sec-fetch-site"] = "same-origin"
        assert await served(room, sent_here) == "planted-main"


async def test_what_somebody_else_has_answered_or_signed_in_is_left_alone(pool: StoredHome) -> None:
    async with rotating() as room:
        there, signed = asked(), asked()
        there.response = tutils.tresp()
        signed_in = Credential("https", "api.test", 443, "/", {}, owner="sso_auth")
        exchange_of(signed).credentials.append(signed_in)
        await room.fire("request", there)
        await room.fire("request", signed)
        assert exchange_of(there).credentials == []
        assert exchange_of(signed).credentials == [signed_in]


async def test_a_request_that_the_attempt_machine_does_not_run_is_refused(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked()
        exchange_of(flow).plan = None
        assert await served(room, flow) == ""
    assert refusal(flow) == (502, "pool_cannot_serve")


async def test_when_the_addon_fails_nothing_passes(pool: StoredHome, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rotating(mishaps=1) as room:
        monkeypatch.setattr(addon_of(room).pool, "choose", None)
        flow = asked()
        assert await served(room, flow) == ""
    assert refusal(flow) == (502, "addon_failed")


async def test_accounts_that_cannot_be_read_are_not_taken_for_none(pool: StoredHome) -> None:
    async with rotating() as room:
        addon = addon_of(room)
        addon.pool.set_accounts(())
        addon.keeper.trouble = "the database is gone"
        for flow in asked(), asked(host="other.test"):
            assert await served(room, flow) == ""
            assert refusal(flow) == (503, "pool_unavailable")
        control = asked("/api/oauth/profile")
        assert await served(room, control) == ""
        assert control.response is None


async def test_a_vault_that_does_not_open_refuses_the_start(pool: StoredHome, caplog: pytest.LogCaptureFixture) -> None:
    (pool.places.home / "proxy" / "vault.key").unlink()
    async with rotating() as room:
        assert "vault.key has the key to them" in caplog.text
        flow = asked()
        assert await served(room, flow) == ""
        assert refusal(flow) == (503, "pool_unavailable")


async def test_without_accounts_nobody_listens_until_there_is_one(codemie_home: Path) -> None:
    home = StoredHome(codemie_home)
    async with rotating() as room:
        addon = addon_of(room)
        for name, listening in ("main", False), ("spare", True):
            assert [getattr(addon, hook) is not None for hook in AT_WORK] == [listening] * len(AT_WORK)
            assert has_listeners(ctx.master.addons, "upstream_failed") is listening
            flow = asked()
            assert (await served(room, flow), flow.response) == ("planted-main" if listening else "", None)
            home.key(name, URL, f"planted-{name}", provider="anthropic-compatible")
            await until(partial(knows, addon, name))
        for account in home.accounts():
            home.write(partial(remove_account, account_id=account.id, who="a test"))
        await until(lambda: not addon.pool.accounts)
        assert not has_listeners(ctx.master.addons, "upstream_failed")


async def test_a_proxy_that_has_it_switched_off_does_not_look_for_accounts(pool: StoredHome) -> None:
    async with rotating(codemie_disabled=["account_rotation"]) as room:
        assert addon_of(room).pool.accounts == ()
        flow = asked()
        assert (await served(room, flow), flow.response) == ("", None)


async def test_a_conversation_stays_with_its_account_and_takes_its_side_calls_along(pool: StoredHome) -> None:
    one, other = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    async with rotating() as room:
        first = asked(session=one)
        assert await served(room, first) == "planted-main"
        await answered(room, first, 529)
        addon_of(room).pool.succeeded(exchange_of(first).account, "opus")
        await until(lambda: reason(room, "main") == OVERLOAD)
        assert await served(room, asked(session=one)) == "planted-spare"
        assert await served(room, asked("/v1/messages/count_tokens", session=one)) == "planted-spare"
        assert await served(room, asked(session=other)) == "planted-spare"


async def test_a_conversation_may_be_named_in_the_body(pool: StoredHome) -> None:
    body = b'{"model": "gpt", "prompt_cache_key": "planted-conversation"}'
    async with rotating() as room:
        flow = asked("/v1/responses", body=body)
        await served(room, flow)
        await answered(room, flow, 529)
        await answered(room, flow, 200)
        forget_rests(addon_of(room))
        assert await served(room, asked("/v1/responses")) == "planted-main"
        assert await served(room, asked("/v1/responses", body=body)) == "planted-spare"


async def test_stored_things_belong_to_one_account_for_each_client(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked("/v1/files")
        assert await served(room, flow) == "planted-main"
        await answered(room, flow, 529)
        assert exchange_of(flow).account == "main", "what one account stores another one does not know"
        following, other = asked("/v1/files/1", method="GET"), asked("/v1/files/1", method="GET")
        assert await served(room, following) == "planted-spare"
        forget_rests(addon_of(room))
        exchange_of(other).client_key = "another client"
        assert await served(room, asked("/v1/files/1", method="GET")) == "planted-spare"
        assert await served(room, other) == "planted-main"


async def test_a_clients_own_key_in_the_query_stays_behind(pool: StoredHome) -> None:
    async with rotating() as room:
        flow = asked("/v1beta/models/m:generateContent?key=planted-own&alt=sse")
        assert await served(room, flow) == "planted-main"
        assert flow.request.path == "/v1beta/models/m:generateContent?alt=sse"


async def test_a_client_that_asks_below_one_account_is_asked_for_below_the_next(pool: StoredHome) -> None:
    pool.change("main", base_url=f"{URL}/team")
    pool.change("spare", base_url="https://other.test/x", serves=("https://api.test:443",))
    async with rotating() as room:
        flow = asked("/team/v1/messages")
        assert await served(room, flow) == "planted-main"
        assert flow.request.path == "/team/v1/messages"
        await answered(room, flow, 529)
        assert (flow.request.host, flow.request.path) == ("other.test", "/x/v1/messages")


async def test_sign_in_services_are_trusted_as_the_upstreams_are(pool: StoredHome) -> None:
    async with rotating() as room:
        room.options.add_option(CA_FILE_OPTION, str, "", "")
        room.options.update(**{CA_FILE_OPTION: "company.pem"})
        assert addon_of(room).keeper.ca_file == "company.pem"


async def test_an_outbound_proxy_of_an_account_is_signed_in_to(pool: StoredHome) -> None:
    own = ProxyHost(parse_proxy("http://ann:planted-pass@proxy.test:3128", "a test"))
    async with rotating() as room:
        for host, signed in (own, True), ("proxy.test", False):
            flow = tflow.tflow()
            flow.server_conn.address = (host, 3128)
            await room.fire("http_connect_upstream", flow)
            assert ("proxy-authorization" in flow.request.headers) is signed


async def test_a_stored_strategy_is_taken_up_unless_this_proxy_has_one_of_its_own(pool: StoredHome) -> None:
    name = "account_rotation.strategy"
    pool.write(lambda connection: put_setting(connection, name, "least-used"))
    async with rotating() as room:
        addon = addon_of(room)
        assert addon.pool.strategy == "least-used"
        pool.write(lambda connection: put_setting(connection, name, "drain-soonest"))
        await until(lambda: addon.pool.strategy == "drain-soonest")
        pool.write(lambda connection: put_setting(connection, name, "no such"))
        await until(lambda: addon.pool.strategy == "session")
        pool.write(lambda connection: put_setting(connection, name, "least-used"))
        await until(lambda: addon.pool.strategy == "least-used")
        room.options.update(codemie_account_rotation_strategy="global-session")
        assert addon.pool.strategy == "global-session"
        assert addon.health()["strategy"] == "global-session"


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("strategy", "random", "'random' is no strategy: write one of session, "),
        ("max_accounts", 0, "greater than or equal to 1"),
        ("fallback_models", ["opus"], "opus"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_refused_by_name(
    pool: StoredHome, option: str, value: Any, words: str
) -> None:
    async with rotating() as room:
        with pytest.raises(exceptions.OptionsError, match=words):
            room.options.update(**{f"codemie_account_rotation_{option}": value})
        assert await served(room, asked()) == "planted-main", "the former one still holds"


async def test_a_start_that_a_setting_has_refused_ends_without_a_further_word() -> None:
    addon = AccountRotation()
    addon.start()
    await addon.stop()


async def test_it_cannot_be_switched_while_the_proxy_runs(pool: StoredHome) -> None:
    async with rotating() as room:
        with pytest.raises(exceptions.OptionsError, match="account_rotation cannot be switched while the proxy runs"):
            room.options.update(codemie_disabled=["account_rotation"])
