"""Writes docs/pictures/top.svg, by textual itself: `PYTHONPATH=addons:tests python -m support.top_picture`.

The week in it is made up; the requests under way are real ones, to a scripted upstream.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from codemie_core.demo.script import Step
from codemie_core.top.app import DARK, LIGHT, Top
from codemie_core.top.attachment import Wanted
from support.dashboard import AGENTS, Dashboard, asking, dashboard
from support.histories import until
from support.pictures import PICTURES, WORDS, home_of_nobody

SIZE = (80, 24)
_FONT = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
_SWITCH = ".dark {display: none} @media (prefers-color-scheme: dark) {.light {display: none} .dark {display: inline}}"


def main(folder: Path = PICTURES) -> Path:
    """Write it."""
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        stack.enter_context(home_of_nobody(room))
        dash = stack.enter_context(dashboard())
        dash.upstream.call(dash.upstream.upstream.script, then=Step(events=400, interval=0.15))
        for agent in AGENTS:
            stack.enter_context(asking(dash, WORDS, agent))
        light, dark = asyncio.run(_taken(dash))
    path = folder / "top.svg"
    path.write_text(for_light_and_dark(light, dark), "utf-8")
    return path


def for_light_and_dark(light: str, dark: str) -> str:
    """One picture of two: which of them is seen is up to the page around it. It fetches nothing."""
    [box] = re.findall(r'viewBox="([^"]+)"', light)
    shown = "".join(f'<g class="{name}">{_body(each)}</g>\n' for name, each in (("light", light), ("dark", dark)))
    return f'<svg viewBox="{box}" xmlns="http://www.w3.org/2000/svg">\n<style>{_SWITCH}</style>\n{shown}</svg>\n'


def _body(svg: str) -> str:
    inner = svg.partition(">")[2].rpartition("</svg>")[0]
    return "\n".join(line.rstrip() for line in _FONT.sub("", inner).splitlines() if line.strip())


async def _taken(dash: Dashboard) -> list[str]:
    app = Top(Wanted(dash.home.places, os.environ, may_start=False))
    taken = []
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: app.board.open and app.board.sessions and app.board.totals.requests, 60)
        for theme in (LIGHT, DARK):
            app.theme = theme
            app.draw()
            await pilot.pause()
            taken.append(app.export_screenshot(title="codemie-proxy top"))
    return taken


if __name__ == "__main__":
    sys.stdout.write(f"{main()}\n")
