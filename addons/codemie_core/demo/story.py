"""The demo: seven scenes, played by a real proxy before a scripted upstream, each checked while it is shown."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from codemie_core.demo.proxy_process import StartFailed
from codemie_core.demo.scenes import SCENES, Scene
from codemie_core.demo.stage import SceneFailed, Stage, set_stage

_NEXT = """\
[bold]Next[/]
   codemie-proxy run claude                         your own agent, with a proxy for as long as it runs
   codemie-proxy start https://api.anthropic.com    a proxy that stays; it prints the lines that send agents there
   codemie-proxy status                             the proxies that run, and how they are
   codemie-proxy config init                        a settings file that explains every setting
   (from a checkout: ./run.sh in the place of codemie-proxy)"""


def tell(console: Console | None = None, scenes: Sequence[Scene] = SCENES) -> int:
    """Play the scenes; the exit code: 0, 1 when one of them failed, 130 when interrupted."""
    console = console or Console(highlight=False, width=None if os.isatty(1) else 120)
    try:
        return asyncio.run(_tell(console, scenes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("\n[yellow]Interrupted; everything the demo had started is ended.[/]")
        return 130


async def _tell(console: Console, scenes: Sequence[Scene]) -> int:
    task = asyncio.current_task()
    assert task is not None
    # SIGINT does this by itself (asyncio.run); without it these two would leave the proxies behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    began = time.monotonic()
    try:
        async with set_stage(console) as stage:
            played = [(scene.title, await _play(number, scene, stage)) for number, scene in enumerate(scenes, 1)]
    except StartFailed as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return 1
    console.print()
    failed = [title for title, went_well in played if not went_well]
    if failed:
        console.print(f"[red]Failed: {', '.join(failed)}.[/]")
        return 1
    console.print(f"[green]All {len(scenes)} scenes went as promised[/], in {time.monotonic() - began:.0f} s.\n")
    console.print(_NEXT)
    return 0


async def _play(number: int, scene: Scene, stage: Stage) -> bool:
    stage.console.print(f"\n[bold]{number}  {scene.title}[/]   [dim]{scene.about}[/]")
    try:
        await scene.play(stage)
    except SceneFailed as failure:
        stage.say(f"[red]failed:[/] {escape(str(failure))}")
        return False
    except Exception as error:
        # Whatever a client library raises when the proxy misbehaves is a failed scene, not a traceback.
        stage.say(f"[red]failed:[/] {escape(f'{type(error).__name__}: {error}')}")
        return False
    return True
