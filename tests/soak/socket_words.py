"""What is said over the soak's WebSockets: OpenAI's Responses API, with messages as large as they often are."""

import json
import random

LAST = "response.completed"
_TOOL = {"type": "function", "name": "exec_command", "description": "word " * 1200, "parameters": {}}
_ABOUT = {"type": "response.create", "model": "gpt-5", "stream": True, "tools": [_TOOL]}
WARM_UP = json.dumps({**_ABOUT, "generate": False, "input": []})
"""Codex opens each connection with it."""


def asked(dice: random.Random) -> str:
    """A turn, 6 to 26 KB."""
    said = "some line of a file that was read\n" * dice.randrange(600)
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}
    return json.dumps({**_ABOUT, "previous_response_id": "resp_1", "input": [item]})


def answered(number: int, deltas: int = 8) -> list[str]:
    """The messages of one answer."""
    head = {"id": f"resp_{number}", "object": "response", "model": "gpt-5"}
    usage = {
        "input_tokens": 5000,
        "input_tokens_details": {"cached_tokens": 4000},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5040,
    }
    text: dict[str, object] = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "delta": "a few words of an answer ",
    }
    last = {**head, "status": "completed", "output": [], "usage": usage}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress", "usage": None}},
        *[text] * deltas,
        {"type": LAST, "response": last},
    ]
    return [json.dumps({**event, "sequence_number": n}) for n, event in enumerate(events)]


LIMIT = json.dumps(
    {
        "type": "error",
        "status": 429,
        "error": {"type": "usage_limit_reached", "message": "A bad day.", "resets_in_seconds": 1},
    }
)
"""The account is limited: said in a message, when the connection has long been open."""
