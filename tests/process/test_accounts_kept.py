"""What the pool has learnt outlives a proxy, and a database in trouble never stands in a request's way."""

from __future__ import annotations

import re
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from codemie_core.accounts import keeper
from codemie_core.demo.script import Step
from codemie_core.store import worker
from codemie_core.store.database import BUSY_TIMEOUT
from support.access import until
from support.elsewhere import elsewhere, end
from support.postgres import Postgres, running_postgres
from support.proxy import Mitmproxy, failing_start
from support.scripted import Scripted, wait_for_details
from support.sites import Site, turn
from support.stored import StoredHome

MAIN, SPARE = "sk-planted-main", "sk-planted-spare"
LIMITED = Step(status=429, headers=(("retry-after", "120"),))
LOCK = """
database = open_database(places, os.environ)
with database.writing():
    print("locked", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


@pytest.fixture
def site(codemie_home: Path, upstream: Scripted) -> Site:
    return with_accounts(Site(codemie_home), upstream)


def with_accounts(site: Site, upstream: Scripted) -> Site:
    """main is asked first, spare second; both are at the scripted upstream."""
    for priority, (name, secret) in enumerate({"main": MAIN, "spare": SPARE}.items()):
        site.stored.key(name, upstream.url, secret, provider="anthropic-compatible", priority=priority)
    return site


def rests(stored: StoredHome) -> dict[str, str]:
    """What is stored of accounts that rest, and why."""
    names, now = {account.id: account.name for account in stored.accounts()}, time.time()
    return {names[one.account_id]: one.reason for one in stored.state(now).cooldowns if one.until > now}


def told(proxy: Mitmproxy, *words: str) -> list[str]:
    """The lines of the log with one of these words, without their time."""
    return [re.sub(r"^\[.*?\] ", "", line) for line in proxy.lines if any(word in line for word in words)]


def test_a_proxy_that_is_killed_loses_no_more_than_the_last_moment(site: Site, upstream: Scripted) -> None:
    upstream.script_for(MAIN, LIMITED)
    answered, begun = 0, time.monotonic()
    with site.proxy(upstream.url) as proxy:
        while len(site.homes()) < 20:
            assert time.monotonic() - begun < 60, site.homes()
            assert turn(proxy, answered).status_code == 200
            answered += 1
        proxy.stop(signal.SIGKILL)
    assert upstream.keys() == [MAIN, *[SPARE] * answered]
    # Stored while it went on, in this order; a moment is what is collected before it is written.
    assert site.homes() == dict.fromkeys(range(max(site.homes()) + 1), "spare")
    assert keeper.SAVE + worker.BATCH < 0.4
    assert rests(site.stored) == {"main": "limited (429)"}

    with site.proxy(upstream.url) as proxy:
        assert turn(proxy, 10_000).status_code == 200
        site.stored.change("main", "resumed", paused=None)
        assert turn(proxy, 1).status_code == 200
    assert upstream.keys()[answered + 1 :] == [SPARE, SPARE]


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Another process writes, for as long as this lasts."""
    other = elsewhere(LOCK, site.environ)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield
    finally:
        end(other)


@contextmanager
def full(proxy: Mitmproxy, site: Site) -> Iterator[None]:
    """No file of the proxy may become longer than the database is now."""
    pid = proxy.process.pid
    used = (site.stored.places.proxy / "proxy.db-wal").stat().st_size
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (used, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


LIMITS_FILES = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits a running process")


@pytest.mark.parametrize("trouble", ["locked", pytest.param("full", marks=LIMITS_FILES)])
def test_requests_go_on_while_the_database_takes_nothing_and_then_it_gets_what_was_learnt(
    trouble: str, site: Site, upstream: Scripted
) -> None:
    upstream.script_for(MAIN, Step(), Step(), LIMITED)
    with site.proxy(upstream.url) as proxy:
        assert turn(proxy, 0).status_code == 200
        until(lambda: 0 in site.homes())
        with locked(site) if trouble == "locked" else full(proxy, site):
            goes_on(proxy, upstream)
            proxy.wait_for_log("Not stored for now")
            time.sleep(1.2)  # it has tried again, in vain
            assert turn(proxy, 9).status_code == 200
        until(lambda: rests(site.stored) == {"main": "limited (429)"} and site.homes().get(9) == "spare")
        assert site.homes() == {0: "main", 1: "main"} | dict.fromkeys(range(2, 5), "spare") | {9: "spare"}
        proxy.wait_for_log("can be used again")
        assert len(told(proxy, "Not stored", "can be used again", "Traceback", "secret")) == 2, proxy.log


def goes_on(proxy: Mitmproxy, upstream: Scripted) -> None:
    """The first account meets its limit, and the next one, which nobody has used before, takes over at once."""
    assert turn(proxy, 1).status_code == 200
    time.sleep(0.3)  # By now the database is being asked to take that one.
    took = []
    for number in range(2, 5):
        begun = time.monotonic()
        answer = turn(proxy, number)
        assert answer.status_code == 200, answer.text
        took.append(time.monotonic() - begun)
    # A busy machine may hold one of them up; whoever waited for the database would do so each time, or all the while.
    assert min(took) < 0.5, took
    assert max(took) < BUSY_TIMEOUT, took
    assert upstream.keys()[1:] == [MAIN, MAIN, *[SPARE] * 3]


@pytest.mark.postgres
def test_requests_go_on_while_postgresql_is_down_and_then_it_gets_what_was_learnt(
    postgres: Postgres, codemie_home: Path, upstream: Scripted
) -> None:
    site = with_accounts(Site(codemie_home, postgres.new_database()), upstream)
    upstream.script_for(MAIN, Step(), Step(), LIMITED)
    with site.proxy(upstream.url) as proxy:
        assert turn(proxy, 0).status_code == 200
        postgres.stop()
        try:
            goes_on(proxy, upstream)
            proxy.wait_for_log("Not stored for now")
            code, said = failing_start("--mode", f"reverse:{upstream.url}", env=site.environ)
        finally:
            postgres.start()
        # A proxy that cannot know which accounts there are does not begin.
        assert code == 1
        assert "cannot be used: connection" in said
        assert "planted" not in said + proxy.log
        until(lambda: rests(site.stored) == {"main": "limited (429)"})
        until(lambda: site.homes() == {0: "main", 1: "main"} | dict.fromkeys(range(2, 5), "spare"))
        site.stored.change("spare", "paused", paused="for a while")
        wait_for_details(proxy, "account_rotation", usable=0)
        proxy.wait_for_log("can be used again")
        assert len(told(proxy, "Not stored", "can be used again", "Traceback", "secret")) == 2, proxy.log
        assert turn(proxy, 1).status_code == 503
    assert set(upstream.keys()) == {MAIN, SPARE}


def test_a_database_newer_than_the_program_is_read_and_not_written(site: Site, upstream: Scripted) -> None:
    upstream.script_for(MAIN, LIMITED)
    site.stored.write(lambda connection: connection.exec_driver_sql("update alembic_version set version_num = '9999'"))
    before = contents(site)
    with site.proxy(upstream.url) as proxy:
        assert [turn(proxy, number).status_code for number in (1, 2)] == [200, 200]
        proxy.wait_for_log("nothing is written to it")
        [line] = told(proxy, "nothing is written to it")
        assert "tables of version 9999, newer than this proxy's" in line
        assert line.endswith("update codemie-proxy")
        assert "Traceback" not in proxy.log
        refused = site.accounts("pause", "main")
        assert (refused.code, "nothing is written to it" in refused.err) == (1, True)
    assert upstream.keys() == [MAIN, SPARE, SPARE]
    assert contents(site) == before


def contents(site: Site) -> str:
    """All rows of all tables."""
    with closing(sqlite3.connect(site.stored.places.proxy / "proxy.db")) as connection:
        return "\n".join(connection.iterdump())
