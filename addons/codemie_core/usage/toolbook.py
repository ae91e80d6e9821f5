"""Remembers, by conversation, which tools were called until a later request tells how they went."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from codemie_core.usage.asked import Asked, ToolResult
from codemie_core.usage.delegated import delegated_prompt
from codemie_core.usage.operation import FileOperation
from codemie_core.usage.record import ToolDone, ToolUse
from codemie_core.usage.trail import digest

CONVERSATIONS = 1000
CALLS = 200
"""Per conversation: calls without a result, and as many results that were told."""
PROMPTS = 50
"""Per conversation."""
DELEGATED = 1000
SAME_PROMPT = 3600.0
"""Seconds in which a prompt that comes again is a retry: an agent may wait an hour for its limits."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A call without its arguments: those may be large."""

    name: str
    record_id: str
    files: tuple[FileOperation, ...]


@dataclass(slots=True)
class _Page:
    named: OrderedDict[str, _Open] = field(default_factory=OrderedDict)
    nameless: OrderedDict[int, _Open] = field(default_factory=OrderedDict)
    """Calls that came without an id, by the order in which they came."""
    told: OrderedDict[str, None] = field(default_factory=OrderedDict)
    prompts: OrderedDict[str, float] = field(default_factory=OrderedDict)
    folder: str = ""
    branch: str = ""


class ToolBook:
    """For one thread. What it forgets stays unknown; it never tells of a call twice."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._delegated: OrderedDict[str, None] = OrderedDict()
        self._calls = 0

    def called(self, conversation: str, record_id: str, tools: Sequence[ToolUse]) -> None:
        """The model called these in the turn of this record."""
        page = self._page(conversation)
        for tool in tools:
            known = _Open(tool.call.name, record_id, tool.files)
            if tool.call.id:
                # Some servers count their ids anew in every answer: this is another call than the one that was told.
                page.told.pop(tool.call.id, None)
                _keep(page.named, tool.call.id, known, CALLS)
            else:
                self._calls += 1
                _keep(page.nameless, self._calls, known, CALLS)
            if prompt := delegated_prompt(tool.call):
                _keep(self._delegated, digest(prompt), None, DELEGATED)

    def paired(self, conversation: str, results: Sequence[ToolResult]) -> tuple[ToolDone, ...]:
        """Each call once, by its id; by its name, the oldest first, where the model gave no id.

        A result of a call this book does not know (made before this process) is told too, if it bears an id.
        """
        if not results:
            return ()
        page = self._page(conversation)
        return tuple(done for result in results if (done := _done(page, result)))

    def new_prompt(self, conversation: str, mark: str) -> bool:
        """Is it a person's, and not one that was just counted and is sent again?"""
        if mark.rpartition(".")[2] in self._delegated:
            return False
        seen, now = self._page(conversation).prompts, self._clock()
        before = seen.get(mark)
        _keep(seen, mark, now, PROMPTS)
        return before is None or now - before > SAME_PROMPT

    def placed(self, conversation: str, asked: Asked) -> Asked:
        """The same, with the folder and branch of an earlier request where this one does not say them.

        Turns of a WebSocket bring only what is new.
        """
        if not (asked.folder or conversation in self._pages):
            return asked
        page = self._page(conversation)
        if asked.folder:
            page.folder, page.branch = asked.folder, asked.branch
            return asked
        return replace(asked, folder=page.folder, branch=asked.branch or page.branch)

    def _page(self, conversation: str) -> _Page:
        page = self._pages.get(conversation) or _Page()
        _keep(self._pages, conversation, page, CONVERSATIONS)
        return page


def _done(page: _Page, result: ToolResult) -> ToolDone | None:
    if result.id:
        if result.id in page.told:
            return None
        _keep(page.told, result.id, None, CALLS)
        if found := page.named.pop(result.id, None):
            return _told(result, result.id, found)
    # Gemini's model gives no ids, its clients may invent them: then the name is all there is.
    oldest = next((key for key, call in page.nameless.items() if call.name == result.name), None)
    if oldest is not None:
        return _told(result, result.id, page.nameless.pop(oldest))
    return ToolDone(result.id, result.name, result.ok) if result.id else None


def _told(result: ToolResult, id_: str, call: _Open) -> ToolDone:
    return ToolDone(id_, call.name or result.name, result.ok, call.record_id, call.files)


def _keep[Key, Value](kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    """The newest last; the oldest goes."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
