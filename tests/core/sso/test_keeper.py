"""How often the store is looked at, what a look brings, and what the gateway's word on a session is worth."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from codemie_core.sso import keeper as module
from codemie_core.sso.backend import Verdict
from codemie_core.sso.keeper import LOOK_EVERY, REMEMBER_VERDICT, REST, Keeper
from codemie_core.sso.session import Session


def session(value: str, expires_at: float | None = None) -> Session:
    return Session("https://codemie.test/code-assistant-api", {"s": SecretStr(value)}, expires_at=expires_at)


@dataclass
class Store:
    """What is on disk, and how often somebody looked."""

    stored: Session | None = None
    signature: object = 0
    trouble: str = ""
    fails: Exception | None = None
    verdict: Verdict = Verdict.VALID
    time: float = 1000.0
    looks: int = 0
    reads: int = 0
    checks: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    looked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.open.set()

    def put(self, stored: Session | None, trouble: str = "") -> None:
        self.stored, self.trouble, self.signature = stored, trouble, object()

    def look(self) -> object:
        self.looks += 1
        seen = self.signature
        self.looked.set()
        assert self.open.wait(60)
        return seen

    def load(self) -> tuple[Session | None, str]:
        self.reads += 1
        if self.fails:
            raise self.fails
        return self.stored, self.trouble

    async def check(self, _: Session) -> Verdict:
        self.checks += 1
        await asyncio.sleep(0)
        return self.verdict

    def keeper(self) -> Keeper:
        return Keeper(self.load, self.look, self.check, clock=lambda: self.time, now=lambda: self.time)


ONE, TWO = session("one"), session("two")


async def test_a_good_session_is_at_hand_until_it_is_time_to_look_again() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    assert keeper.at_hand() is None
    assert await keeper.current() is ONE
    for _ in range(100):
        assert keeper.at_hand() is ONE
    assert (store.looks, store.reads) == (2, 1)
    store.time += LOOK_EVERY
    assert keeper.at_hand() is None
    assert await keeper.current() is ONE
    assert (store.looks, store.reads) == (3, 1), "nothing has changed, so nothing is read"


async def test_a_session_that_was_replaced_is_taken_at_the_next_look() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.put(TWO)
    assert keeper.at_hand() is ONE
    store.time += LOOK_EVERY
    assert await keeper.current() is TWO


async def test_a_session_that_was_deleted_is_gone_at_the_next_look() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.put(None)
    store.time += LOOK_EVERY
    assert await keeper.current() is None


async def test_a_session_written_while_the_store_was_read_and_deleted_later_is_gone() -> None:
    store = Store(None)
    nothing = store.signature

    def load() -> tuple[Session | None, str]:
        if store.reads == 0:
            store.put(ONE)  # between the look and the read
        return store.load()

    keeper = Keeper(load, store.look, store.check, clock=lambda: store.time, now=lambda: store.time)
    assert await keeper.current() is ONE
    store.put(None)
    store.signature = nothing
    store.time += LOOK_EVERY
    assert await keeper.current() is None


async def test_without_a_good_session_every_question_looks_first() -> None:
    store = Store(session("old", expires_at=1000.5))
    keeper = store.keeper()
    assert await keeper.current() is not None
    store.time += 0.5
    assert keeper.at_hand() is None
    assert await keeper.current() is None
    assert keeper.session is not None, "it is known, and over"
    store.put(ONE)
    assert await keeper.current() is ONE


async def test_a_hundred_questions_at_once_are_one_look_and_one_for_those_who_asked_while_it_ran() -> None:
    store = Store(ONE)
    store.open.clear()
    keeper = store.keeper()
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(keeper.current()) for _ in range(100)]
        await asyncio.sleep(0)
        store.open.set()
    assert {task.result() for task in asked} == {ONE}
    assert (store.looks, store.reads) == (3, 1)


async def test_a_look_that_began_earlier_is_not_enough_for_a_later_question() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.time += LOOK_EVERY
    store.open.clear()
    store.looked.clear()
    async with asyncio.TaskGroup() as group:
        early = group.create_task(keeper.current())
        await asyncio.to_thread(store.looked.wait, 60)
        store.put(TWO)
        late = group.create_task(keeper.renewed())
        await asyncio.sleep(0)
        store.open.set()
    assert late.result() is TWO
    assert early.result() in (ONE, TWO)


async def test_renewing_reads_even_when_no_file_has_changed() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.stored = TWO  # in the keyring alone
    store.time += LOOK_EVERY
    assert await keeper.current() is ONE
    assert await keeper.renewed() is TWO


async def test_a_hundred_renewals_at_once_are_two_reads() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.put(TWO)
    found = await asyncio.gather(*(keeper.renewed() for _ in range(100)))
    assert set(found) == {TWO}
    assert store.reads == 1 + 2


async def test_the_same_session_read_again_stays_the_same_object() -> None:
    store = Store(session("one"))
    keeper = store.keeper()
    first = await keeper.current()
    store.put(session("one"))
    assert await keeper.renewed() is first


async def test_a_store_that_is_unreadable_for_a_moment_costs_no_request() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.put(None, "sso.enc cannot be read")
    store.time += LOOK_EVERY
    assert await keeper.current() is ONE
    assert keeper.trouble == "sso.enc cannot be read"
    store.put(TWO)
    store.time += LOOK_EVERY
    assert await keeper.current() is TWO
    assert keeper.trouble == ""


async def test_an_unreadable_store_without_a_session_says_why() -> None:
    store = Store(None, trouble="sso.enc cannot be read")
    keeper = store.keeper()
    assert await keeper.current() is None
    assert keeper.trouble == "sso.enc cannot be read"


async def test_an_exception_of_the_store_is_told_without_its_words_and_tried_again() -> None:
    store = Store(ONE, fails=RuntimeError("planted-cookie-in-an-exception"))
    keeper = store.keeper()
    assert await keeper.current() is None
    assert keeper.trouble == "the credential store cannot be read (RuntimeError)"
    store.fails = None
    assert await keeper.current() is ONE


async def test_a_store_that_hangs_is_left_alone_and_what_is_known_still_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(ONE)
    keeper = store.keeper()
    await keeper.current()
    store.time += LOOK_EVERY
    store.open.clear()
    store.looked.clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "LONGEST_LOOK", 0.01)
        assert await keeper.current() is ONE
        await asyncio.to_thread(store.looked.wait, 60)
        store.time += REST - 1
        assert keeper.at_hand() is ONE
        store.time += 1
        assert await keeper.current() is ONE
    assert store.looks == 3, "the look that hangs is still the only one"
    store.open.set()
    store.put(TWO)
    assert await keeper.renewed() is TWO


async def test_a_verdict_is_asked_for_once_in_a_while_and_once_at_a_time() -> None:
    store = Store(ONE)
    keeper = store.keeper()
    assert set(await asyncio.gather(*(keeper.verdict(ONE) for _ in range(50)))) == {Verdict.VALID}
    assert store.checks == 1
    store.verdict = Verdict.EXPIRED
    assert await keeper.verdict(ONE) is Verdict.VALID
    assert await keeper.verdict(TWO) is Verdict.EXPIRED, "another session is another question"
    store.time += REMEMBER_VERDICT
    assert await keeper.verdict(TWO) is Verdict.EXPIRED
    assert store.checks == 3


async def test_a_check_that_hangs_or_fails_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hanging(_: Session) -> Verdict:
        await asyncio.Event().wait()
        return Verdict.VALID

    async def failing(_: Session) -> Verdict:
        raise ValueError("this session is for another origin")

    monkeypatch.setattr(module, "LONGEST_CHECK", 0.01)
    store = Store(ONE)
    for check in hanging, failing:
        keeper = Keeper(store.load, store.look, check)
        assert await keeper.verdict(ONE) is Verdict.UNKNOWN
