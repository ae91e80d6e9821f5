"""Finds tasks that outlive what started them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


def leftover_tasks(folder: str = "codemie_core") -> list[asyncio.Task[object]]:
    """Return the tasks of the running loop whose coroutine is written in a path with `folder` in it."""
    return [task for task in asyncio.all_tasks() if folder in _source(task)]


def _source(task: asyncio.Task[object]) -> str:
    work = task.get_coro()
    return work.cr_code.co_filename if isinstance(work, Coroutine) and hasattr(work, "cr_code") else ""
