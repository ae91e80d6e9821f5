"""Processes that write and send session metrics and are killed at it, and one that appends without our lock.

Each record is a tool call with a name of its own, so what the API has counted says which records were in it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from codemie_core.metrics import batches, drafts
from codemie_core.metrics.journal import Journal
from codemie_core.metrics.service import Service, Wanted
from codemie_core.metrics.session_files import SessionFiles
from codemie_core.places import Places
from codemie_core.profile import Profile
from support.metrics_api import DOWN, TAKEN, Came, MetricsApi, Reply
from support.metrics_room import MetricsRoom, delta

OURS = ("5e551071-0000-4000-8000-000000000001", "5e551071-0000-4000-8000-000000000002")
THEIRS = "5e551071-0000-4000-8000-00000000000f"
"""Made by CodeMie's CLI, whose own sync is off."""
POINTS = ("append", "aggregate", "journal", "posted", "mark", "marked")
"""Before and after each of these a worker may kill itself. In the POST it is the API that sees to it."""
PATIENCE = 60.0
"""Seconds in which a worker comes to its death, unless it was born too late for it."""
RIVALRY = 3.0
"""Seconds for which another worker is at it, too."""
SWITCHES = {"CODEMIE_SESSION_SYNC_ENABLED": "false", "CODEMIE_KEYRING": "0"}


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do. `die_at` is a point, whether before or after it, and which time it comes there."""

    home: Path
    url: str
    name: str
    die_at: tuple[str, bool, int] | None = None


def work(orders: Orders) -> None:
    """A worker: writes records and sends them, until it is killed."""
    if orders.die_at is not None:
        _arm(*orders.die_at)
    asyncio.run(_work(orders))


async def _work(orders: Orders) -> None:
    profile = Profile(name="sso", provider="ai-run-sso", base_url=orders.url, auth_method="sso")

    async def hurried(seconds: float) -> None:
        await asyncio.sleep(seconds / 500)

    def new_service() -> Service:
        return Service(Places(orders.home), SWITCHES, profile, Wanted(url=orders.url), "run", sleep=hurried)

    service, number = new_service(), 0
    for rounds in itertools.count(1):
        if rounds % 10 == 0:
            # What was refused is left alone for an hour, in the life of a service.
            await service.close()
            service = new_service()
        for session_id in OURS:
            for _ in range(random.randrange(1, 4)):
                number += 1
                append(orders.home, service.files, session_id, f"{orders.name}-{number}")
        if (await service.round()).busy:
            await asyncio.sleep(0.05)


def append(home: Path, files: SessionFiles, session_id: str, record_id: str) -> None:
    """As the recorder does, and then say so elsewhere."""
    found = files.find(session_id)
    assert found is not None
    branch = random.choice(("main", "dev"))
    found.journal.append(delta(record_id, branch).model_copy(update={"tools": {record_id: 1}}))
    _acknowledge(home, record_id)


def intrude(home: Path, name: str) -> None:
    """What CodeMie's hooks do: append to the files without any lock, line by line."""
    files, number = SessionFiles(Places(home)), 0
    while True:
        for session_id in (OURS[0], THEIRS):
            number += 1
            record_id = f"{name}-{number}"
            found = files.find(session_id)
            assert found is not None
            line = {
                "recordId": record_id,
                "sessionId": session_id,
                "agentSessionId": "conversation",
                "timestamp": "2027-01-15T08:00:00.000Z",
                "gitBranch": "main",
                "tools": {record_id: 1},
                "models": ["claude-sonnet-4-6"],
                "syncStatus": "pending",
                "syncAttempts": 0,
            }
            with found.journal.path.open("a") as file:
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
            _acknowledge(home, record_id)
        time.sleep(0.02)


def _acknowledge(home: Path, record_id: str) -> None:
    with (home / "acknowledged").open("a") as file:
        file.write(f"{record_id}\n")


def _arm(point: str, before: bool, times: int) -> None:
    """Have this process kill itself there."""
    where: Any = {"append": Journal, "aggregate": drafts, "mark": Journal}.get(point, batches)
    name = "mark_synced" if point == "mark" else point
    real: Callable[..., Any] = getattr(where, name)
    left = [times]

    def deadly(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if before and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(where, name, deadly)


@dataclass(slots=True)
class Ordeal:
    """Rounds of it. `seed` decides everything that chance does not."""

    room: MetricsRoom
    api: MetricsApi
    seed: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    """How the workers ended, by point."""

    def run(self, rounds: int) -> None:
        """Kill as many, with somebody else appending all the while."""
        dice = random.Random(self.seed)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["support.metrics_crash", "httpx", "sqlalchemy", "codemie_core.store.worker"])
        home = self.room.places.home
        for session_id in OURS:
            self.room.session(session_id)
        self.room.foreign(THEIRS)
        intruder = context.Process(target=intrude, args=(home, "hook"), daemon=True)
        intruder.start()
        try:
            for number in range(rounds):
                self._round(context, dice, number)
        finally:
            intruder.kill()
            intruder.join()

    def _round(self, context: multiprocessing.context.ForkServerContext, dice: random.Random, number: int) -> None:
        way = dice.choice(["time", "post", "post", *POINTS, *POINTS])
        die_at = (way, dice.random() < 0.5, dice.randrange(1, 6)) if way in POINTS else None
        orders = Orders(self.room.places.home, self.api.url, f"w{self.seed}.{number}", die_at)
        worker: ForkServerProcess = context.Process(target=work, args=(orders,), daemon=True)
        countdown, lives = dice.randrange(1, 5), way == "post"
        # Of its own: how many ask it is not for the seed to say, and the rounds are.
        answers = random.Random(f"{self.seed} {number}")

        def choose(came: Came) -> Reply:
            nonlocal countdown, lives
            countdown -= 1
            if lives and countdown <= 0 and worker.pid:
                lives = False
                os.kill(worker.pid, signal.SIGKILL)
                return Reply(counts=answers.random() < 0.5, drops=True)
            # Some are counted although nobody hears of it, and come again.
            return answers.choice(
                [TAKEN, TAKEN, TAKEN, DOWN, Reply(counts=True, drops=True), Reply(500, "{}", counts=True)]
            )

        self.api.choose = choose
        worker.start()
        rival = context.Process(target=work, args=(replace(orders, name=f"r{orders.name}", die_at=None),), daemon=True)
        if number % 8 == 0:
            rival.start()
        if way == "time":
            worker.join(dice.uniform(0.05, 0.6))
            worker.kill()
        if number % 8 == 0:
            # For longer it might keep the worker from ever getting its turn.
            worker.join(RIVALRY)
            rival.kill()
            rival.join()
        worker.join(PATIENCE)
        if worker.exitcode is None:
            worker.kill()
            worker.join()
            self.deaths["not reached"] += 1
        else:
            assert worker.exitcode == -signal.SIGKILL, f"{way}: the worker ended by itself, with {worker.exitcode}"
            self.deaths[way] += 1

    async def settle(self) -> None:
        """Let whoever comes next send what is left."""
        self.api.choose = None
        self.room.environ = dict(SWITCHES)
        for _ in range(5):
            report = await self.room.round()
            if not (report.waiting or report.problem):
                return
        raise AssertionError(f"something still waits: {report}")

    def acknowledged(self) -> set[str]:
        """What somebody was told is written."""
        return set((self.room.places.home / "acknowledged").read_text().split())

    def marks(self) -> dict[str, str]:
        """Every record on disk."""
        return {name: mark for session_id in (*OURS, THEIRS) for name, mark in self.room.marks(session_id).items()}

    def counted(self) -> Counter[str]:
        """How often each record was counted by a backend that knows repetitions by their keys."""
        found: Counter[str] = Counter()
        for body in self.api.counted.values():
            found.update(json.loads(body)["attributes"]["tool_names"])
        return found

    def differing(self) -> Iterator[str]:
        """Keys that came with different bytes."""
        first: dict[str, bytes] = {}
        for came in self.api.came:
            if first.setdefault(came.key, came.body) != came.body:
                yield came.key

    def problems(self) -> Iterator[str]:
        """What must not be, in words."""
        marks, counted = self.marks(), self.counted()
        if lost := self.acknowledged() - marks.keys():
            yield f"{len(lost)} written records are gone, such as {min(lost)}"
        if unmarked := [name for name, mark in marks.items() if mark != "synced"]:
            yield f"{len(unmarked)} records are not marked, such as {min(unmarked)}"
        if missing := marks.keys() - counted.keys():
            yield f"{len(missing)} records were not counted, such as {min(missing)}"
        if twice := [name for name, count in counted.items() if count > 1]:
            yield f"{len(twice)} records were counted more than once, such as {min(twice)}"
        if differing := list(self.differing()):
            yield f"{len(differing)} keys came with different bytes, such as {differing[0]}"
