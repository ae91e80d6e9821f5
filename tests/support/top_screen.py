"""`top` on a screen of its own: textual's driver, with an admin API that the test steers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from codemie_core.places import Places
from codemie_core.running import RunningProxy, this_process, write_entry
from codemie_core.top.app import Top
from codemie_core.top.attachment import Wanted
from support.histories import until
from support.top_admin import NOW, TopAdmin

SIZE = (80, 24)


@dataclass(slots=True)
class Screen:
    """What somebody in front of it sees and does."""

    app: Top
    pilot: Pilot[str]

    @property
    def text(self) -> str:
        """All lines of it."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def shows(self, *words: str, within: float = 60.0) -> None:
        """Wait until all of these are on it."""
        try:
            await until(lambda: all(each in self.text for each in words), within)
        except TimeoutError:
            raise AssertionError(f"{words} are not on the screen:\n{self.text}") from None

    async def press(self, *keys: str) -> None:
        """Keys, by textual's names."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Characters, as they are."""
        await self.pilot.press(*("space" if each == " " else each for each in text))


def register(home: Path, name: str = "run-1", port: int = 8080, admin_port: int | None = 4242) -> RunningProxy:
    """A proxy that runs: in the register as this process, with a token."""
    places = Places(home)
    pid, started = this_process()
    modes = ("reverse:https://api.anthropic.com",)
    entry = RunningProxy(name, pid, started, NOW - 4000, (f"127.0.0.1:{port}",), modes, "1", admin_port)
    write_entry(places, entry)
    places.write_private(places.proxy / "admin.token", b"planted-token-" * 4)
    return entry


@asynccontextmanager
async def screen(
    home: Path, admin: TopAdmin, size: tuple[int, int] = SIZE, clock: float = NOW, **wanted: object
) -> AsyncIterator[Screen]:
    """`top` as it stands a moment after it was started."""
    asked = Wanted(Places(home), {}, may_start=False, **wanted)  # type: ignore[arg-type]  # as the test says
    app = Top(asked, lambda port, _: admin.connect(port, "planted-token"), lambda: clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Screen(app, pilot)
