"""The reader of each API's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codemie_core.usage.anthropic import AnthropicReader
from codemie_core.usage.apis import ANTHROPIC, CHAT, GEMINI, RESPONSES
from codemie_core.usage.chat import ChatReader
from codemie_core.usage.gemini import GeminiReader
from codemie_core.usage.reader import Reader
from codemie_core.usage.responses import ResponsesReader

_READERS: Mapping[str, Callable[[], Reader]] = {
    ANTHROPIC: AnthropicReader,
    CHAT: ChatReader,
    RESPONSES: ResponsesReader,
    GEMINI: GeminiReader,
}


def reader_for(api: str) -> Reader | None:
    """A fresh reader for one answer in this API; None for an API without one."""
    make = _READERS.get(api)
    return make() if make else None
