"""Running the checks: none takes longer than it may, and none takes the others down."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from codemie_core.doctor.finding import Finding, Room, warning
from codemie_core.doctor.surroundings import Surroundings
from codemie_core.redact import redact_text

SECONDS = 10.0


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
    wanted = [check for check in checks if not (check.far and around.offline)]
    # Those that wait for somebody else begin first. The others take turns: they import, and they have one processor.
    begun = {check.id: _begin(check, around) for check in wanted if check.far}
    for check in wanted:
        if not check.far:
            begun[check.id] = _begin(check, around)
            begun[check.id].wait()
    return [finding for check in wanted for finding in begun[check.id].findings()]


class _Looking:
    """One check at work. Its thread is left to itself when it takes too long: it ends with the process."""

    def __init__(self, check: Check, around: Surroundings) -> None:
        self._check, self._around = check, around
        self._found: list[Finding] | None = None
        self._until = time.monotonic() + check.seconds
        self._thread = threading.Thread(target=self._look, name=f"doctor {check.id}", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        self._thread.join(max(0.0, self._until - time.monotonic()))

    def findings(self) -> list[Finding]:
        self.wait()
        found = self._found
        if found is None:
            words = f"could not be looked at within {self._check.seconds:g} s"
            found = [warning(self._check.id, words, "try again; what it looks at hangs")]
        return [dataclasses.replace(one, room=self._check.room) for one in found]

    def _look(self) -> None:
        try:
            self._found = list(self._check.run(self._around))
        except BaseException as error:
            # What one check dies of is a finding, not the end of the others. Its words may quote what it read.
            words = f"could not be looked at: {type(error).__name__}: {redact_text(str(error))[:300]}"
            self._found = [warning(self._check.id, words, "mend what it names; if it is a mistake of ours, report it")]


def _begin(check: Check, around: Surroundings) -> _Looking:
    return _Looking(check, around)
