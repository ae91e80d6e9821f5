"""The session that requests are signed with: held in memory, looked after on disk, judged by the gateway.

Looking costs a thread, so a good session is looked after at most once a second. A request that would have to be
refused always looks first, so that a sign-in counts from the next request on. However many requests ask at once, there
is one look, one read and one check at a time, and all of them share it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from codemie_core.errors import SettingsError
from codemie_core.redact import redact_text
from codemie_core.sso.backend import Verdict
from codemie_core.sso.session import Session

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds."""
LONGEST_LOOK = 5.0
"""Seconds that a request waits for a slow keyring, or a disk that is gone."""
REST = 30.0
"""Seconds for which a store that did not answer in time is left alone."""
LONGEST_CHECK = 3.0
REMEMBER_VERDICT = 30.0

type Load = Callable[[], tuple[Session | None, str]]
"""Reads the store: the session, and what is wrong with the store, in words. Called in a thread."""
type Check = Callable[[Session], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    task: asyncio.Task[None]
    reads: bool
    """Whether the files look changed or not."""


class Keeper:
    """`signature` changes when the stored session may have; it only looks at files and is called in a thread."""

    def __init__(
        self,
        load: Load,
        signature: Callable[[], object],
        check: Check,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._load, self._signature, self._check = load, signature, check
        self._clock, self._now = clock, now
        self.session: Session | None = None
        """The newest known, perhaps expired. The same object as long as nothing in it changes."""
        self.trouble = ""
        """What is wrong with the store, when something is."""
        self._seen: object = object()
        self._look_again = 0.0
        self._look: _Look | None = None
        self._judging = asyncio.Lock()
        self._judged: tuple[Session, Verdict, float] | None = None

    @property
    def usable(self) -> Session | None:
        """The session, unless it has expired."""
        session = self.session
        return None if session is None or session.expired(self._now()) else session

    def at_hand(self) -> Session | None:
        """A usable session that was looked after a moment ago; None means: ask `current`."""
        return self.usable if self._clock() < self._look_again else None

    async def current(self) -> Session | None:
        """The usable session after a look at the store."""
        await self._refresh(read=False)
        return self.usable

    async def renewed(self) -> Session | None:
        """The usable session after the store has been read anew, whether or not its files look changed."""
        await self._refresh(read=True)
        return self.usable

    async def verdict(self, session: Session) -> Verdict:
        """What the gateway says of this session, asked once in a while."""
        async with self._judging:
            if self._judged is not None:
                judged, verdict, until = self._judged
                if judged is session and self._clock() < until:
                    return verdict
            try:
                async with asyncio.timeout(LONGEST_CHECK):
                    verdict = await self._check(session)
            except Exception:
                verdict = Verdict.UNKNOWN
            self._judged = (session, verdict, self._clock() + REMEMBER_VERDICT)
            return verdict

    async def _refresh(self, read: bool) -> None:
        self._look_again = self._clock() + LOOK_EVERY
        before = self._look
        # A look that began before we asked may have missed what we were asked for: it is waited for, not counted.
        while self._look is None or self._look is before or (read and not self._look.reads):
            if self._look is None or self._look.task.done():
                self._look = _Look(asyncio.get_running_loop().create_task(self._look_now(read)), read)
            if not await self._finished(self._look.task):
                return
        await self._finished(self._look.task)

    async def _finished(self, look: asyncio.Task[None]) -> bool:
        finished, _ = await asyncio.wait({look}, timeout=LONGEST_LOOK)
        if not finished:
            self._look_again = self._clock() + REST
            self._note("the credential store does not answer")
        return bool(finished)

    async def _look_now(self, read: bool) -> None:
        try:
            found = await asyncio.to_thread(self._read, read)
        except SettingsError as problem:
            session, trouble = None, str(problem)
        except Exception as error:
            # Not its words: they may quote what it could not read.
            session, trouble = None, f"the credential store cannot be read ({type(error).__name__})"
        else:
            if found is None:
                return
            session, trouble = found
        self._note(trouble)
        if session is None and trouble and self.usable:
            return  # Caught while somebody writes it: the session we have is still good.
        if session != self.session:
            self.session = session

    def _read(self, anyway: bool) -> tuple[Session | None, str] | None:
        """In a thread: what is stored now, None when nothing has changed."""
        before = self._signature()
        if before == self._seen and not anyway:
            return None
        found = self._load()
        # Written while it was read: whatever the files look like next time, they are read again.
        self._seen = before if self._signature() == before else object()
        return found

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("The sign-in to CodeMie: %s", redact_text(trouble))
        self.trouble = trouble
