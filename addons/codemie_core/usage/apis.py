"""Which requests ask a model for a turn, and in which API's words."""

from __future__ import annotations

import re
from collections.abc import Mapping

ANTHROPIC = "anthropic"
CHAT = "openai-chat"
RESPONSES = "openai-responses"
GEMINI = "gemini"
MODEL_APIS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)

# Ends of paths, because gateways put prefixes before them. What hangs below them (count_tokens, batches, one stored
# response) is no turn; compacting a conversation is one, and billed.
_TURNS: Mapping[str, re.Pattern[str]] = {
    ANTHROPIC: re.compile(r"(?:/v1/messages|/publishers/anthropic/models/[^/]+:(?:streamR|r)awPredict)/?"),
    CHAT: re.compile(r"/chat/completions/?"),
    RESPONSES: re.compile(r"/responses(?:/compact)?/?"),
    GEMINI: re.compile(r":(?:g|streamG)enerateContent"),
}


def model_api(method: str, path: str) -> str:
    """The API of a model turn: "anthropic", "openai-chat", "openai-responses", "gemini"; "" for anything else.

    `path` may carry a prefix and a query. GET /v1/responses is a turn too: the handshake of a WebSocket.
    """
    bare = path.partition("?")[0]
    for api, end in _TURNS.items():
        if (found := end.search(bare)) and found.end() == len(bare):
            websocket = method == "GET" and api == RESPONSES and "/compact" not in found[0]
            return api if method == "POST" or websocket else ""
    return ""
