"""What a request asks for: model, stream, whether a person speaks in it, and how the called tools went."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codemie_core.usage.apis import ANTHROPIC, CHAT, GEMINI, RESPONSES
from codemie_core.usage.asked import Asked
from codemie_core.usage.asking_anthropic import asked_of_anthropic
from codemie_core.usage.asking_chat import asked_of_chat
from codemie_core.usage.asking_gemini import asked_of_gemini
from codemie_core.usage.asking_responses import asked_of_responses

_READ: Mapping[str, Callable[[str, Mapping[str, object]], Asked]] = {
    ANTHROPIC: asked_of_anthropic,
    CHAT: asked_of_chat,
    RESPONSES: asked_of_responses,
    GEMINI: asked_of_gemini,
}


def asked_of(api: str, path: str, body: object) -> Asked | None:
    """Of the parsed body of a request, or the parsed message of a WebSocket; None when it asks for no turn.

    `api` is one of `apis.MODEL_APIS`. Never raises, whatever the body holds.
    """
    read = _READ.get(api)
    return read(path, body) if read and isinstance(body, dict) else None
