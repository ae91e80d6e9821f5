"""Turns that are all different, by number: what is asked, what is answered, and what must be kept of it."""

import json
from collections.abc import Mapping

MODEL = "claude-sonnet-4-5"
STAY = 25
"""Turns of one conversation."""
NANO_USD = {"input": 3_000, "cache_read": 300, "cache_write": 3_750, "output": 15_000}
"""Of one token of the model, as its provider publishes them."""


def tokens(number: int) -> dict[str, int]:
    """What the answer says it used."""
    return {
        "input": number % 997,
        "cache_read": number * 7 % 5_003,
        "cache_write": number * 13 % 307,
        "output": number % 411 + 1,
    }


def tools(number: int) -> list[str]:
    """The ids of the tools it calls."""
    return [f"toolu_{number}_{index}" for index in range(number % 3)]


def went_well(call: str) -> bool:
    """What the next request says of it."""
    return sum(call.encode()) % 4 != 0


def is_streamed(number: int) -> bool:
    """Is it an event stream?"""
    return number % 2 == 0


def is_last(number: int, turns: int) -> bool:
    """Does nobody tell how its tools went?"""
    return number % STAY == STAY - 1 or number == turns - 1


def asked(number: int) -> bytes:
    """The request's body. It brings the results of the turn before."""
    messages: list[object] = [{"role": "user", "content": f"Begin {number}. " * 200}]
    if number % STAY and (calls := tools(number - 1)):
        uses = [
            {"type": "tool_use", "id": call, "name": "Read", "input": {"file_path": f"{call}.py"}} for call in calls
        ]
        results = [
            {"type": "tool_result", "tool_use_id": call, "content": "text", "is_error": not went_well(call)}
            for call in calls
        ]
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    told = {"model": f"asked-{number}", "max_tokens": 64, "stream": is_streamed(number), "messages": messages}
    return json.dumps(told).encode()


def answered(number: int) -> bytes:
    """The whole response."""
    used = tokens(number)
    usage = {
        "input_tokens": used["input"],
        "cache_read_input_tokens": used["cache_read"],
        "cache_creation_input_tokens": used["cache_write"],
    }
    calls = [
        {"type": "tool_use", "id": call, "name": "Read", "input": {"file_path": f"{call}.py"}} for call in tools(number)
    ]
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODEL}
    stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    if not is_streamed(number):
        text = {"type": "text", "text": "Fine."}
        usage["output_tokens"] = used["output"]
        body = json.dumps({**message, **stop, "content": [text, *calls], "usage": usage}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body
    events: list[Mapping[str, object]] = [
        {"type": "message_start", "message": {**message, "content": [], "usage": {**usage, "output_tokens": 1}}}
    ]
    for index, call in enumerate(calls):
        start, delta = {**call, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(call["input"])}
        events += [
            {"type": "content_block_start", "index": index, "content_block": start},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    events += [
        {"type": "message_delta", "delta": stop, "usage": {"output_tokens": used["output"]}},
        {"type": "message_stop"},
    ]
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return begin + b"".join(_chunk(event) for event in events) + b"0\r\n\r\n"


def _chunk(event: Mapping[str, object]) -> bytes:
    data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)
