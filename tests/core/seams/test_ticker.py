"""One timer for all that wait on a client connection."""

import gc
import weakref

from mitmproxy.proxy import commands, events, layer

from codemie_core.policy import AttemptPlan
from codemie_core.seams.ticker import LONGEST_TICK, Tick, Ticker, ticker_of
from support.playbook import EVENT_STREAM, Playbook

EVENT = b"event: message_start\ndata: {}\n\n"


class Sleeper:
    """Waits, and notes when it was woken."""

    def __init__(self, book: Playbook, due: float) -> None:
        self._book = book
        self.due = book.clock.now + due
        self.woken: list[float] = []

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        assert isinstance(event, Tick)
        self.woken.append(round(self._book.clock.now - self.due, 3))
        yield from ()


def watch(book: Playbook, *sleepers: Sleeper) -> Ticker:
    """Put them on the ticker of the connection."""
    ticker = ticker_of(book.layer)
    for sleeper in sleepers:
        for command in ticker.watch(sleeper):
            assert isinstance(command, commands.RequestWakeup)
            book.layer.command_sources[command] = ticker
            book.wakeups.append((book.clock.now + command.delay, command))
    return ticker


def test_each_is_woken_once_and_when_it_is_due() -> None:
    with Playbook() as book:
        sleepers = [Sleeper(book, due) for due in (0.2, 0.1, 5.0)]
        ticker = watch(book, *sleepers)
        book.advance(0.3)
        assert [len(sleeper.woken) for sleeper in sleepers] == [1, 1, 0]
        book.advance(10.0)
        assert all(len(sleeper.woken) == 1 and 0 <= sleeper.woken[0] < 0.01 for sleeper in sleepers)
        assert repr(ticker) == "<Ticker(0 waiting, 0 armed)>"
        assert book.wakeups == []


def test_a_deadline_moved_away_is_noticed_within_a_tick() -> None:
    with Playbook() as book:
        sleeper = Sleeper(book, 2.0)
        watch(book, sleeper)
        sleeper.due += 1.0
        book.advance(2.5)
        assert sleeper.woken == []
        book.advance(0.6)
        assert len(sleeper.woken) == 1


def test_a_deadline_moved_closer_is_armed_anew() -> None:
    with Playbook() as book:
        sleeper = Sleeper(book, 0.9)
        watch(book, sleeper)
        sleeper.due = book.clock.now + 0.1
        watch(book, sleeper)
        book.advance(0.11)
        assert len(sleeper.woken) == 1


def test_whoever_is_forgotten_is_not_woken_and_the_timer_stops() -> None:
    with Playbook() as book:
        sleeper = Sleeper(book, 0.5)
        watch(book, sleeper).forget(sleeper)
        book.advance(LONGEST_TICK)
        assert sleeper.woken == []
        assert book.wakeups == []


def test_a_due_time_in_the_past_is_woken_for_at_once() -> None:
    with Playbook() as book:
        sleeper = Sleeper(book, -5.0)
        watch(book, sleeper)
        book.advance(0.01)
        assert len(sleeper.woken) == 1


def test_no_wakeup_sleeps_longer_than_a_tick() -> None:
    with Playbook() as book:
        watch(book, Sleeper(book, 3600.0))
        assert [command.delay for _, command in book.wakeups] == [LONGEST_TICK]


def test_a_hundred_waiting_requests_have_one_wakeup_between_them() -> None:
    with Playbook(alpn=b"h2") as book:
        for number in range(100):
            book.ask(2 * number + 1)
            book.advance(0.001)
        assert len(book.asked) == 100
        assert len(book.wakeups) == 1
        book.advance(30.0)
        assert len(book.wakeups) == 1
        for live in list(book.asked):
            book.respond(200, EVENT_STREAM, EVENT, to=live)
        book.advance(30.0)
        assert len(book.wakeups) == 1
        for live in list(book.asked):
            book.end(to=live)
        book.advance(2 * LONGEST_TICK)
        assert book.wakeups == []
        assert book.layer.streams == {}


def test_nothing_waits_for_a_finished_request_and_nothing_holds_it() -> None:
    with Playbook(AttemptPlan(first_byte_timeout=900.0)) as book:
        book.ask(body=b"x" * 100_000)
        flow = weakref.ref(book.flows[1])
        stream = weakref.ref(book.layer.streams[1])
        book.respond(body=b"{}")
        ticker = ticker_of(book.layer)
        assert repr(ticker).startswith("<Ticker(0 waiting")
        book.flows.clear()
        book.seen.clear()
        gc.collect()
        assert (flow(), stream()) == (None, None), "although the wakeup of its deadline has not come yet"
        assert len(book.wakeups) == 1


def test_a_stream_in_a_hook_gets_its_tick_when_it_comes_back() -> None:
    hooks = {"upstream_failed": lambda *_: None}
    with Playbook(AttemptPlan(first_byte_timeout=5.0, max_attempts=1), hooks=hooks, pauses={"request"}) as book:
        book.ask()
        book.advance(60.0)
        book.resume()
        assert book.asked == [1]
        book.advance(5.1)
        assert book.response().status_code == 504


def test_a_hook_that_a_tick_led_to_returns_to_its_stream() -> None:
    """HttpLayer takes the ticker for its source."""
    hooks = {"upstream_failed": lambda *_: None}
    with Playbook(AttemptPlan(first_byte_timeout=5.0, max_attempts=1), hooks=hooks, pauses={"upstream_failed"}) as book:
        book.ask()
        book.advance(5.1)
        assert len(book.paused) == 1
        book.advance(60.0)
        book.resume()
        assert book.response().status_code == 504
        assert book.ended()


def test_the_ticker_is_no_layer_of_the_stack_and_dies_with_its_connection() -> None:
    with Playbook() as book:
        ticker = ticker_of(book.layer)
        assert ticker_of(book.layer) is ticker
        assert ticker not in book.context.layers
        gone = weakref.ref(ticker)
        del ticker
    book.layer, book.context = None, None  # type: ignore[assignment] # the connection is over
    gc.collect()
    assert gone() is None


def test_the_generator_behind_it_is_the_same_one() -> None:
    with Playbook() as book:
        sleeper = Sleeper(book, 0.5)
        ticker = watch(book, sleeper)
        (_, wakeup) = book.wakeups.pop()
        book.clock.now += 0.5
        assert list(ticker._handle_event(events.Wakeup(wakeup))) == []
        assert len(sleeper.woken) == 1
