"""The scene of the history: a conversation with a prompt cache and a tool, and what it cost to the last digit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.markup import escape

from codemie_core.demo.accounts_scene import KEYS
from codemie_core.demo.frames import sse
from codemie_core.demo.received import Received
from codemie_core.demo.script import Step
from codemie_core.demo.stage import Stage, poll, require

MODEL = "claude-opus-4-6"
CONVERSATION = {"x-claude-code-session-id": "conversation-cost"}
LAST = ("stats", "--last-session")


@dataclass(frozen=True, slots=True)
class Tokens:
    """One number for each way in which tokens are billed: how many, or what one costs."""

    input: int
    cache_read: int
    cache_write: int
    output: int

    def shown(self) -> str:
        """Like "312 new, ..."."""
        cached = f"{self.cache_read:,} from its cache, {self.cache_write:,} written to it"
        return f"{self.input:,} new, {cached}, {self.output:,} generated"


PRICE = Tokens(5_000, 500, 6_250, 25_000)
"""Billionths of a dollar for one token, as Anthropic published it for this model on 2026-02-05."""
TURNS = (Tokens(312, 0, 11_840, 96), Tokens(9, 12_152, 214, 41))
"""What the upstream says that each turn used."""

EDIT = {
    "file_path": "src/tax.py",
    "old_string": "rate = 0.20\ntax = amount * rate\n",
    "new_string": "rate = rate_of(country)\ntax = round(amount * rate, 2)\nassert tax >= 0\n",
}
QUESTION = {"role": "user", "content": "Round the tax."}
CALL: Mapping[str, Any] = {"type": "tool_use", "id": "toolu_demo1", "name": "Edit", "input": EDIT}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_demo1", "content": "The file has been updated."}
TEXT: Mapping[str, Any] = {"type": "text", "text": "Done: it is rounded to cents."}


async def what_it_cost(stage: Stage) -> None:
    """The history has what the upstream said, and the price list's product of it."""
    call, words = list(_events(1, CALL, TURNS[0])), list(_events(2, TEXT, TURNS[1]))
    steps = iter((Step(events=call), Step(events=words)))

    def answer(_: Received) -> Step:
        return next(steps, Step())

    stage.upstream.script(then=answer)
    stage.upstream.script_for(KEYS["first"], then=answer)  # its limit belongs to the scene before
    await _ask(stage, call, QUESTION)
    await _ask(stage, words, QUESTION, {"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]})
    for number, tokens in enumerate(TURNS, 1):
        stage.say(f"turn {number}   the upstream says: {tokens.shown()}")

    async def told() -> dict[str, Any]:
        session: dict[str, Any] = json.loads(await stage.proxy.command(*LAST, "--json"))
        return session

    _compare(await poll(told, lambda session: session.get("requests") == len(TURNS)))
    stage.say(f"[dim]$[/] codemie-proxy {' '.join(LAST)}")
    for line in (await stage.proxy.command(*LAST)).splitlines():
        stage.say(f"[cyan]{escape(line.rstrip())}[/]")
    exact = f"${expected_cost() / 10**9:.9f}".rstrip("0")
    stage.say(f"Every number is the upstream's own, and {exact} is the price list's product of them.")


def expected_cost() -> int:
    """Billionths of a dollar, worked out here and not by the proxy."""
    return sum(
        tokens.input * PRICE.input
        + tokens.cache_read * PRICE.cache_read
        + tokens.cache_write * PRICE.cache_write
        + tokens.output * PRICE.output
        for tokens in TURNS
    )


async def _ask(stage: Stage, frames: list[bytes], *messages: Mapping[str, Any]) -> None:
    body = {
        "model": MODEL,
        "max_tokens": 1000,
        "stream": True,
        "system": "Working directory: /srv/demo/shop",
        "tools": [{"name": "Edit", "input_schema": {"type": "object"}}],
        "messages": messages,
    }
    answer = await stage.client.post(f"{stage.proxy.url}/v1/messages", json=body, headers=CONVERSATION)
    require(answer.status_code == 200 and answer.content == b"".join(frames), "the client got each turn as it was sent")


def _compare(session: Mapping[str, Any]) -> None:
    require(session.get("requests") == len(TURNS), "the last session has both turns")
    for name in ("input", "cache_read", "cache_write", "output"):
        said, kept = sum(getattr(tokens, name) for tokens in TURNS), session.get(f"{name}_tokens")
        require(kept == said, f"the history has the upstream's {name} tokens ({said}, not {kept})")
    cost = session.get("cost_nano_usd")
    require(cost == expected_cost(), f"the cost is the price list's ({expected_cost()} billionths, not {cost})")
    tools = [(tool["name"], tool["calls"], tool["ok"]) for tool in session.get("tools", ())]
    require(tools == [("Edit", 1, 1)], "the history knows the tool's call and that it went well")
    files = [(file["path"], file["lines_added"], file["lines_removed"]) for file in session.get("files", ())]
    require(files == [(EDIT["file_path"], 3, 2)], "the history knows the lines that the tool changed")


def _events(number: int, content: Mapping[str, Any], tokens: Tokens) -> Iterator[bytes]:
    """One block, a tool's arguments in pieces; the output is told twice, and the later number counts."""
    usage = {
        "input_tokens": tokens.input,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write,
    }
    message = {"id": f"msg_cost{number}", "type": "message", "role": "assistant", "model": MODEL, "content": []}
    yield _event("message_start", message={**message, "usage": {**usage, "output_tokens": 1}})
    calls = content["type"] == "tool_use"
    opened = {**content, "input": {}} if calls else {**content, "text": ""}
    yield _event("content_block_start", index=0, content_block=opened)
    pieces = json.dumps(EDIT) if calls else content["text"]
    kind, key = ("input_json_delta", "partial_json") if calls else ("text_delta", "text")
    for start in range(0, len(pieces), 24):
        yield _event("content_block_delta", index=0, delta={"type": kind, key: pieces[start : start + 24]})
    yield _event("content_block_stop", index=0)
    end = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=end, usage={"output_tokens": tokens.output})
    yield _event("message_stop")


def _event(kind: str, **fields: object) -> bytes:
    return sse({"type": kind, **fields}, kind)
