"""What an account changes about a request: its address and its credential, and as little else as can be."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import SecretStr

from codemie_core.accounts.account import Account, Kind, SecretRef
from codemie_core.accounts.outfit import BAD_PATH, CLIENTS_OWN
from codemie_core.accounts.pool import Choice, Pool
from codemie_core.accounts.providers import OWNER
from codemie_core.accounts.secrets import SecretTrouble
from codemie_core.accounts.turn import AGAIN, without
from codemie_core.accounts.way_out import way_out
from codemie_core.accounts.words import NO_SECRET
from codemie_core.credential import Credential
from codemie_core.egress import parse_proxy
from codemie_core.policy import AttemptPlan
from codemie_core.store.place import DatabaseTrouble
from support.pools import GUESS, Clock
from support.rotating import BODY, REJECTED, THINKING, THOUGHT, URL, Rotating, Run, account, attempt_of


async def test_the_secret_is_beside_the_flow_and_the_request_keeps_its_bytes() -> None:
    pool = Rotating((account("main"),))
    run = pool.chosen()
    before = run.flow.request.headers.fields
    assert await pool.equip(run) is None
    assert run.sent == {"x-api-key": "key-of-main"}
    assert run.flow.request.headers.fields == before
    assert run.flow.request.raw_content is run.turn.sent.body
    assert run.address == "https://api.test:443/v1/messages?beta=true"
    assert run.exchange.plan is run.turn.plan
    assert (run.exchange.account, run.flow.metadata["codemie.account"]) == ("main", "main")
    assert run.exchange.account_why == run.flow.metadata["codemie.account_why"] == run.turn.choice.why != ""
    assert (run.turn.tried, run.turn.secret) == (1, SecretStr("key-of-main"))
    assert "key-of-main" not in repr((run.turn, run.exchange, run.flow.get_state()))


@pytest.mark.parametrize(
    "base_url, prefix, path, address",
    [
        ("https://api.test", "", "/v1/messages", "https://api.test:443/v1/messages"),
        ("https://other.test/team", "", "/v1/messages?a=b", "https://other.test:443/team/v1/messages?a=b"),
        ("https://other.test:8443", "/code", "/v1/messages", "https://other.test:8443/v1/messages"),
        ("https://other.test/x", "/code/v1", "/responses", "https://other.test:443/x/v1/responses"),
        ("https://api.test/team", "", "/team/v1/messages", "https://api.test:443/team/v1/messages"),
        ("http://127.0.0.1:9/x", "", "/v1/messages", "http://127.0.0.1:9/x/v1/messages"),
    ],
)
async def test_an_account_gets_the_path_below_its_own_base_url(
    base_url: str, prefix: str, path: str, address: str
) -> None:
    run = await Rotating((account("main", base_url),)).equipped(path, prefix=prefix)
    assert run.address == address
    assert run.flow.request.host_header == address.split("/")[2].removesuffix(":443")
    [credential] = run.exchange.credentials
    request = run.flow.request
    assert credential.fits(request.scheme, request.host, request.port, request.path)


async def test_a_path_that_leads_out_of_the_base_url_goes_nowhere() -> None:
    pool = Rotating((account("main", "https://other.test/team"),))
    for path in "/../v1/messages", "/%2e%2e/v1/messages", "/x/..%2f..%2fv1/messages":
        run = pool.chosen(path)
        assert await pool.equip(run) is BAD_PATH
        assert run.address == f"https://api.test:443{path}"
        assert run.exchange.credentials == []
        assert run.exchange.account == ""


@pytest.mark.parametrize("way", ["bad path", "no such model", "too late"])
async def test_a_probe_that_does_not_go_out_is_over(way: str) -> None:
    clock = Clock()
    pool = Rotating((account("bad"), account("main", f"{URL}/x", priority=1)), pool=Pool(clock))
    pool.pool.failed("main", "opus", GUESS)
    clock.now += 61
    del pool.environ["bad"]
    run = pool.chosen("/../v1" if way == "bad path" else "/v1/messages", plan=AttemptPlan(budget=1e-9))
    if way != "too late":
        found = pool.pool.choose(without(run.turn.ask, run.turn.choice))
        assert isinstance(found, Choice)
        run.turn.choice = found if way == "bad path" else replace(found, model="haiku")
        run.turn.body = b"(compressed)"
    assert await pool.equip(run) is not None
    assert pool.pool.status("main").state == "recovering"


async def test_accounts_whose_secret_cannot_be_had_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    pool = Rotating((account("bad"), account("clear", "http://far.test", priority=1), account("good", priority=2)))
    del pool.environ["bad"]
    with caplog.at_level(logging.WARNING):
        run = await pool.equipped()
    assert (run.exchange.account, run.sent) == ("good", {"x-api-key": "key-of-good"})
    assert run.turn.ask.excluded == {"bad", "clear"}
    assert run.turn.tried == 1
    assert [pool.pool.status(name).reason for name in ("bad", "clear", "good")] == [NO_SECRET, NO_SECRET, ""]
    assert "account bad: bad is not set where the proxy was started" in caplog.text
    assert "needs https" in caplog.text
    assert "key-of" not in caplog.text


async def test_when_no_secret_can_be_had_nothing_has_changed() -> None:
    pool = Rotating((account("bad"), account("worse", priority=1)))
    pool.environ.clear()
    run = pool.chosen()
    before = run.flow.get_state()
    left = await pool.equip(run)
    assert isinstance(left, tuple)
    assert [(one.name, one.reason) for one in left] == [("bad", NO_SECRET), ("worse", NO_SECRET)]
    assert run.flow.get_state() == before
    assert (run.exchange.credentials, run.exchange.account, run.turn.tried) == ([], "", 0)


@dataclass
class SignIns:
    """Tokens of OAuth accounts: the one in force, and what a refresh gives."""

    current: str = "token-1"
    next: str = ""
    trouble: Exception | None = None
    forced: int = 0

    def at_hand(self, account: Account) -> SecretStr | None:
        return None

    async def access_token(self, account: Account, force: bool = False) -> SecretStr:
        if self.trouble is not None:
            raise self.trouble
        self.forced += force
        if force and self.next:
            self.current = self.next
        return SecretStr(self.current)


def with_sign_ins(pool: Rotating, **about: Any) -> SignIns:
    tokens = SignIns(**about)
    pool.keeper.tokens = tokens  # type: ignore[assignment]  # the real one needs a database and a sign-in service
    return tokens


def signed_in(name: str, provider: str = "anthropic", **fields: Any) -> Account:
    return account(name, kind=Kind.OAUTH, provider=provider, secret=SecretRef(), **fields)


@pytest.mark.parametrize(
    "trouble", [SecretTrouble("account main: no"), DatabaseTrouble("the database is locked"), ValueError("odd")]
)
async def test_a_database_in_trouble_costs_one_account_and_not_the_request(trouble: Exception) -> None:
    pool = Rotating((signed_in("main"), account("spare", priority=1)))
    with_sign_ins(pool, trouble=trouble)
    assert (await pool.equipped()).exchange.account == "spare"


async def test_looking_for_a_secret_ends_when_the_plan_says_so() -> None:
    pool = Rotating((account("bad"), account("good", priority=1)))
    del pool.environ["bad"]
    run = pool.chosen(plan=AttemptPlan(budget=1e-9))
    assert await pool.equip(run) is AGAIN
    assert run.exchange.credentials == []


async def test_a_fallback_model_is_asked_for_and_who_cannot_be_is_passed_over() -> None:
    pool = Rotating((account("main", fallback_model="haiku"), account("spare", priority=1)))
    choice = Choice(pool.accounts[0], "instead", model="haiku")
    run = pool.chosen()
    assert await pool.outfit.equip(run.flow, run.exchange, run.turn, run.turn.ask, choice) is None
    assert run.flow.request.raw_content == BODY.replace(b"opus", b"haiku")
    assert run.flow.request.headers["content-length"] == str(len(BODY) + 1)
    assert (run.turn.model, run.turn.sent.body) == ("haiku", BODY)
    compressed = pool.chosen(body=b"(compressed)")
    assert (
        await pool.outfit.equip(compressed.flow, compressed.exchange, compressed.turn, compressed.turn.ask, choice)
        is None
    )
    assert (compressed.flow.request.raw_content, compressed.turn.choice.model) == (b"(compressed)", "")


async def next_of(pool: Rotating, run: Run, name: str) -> None:
    """Go on with this account."""
    choice = Choice(next(one for one in pool.accounts if one.name == name), "next")
    ask = without(run.turn.ask, run.turn.choice)
    assert await pool.outfit.equip(run.flow, run.exchange, run.turn, ask, choice) is None


async def test_each_account_starts_from_what_the_client_sent() -> None:
    proxy = parse_proxy("http://proxy.test:3128", "a test")
    pool = Rotating(
        (
            account("main", "https://one.test/a", outbound_proxy=proxy),
            account("spare", "https://two.test/b", priority=1),
        )
    )
    run = await pool.equipped(prefix="/code")
    assert run.exchange.plan is not None
    assert run.exchange.plan.egress == way_out(proxy)
    await next_of(pool, run, "spare")
    assert (run.address, run.sent) == ("https://two.test:443/b/v1/messages?beta=true", {"x-api-key": "key-of-spare"})
    assert run.exchange.plan is run.turn.plan
    assert (run.exchange.account, run.exchange.account_why, run.turn.tried) == ("spare", "next", 2)


async def test_the_clients_own_request_comes_back_whole() -> None:
    proxy = parse_proxy("http://proxy.test:3128", "a test")
    pool = Rotating((account("main", "https://one.test/a", outbound_proxy=proxy),))
    run = pool.chosen(prefix="/code")
    before = run.flow.request.get_state()
    await pool.equip(run)
    pool.outfit.repaired(run.flow, run.turn, attempt_of(run, status=400, body=REJECTED))
    pool.outfit.undress(run.flow, run.exchange, run.turn)
    assert run.flow.request.get_state() == before
    assert (run.exchange.credentials, run.exchange.plan) == ([], run.turn.plan)
    assert (run.exchange.account, run.exchange.account_why) == ("", CLIENTS_OWN)
    assert (run.flow.metadata["codemie.account"], run.flow.metadata["codemie.account_why"]) == ("", CLIENTS_OWN)


BETA = (b"Anthropic-Beta", b"a-1, b-2")


async def test_only_with_a_sign_in_of_anthropic_the_wire_copy_says_so() -> None:
    pool = Rotating((signed_in("own"), account("key"), signed_in("other", "openai")))
    with_sign_ins(pool)
    run = pool.chosen(headers=(BETA,))
    before = run.flow.request.headers.fields
    await next_of(pool, run, "own")
    assert run.sent == {"authorization": "Bearer token-1", "anthropic-beta": "a-1, b-2,oauth-2025-04-20"}
    await next_of(pool, run, "key")
    assert run.sent == {"x-api-key": "key-of-key"}
    await next_of(pool, run, "other")
    assert run.sent == {"authorization": "Bearer token-1"}
    assert run.flow.request.headers.fields == before


async def test_the_secret_that_was_refused_is_not_taken_for_a_new_one() -> None:
    pool = Rotating((account("main"),))
    run = await pool.equipped()
    assert not await pool.outfit.renewed(run.flow, run.exchange, run.turn)
    pool.environ["main"] = "a-new-key"
    assert not await pool.outfit.renewed(run.flow, run.exchange, run.turn), "once per request"
    later = await pool.equipped()
    assert await pool.outfit.renewed(later.flow, later.exchange, later.turn)
    assert later.sent == {"x-api-key": "a-new-key"}
    assert later.turn.tried == 1


@pytest.mark.parametrize(
    "current, following, token, forced",
    [
        ("token-1", "token-2", "token-2", 1),
        ("token-of-another-request", "token-2", "token-of-another-request", 0),
        ("token-1", "", None, 1),
    ],
)
async def test_a_refused_sign_in_is_refreshed_unless_somebody_has_done_so(
    current: str, following: str, token: str | None, forced: int
) -> None:
    pool = Rotating((signed_in("main"),))
    tokens = with_sign_ins(pool)
    run = await pool.equipped()
    tokens.current, tokens.next = current, following
    assert await pool.outfit.renewed(run.flow, run.exchange, run.turn) is (token is not None)
    assert run.sent["authorization"] == f"Bearer {token or 'token-1'}"
    assert run.sent["anthropic-beta"] == "oauth-2025-04-20"
    assert tokens.forced == forced


async def test_a_sign_in_that_cannot_be_refreshed_leaves_everything_as_it_is() -> None:
    pool = Rotating((signed_in("main"),))
    tokens = with_sign_ins(pool)
    run = await pool.equipped()
    tokens.trouble = SecretTrouble("account main: its sign-in has ended")
    assert not await pool.outfit.renewed(run.flow, run.exchange, run.turn)
    assert run.sent["authorization"] == "Bearer token-1"


async def test_rejected_thinking_is_left_out_once() -> None:
    pool = Rotating((account("main"), account("spare")))
    run = await pool.equipped(body=THINKING)
    refused = attempt_of(run, status=400, body=b"another error")
    assert not pool.outfit.repaired(run.flow, run.turn, refused)
    refused.body = REJECTED
    assert pool.outfit.repaired(run.flow, run.turn, refused)
    assert run.flow.request.raw_content == THINKING.replace(THOUGHT, b"")
    assert not pool.outfit.repaired(run.flow, run.turn, refused)
    await next_of(pool, run, "spare")
    assert run.flow.request.raw_content == THINKING.replace(THOUGHT, b"")
    plain = await pool.equipped()
    assert not pool.outfit.repaired(plain.flow, plain.turn, refused), "there is no thinking in it"


async def test_credentials_of_others_stay_where_they_are() -> None:
    pool = Rotating((account("main"), account("spare")))
    run = pool.chosen()
    theirs = Credential("https", "other.test", 443, "/", {}, owner="somebody_else")
    run.exchange.credentials.append(theirs)
    await pool.equip(run)
    await next_of(pool, run, "spare")
    assert [one.owner for one in run.exchange.credentials] == ["somebody_else", OWNER]
    pool.outfit.undress(run.flow, run.exchange, run.turn)
    assert run.exchange.credentials == [theirs]


async def test_a_secret_is_kept_while_its_account_is_there() -> None:
    pool = Rotating((account("main"),))
    first, second = await pool.equipped(), await pool.equipped()
    assert first.exchange.credentials[0] is second.exchange.credentials[0]
    pool.outfit.keep(pool.accounts)
    assert (await pool.equipped()).exchange.credentials[0] is second.exchange.credentials[0]
    pool.outfit.keep(())
    assert (await pool.equipped()).exchange.credentials[0] is not second.exchange.credentials[0]
