"""Accounts that are signed in, through real processes: real SDKs, several proxies, real kills."""

import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anthropic
import pytest
from sqlalchemy import Connection

from codemie_core.accounts.account import Account, Kind
from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.oauth import pending
from codemie_core.oauth.tokens import Tokens
from codemie_core.store.place import database_file
from codemie_core.store.secrets import replace_secret
from support.access import until
from support.elsewhere import elsewhere, end, outcomes
from support.oauth_server import OAuthServer
from support.postgres import running_postgres
from support.proxy import Mitmproxy, reverse
from support.scripted import Scripted, wait_for_details
from support.signed_in import tokens_of
from support.stored import StoredHome, new_account
from support.token_service import TokenService, access, refresh

SAID = "Hello from a good token"
SPARE = "sk-planted-spare"
PATIENCE = 60.0

KEEPER = """
    import asyncio
    from codemie_core.accounts.vault_door import VaultDoor
    from codemie_core.oauth import pending
    from codemie_core.oauth.deposit import Deposit
    from codemie_core.oauth.refresh import TokenKeeper
    from codemie_core.oauth.token_store import TokenStore
    from codemie_core.store.accounts import load_accounts
    from codemie_core.store.worker import StoreWorker

    database = open_database(places, os.environ)
    worker = StoreWorker(database)
    with database.reading() as connection:
        (main,) = load_accounts(connection)
    keeper = TokenKeeper(places, os.environ, VaultDoor(places, os.environ), worker.call)

    async def ask(callers):
        found = await asyncio.gather(*(keeper.access_token(main) for _ in range(callers)))
        return " ".join(sorted({token.get_secret_value() for token in found}))
"""
MANY = """
    async def run():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(await ask(13))
        await keeper.end()

    asyncio.run(run())
"""
STOPPED = """
    def stop(*_):
        print("stopped", flush=True)
        time.sleep(600)

    def then_stop(function):
        def both(*arguments):
            function(*arguments)
            stop()
        return both

    if sys.argv[1] == "in the file":
        pending.keep = then_stop(pending.keep)
    elif sys.argv[1] == "in the transaction":
        TokenStore.put = then_stop(TokenStore.put)
    elif sys.argv[1] == "committed":
        pending.drop = stop
    elif sys.argv[1] == "file dropped":
        Deposit.release = stop
    else:
        asyncio.run(ask(1))
        stop()
    asyncio.run(ask(1))
"""


@pytest.fixture
def service() -> Iterator[TokenService]:
    with TokenService() as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    """Takes the first renewed access token and SPARE, and nothing else."""

    def good(request: Received) -> bool:
        return request.keys in ([access(1)], [SPARE])

    with Scripted() as running:
        running.script(then=Step(status=401))
        running.script_for(good, then=Step(text=SAID))
        yield running


@pytest.fixture
def home(codemie_home: Path, service: TokenService) -> StoredHome:
    made = StoredHome(codemie_home)
    service.configure(made.places)
    return made


def sign_in(home: StoredHome, left: float, base_url: str = "http://127.0.0.1:9") -> Account:
    main = new_account("main", base_url, "anthropic-compatible", kind=Kind.OAUTH)
    return home.add(main, tokens_of(0, left).dump())


def aged(home: StoredHome, main: Account, tokens: Tokens, connection: Connection) -> None:
    """The same tokens, as if they had been got a minute ago."""
    older = replace(tokens, obtained_at=tokens.obtained_at - 60)
    sealed = home.vault(connection).seal(older.dump(), f"account:{main.id}")
    assert replace_secret(connection, main.id, sealed, None)


def stored(home: StoredHome) -> str:
    return Tokens.parse(home.secret("main")).access.get_secret_value()


def asks(proxy: Mitmproxy) -> str:
    hello: anthropic.types.MessageParam = {"role": "user", "content": "Hello"}
    with (
        anthropic.Anthropic(base_url=proxy.url, api_key="dummy", max_retries=0, timeout=PATIENCE) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[hello]) as stream,
    ):
        return "".join(stream.text_stream)


@contextmanager
def locked(home: StoredHome) -> Iterator[None]:
    """Another process holds the database."""
    connection = sqlite3.connect(database_file(home.places), isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


def test_a_token_that_the_api_refuses_is_renewed_and_the_sdk_sees_one_clean_answer(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=1800, base_url=upstream.url)
    with reverse(upstream.url) as proxy:
        assert asks(proxy) == SAID
        assert asks(proxy) == SAID
    assert upstream.keys() == [access(0), access(1), access(1)]
    assert service.calls == 1
    assert stored(home) == access(1)


def test_with_a_real_oauth_server_each_refused_token_is_renewed_with_the_heir_of_the_last(
    codemie_home: Path, upstream: Scripted
) -> None:
    home = StoredHome(codemie_home)
    with OAuthServer(lifetime=1800) as server:
        server.configure(home.places, base_url=upstream.url)
        upstream.script_for(lambda request: any(map(server.good, request.keys)), then=Step(text=SAID))
        main = new_account("main", upstream.url, "anthropic-compatible", kind=Kind.OAUTH)
        home.add(main, server.sign_in(left=600).dump())
        (one,) = server.sign_ins
        for generation in (1, 2):
            one.ends[-1] = 0.0  # At the API it has ended, and nobody was told.
            with reverse(upstream.url) as proxy:
                assert asks(proxy) == SAID
            assert len(one.refresh) == 1 + generation
            # It was renewed a moment ago: what is refused then is not renewed at once.
            older = Tokens.parse(home.secret("main"))
            home.write(partial(aged, home, main, older))
        assert not one.over
        assert server.calls() == 2


def test_a_token_that_has_expired_is_renewed_before_it_is_sent(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=-1, base_url=upstream.url)
    with reverse(upstream.url) as proxy:
        assert asks(proxy) == SAID
    assert upstream.keys() == [access(1)]
    assert service.calls == 1


def test_fifty_requests_with_a_token_that_is_refused_renew_it_once(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=1800, base_url=upstream.url)
    with reverse(upstream.url) as proxy, ThreadPoolExecutor(50) as threads:
        said = [*threads.map(lambda _: asks(proxy), range(50))]
    assert said == [SAID] * 50
    assert service.calls == 1
    assert set(upstream.keys()) == {access(0), access(1)}


def test_two_proxies_with_one_database_renew_once(home: StoredHome, upstream: Scripted, service: TokenService) -> None:
    sign_in(home, left=-1, base_url=upstream.url)
    with reverse(upstream.url) as one, reverse(upstream.url) as other, ThreadPoolExecutor(20) as threads:
        said = [*threads.map(asks, [one, other] * 10)]
    assert said == [SAID] * 20
    assert service.calls == 1
    assert set(upstream.keys()) == {access(1)}


def test_a_sign_in_that_is_over_is_said_and_the_next_account_serves(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=-1, base_url=upstream.url)
    home.key("spare", upstream.url, SPARE, provider="anthropic-compatible", priority=1)
    service.over = True
    with reverse(upstream.url) as proxy:
        assert asks(proxy) == SAID
        proxy.wait_for_log("account main: its sign-in is over; sign in again: codemie-proxy auth login lab --name main")
        wait_for_details(proxy, "account_rotation", usable=1)
        assert asks(proxy) == SAID
        assert "planted" not in proxy.log
    assert upstream.keys() == [SPARE, SPARE]
    assert service.calls == 1
    assert [account.needs_login for account in home.accounts()] == [True, False]


def test_a_sign_in_service_that_is_down_ends_nobodys_sign_in(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=-1, base_url=upstream.url)
    home.key("spare", upstream.url, SPARE, provider="anthropic-compatible", priority=1)
    service.failing.append((503, b"", {}))
    with reverse(upstream.url) as proxy:
        assert asks(proxy) == SAID
        assert asks(proxy) == SAID
    assert upstream.keys() == [SPARE, SPARE]
    assert service.calls == 1
    assert not any(account.needs_login for account in home.accounts())


def test_a_proxy_that_is_killed_before_the_database_took_the_new_tokens_loses_none(
    home: StoredHome, upstream: Scripted, service: TokenService
) -> None:
    sign_in(home, left=-1, base_url=upstream.url)
    service.open.clear()
    with reverse(upstream.url) as proxy, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(asks, proxy)
        assert service.asked.acquire(timeout=PATIENCE)
        with locked(home):
            service.open.set()
            until(lambda: [*pending.waiting(home.places)] != [], PATIENCE)
            proxy.process.send_signal(signal.SIGKILL)
            proxy.process.wait(PATIENCE)
        assert asking.exception(PATIENCE) is not None
    assert stored(home) == access(0)
    with reverse(upstream.url) as proxy:
        assert asks(proxy) == SAID
    assert upstream.keys() == [access(1)]
    assert service.calls == 1
    assert stored(home) == access(1)
    assert [*pending.waiting(home.places)] == []


@pytest.mark.parametrize("step", ["in the file", "in the transaction", "committed", "file dropped", "given out"])
def test_a_kill_at_any_step_after_the_answer_loses_no_token(step: str, home: StoredHome, service: TokenService) -> None:
    main = sign_in(home, left=-1)
    killed = elsewhere(KEEPER + STOPPED, {}, step)
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "stopped\n"
    finally:
        end(killed)
    (found,) = outcomes([elsewhere(KEEPER + "\n    print(asyncio.run(ask(1)))\n", {})])
    assert found == access(1)
    assert service.calls == 1
    tokens = Tokens.parse(home.secret("main"))
    assert tokens.refresh is not None
    assert (tokens.access.get_secret_value(), tokens.refresh.get_secret_value()) == (access(1), refresh(1))
    assert pending.lying(home.places, main.id) is None


def one_database(home: StoredHome, environ: dict[str, str], service: TokenService) -> None:
    sign_in(home, left=-1)
    processes = [elsewhere(KEEPER + MANY, environ) for _ in range(4)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert outcomes(processes) == [access(1)] * 4
    finally:
        for process in processes:
            end(process)
    assert service.calls == 1
    assert stored(home) == access(1)


def test_fifty_callers_in_four_processes_make_one_call(home: StoredHome, service: TokenService) -> None:
    one_database(home, {}, service)


@pytest.mark.postgres
def test_fifty_callers_in_four_processes_make_one_call_with_postgresql(
    codemie_home: Path, service: TokenService
) -> None:
    with running_postgres() as postgres:
        environ = {"CODEMIE_DATABASE_URL": postgres.new_database(), "CODEMIE_KEYRING": "0"}
        home = StoredHome(codemie_home, environ)
        service.configure(home.places)
        one_database(home, environ, service)
