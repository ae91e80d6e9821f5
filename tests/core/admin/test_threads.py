"""Threads for what may block, and that nobody waits for those that hang."""

import asyncio
import subprocess
import sys
import threading

import pytest

from codemie_core.admin.threads import Threads
from support.cli import environ
from support.histories import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def threads() -> Threads:
    return Threads(2, "of a test")


def fail() -> None:
    raise SystemExit("planted")


async def test_what_is_done_in_a_thread_comes_back(threads: Threads) -> None:
    assert await threads.run(lambda: threading.current_thread().name) == "of a test"
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="SystemExit"):
        await threads.run(fail)
    assert await threads.run(lambda: threading.current_thread().daemon)
    threads.close()


async def test_no_more_than_so_many_run_at_once_and_none_is_begun_in_vain(threads: Threads) -> None:
    for _ in range(5):
        await threads.run(lambda: None)
    assert threads._crew.threads == 1
    gate, running = threading.Event(), []

    def wait() -> None:
        running.append(1)
        gate.wait(60)

    waiting = [threads.run(wait) for _ in range(5)]
    await until(lambda: len(running) == 2)
    await asyncio.sleep(0.05)
    assert len(running) == 2
    gate.set()
    await asyncio.gather(*waiting)
    assert (threads._crew.threads, threads._crew.unfinished) == (2, 0)
    threads.close()


async def test_what_was_given_up_before_its_turn_is_not_done(threads: Threads) -> None:
    gate, done = threading.Event(), []
    held = [threads.run(lambda: gate.wait(60)) for _ in range(2)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(lambda: done.append(1)), 0.01)
    gate.set()
    await asyncio.gather(*held)
    await threads.run(lambda: None)
    assert done == []
    threads.close()


async def test_one_that_hangs_and_was_given_up_leaves_the_others_their_threads(threads: Threads) -> None:
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(lambda: gate.wait(60)), 0.01)
    async with asyncio.timeout(30):
        assert await threads.run(lambda: "well") == "well"
    gate.set()
    threads.close()


async def test_after_the_end_what_waited_is_cancelled_and_new_work_is_done(threads: Threads) -> None:
    gate, running = threading.Event(), []

    def wait() -> bool:
        running.append(1)
        return gate.wait(60)

    held = [threads.run(wait) for _ in range(2)]
    await until(lambda: len(running) == 2)
    waited = threads.run(lambda: None)
    threads.close()
    assert waited.cancelled()
    async with asyncio.timeout(30):
        assert await threads.run(lambda: 5) == 5
    gate.set()
    assert await asyncio.gather(*held) == [True, True]


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    code = (
        "import asyncio, time\nfrom codemie_core.admin.threads import Threads\n"
        "async def main():\n    try: await asyncio.wait_for(Threads(1, 'x').run(lambda: time.sleep(600)), 0.1)\n"
        "    except TimeoutError: print('given up')\nasyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "given up\n"), done.stderr
