"""Running the checks: none takes longer than it may, nor do all; none takes the others down, none shows a secret."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from codemie_core.doctor.finding import Finding, Room, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.redact import redact_quoted, redact_text

SECONDS = 10.0
ALL_SECONDS = 60.0
"""For all of them together: what makes one hang, a disk that has gone, may do so to each of the others."""


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one thing. `network` checks go on beside the others; `offline` leaves those with `far` out."""

    id: str
    room: Room
    run: Callable[[Surroundings], Iterable[Finding]]
    seconds: float = SECONDS
    far: bool = False
    """Does it ask anybody beyond this machine?"""


def examine(checks: Sequence[Check], around: Surroundings) -> list[Finding]:
    """The findings of all checks, in their order."""
    until = time.monotonic() + ALL_SECONDS
    wanted = [check for check in checks if not (check.far and around.offline)]
    # First of all, as whoever reads the register takes out what the report is to tell of.
    _Looking(Check("register", "Proxies", _registered, SECONDS), around, until).wait()
    # Those that wait for somebody else begin first. The others take turns: they import, and they have one processor.
    begun = {check.id: _Looking(check, around, until) for check in wanted if check.far}
    for check in wanted:
        if not check.far:
            begun[check.id] = _Looking(check, around, until)
            begun[check.id].wait()
    return [finding for check in wanted for finding in begun[check.id].findings()]


class _Looking:
    """One check at work. Its thread is left to itself when it takes too long: it ends with the process.

    `until` is the end for all of them; after it none is begun.
    """

    def __init__(self, check: Check, around: Surroundings, until: float) -> None:
        self._check, self._around = check, around
        self._found: list[Finding] = []
        now = time.monotonic()
        self._seconds = min(check.seconds, until - now)
        self._until = now + self._seconds
        self._thread = threading.Thread(target=self._look, name=f"doctor {check.id}", daemon=True)
        if self._seconds > 0:
            self._thread.start()

    def wait(self) -> None:
        if self._seconds > 0:
            self._thread.join(max(0.0, self._until - time.monotonic()))

    def findings(self) -> list[Finding]:
        self.wait()
        hangs, found = self._thread.is_alive(), list(self._found)
        if self._seconds <= 0:
            words = f"was not looked at: the checks before took all of the {ALL_SECONDS:g} s"
            found.append(warning(self._check.id, words, "mend what hangs above, and try again"))
        elif hangs:
            words = f"could not be looked at{' any further' if found else ''} within {round(self._seconds, 1):g} s"
            found.append(warning(self._check.id, words, "try again; what it looks at hangs"))
        return [self._shown(one) for one in found]

    def _shown(self, one: Finding) -> Finding:
        """What is told may quote a setting or a file that somebody put a password into."""
        return dataclasses.replace(one, what=redact_quoted(one.what), fix=redact_quoted(one.fix), room=self._check.room)

    def _look(self) -> None:
        try:
            for one in self._check.run(self._around):
                self._found.append(one)
        except BaseException as error:
            # What one check dies of is a finding, not the end of the others.
            words = f"could not be looked at: {type(error).__name__}: {redact_text(str(error))[:300]}"
            fix = "mend what it names; if it is a mistake of ours, report it"
            self._found.append(warning(self._check.id, words, fix))


def _registered(around: Surroundings) -> Iterable[Finding]:
    _ = around.register
    return ()
