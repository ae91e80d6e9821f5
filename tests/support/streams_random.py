"""Answers that nobody thought of: any number of texts, thoughts and tools in any order, of any length, from dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from codemie_core.usage.answer import ToolCall
from support.streams import Shape, dumps
from support.streams_anthropic import Message
from support.streams_anthropic import counts as anthropic_counts
from support.streams_anthropic import usage as anthropic_usage
from support.streams_chat import Completion
from support.streams_chat import counts as chat_counts
from support.streams_chat import usage as chat_usage
from support.streams_gemini import Content
from support.streams_gemini import counts as gemini_counts
from support.streams_gemini import usage as gemini_usage
from support.streams_responses import Response
from support.streams_responses import counts as responses_counts
from support.streams_responses import usage as responses_usage

LETTERS = "abc 019\n\t\"\\/'{}[]:,<>&\u0000\u001f\u007f\u00a0\u2028äß世界🌍\ufeff"
"""What has to be escaped, what looks like structure, and what takes one to four bytes."""


def answer(dice: random.Random) -> Shape:
    """One answer of any API."""
    return dice.choice(MAKERS)(dice)


def _words(dice: random.Random, most: int = 60) -> str:
    return "".join(dice.choices(LETTERS, k=dice.randrange(1, most)))


def _arguments(dice: random.Random) -> str:
    return dumps({_words(dice, 9): dice.choice((_words(dice, 200), None, 1.5, [1, {"a": []}], True)) for _ in range(3)})


def _named(dice: random.Random, kind: str) -> str:
    return f"{kind}_{dice.randrange(10**9)}"


def _anthropic(dice: random.Random) -> Shape:
    tape = Message("random", "anthropic")
    read, short, long = (dice.choice((0, dice.randrange(100_000))) for _ in range(3))
    prompt = dice.randrange(100_000)
    tape.start("m", anthropic_counts(prompt, 1, read, short, long), **anthropic_usage(prompt, 1, read, short, long))
    for index in range(dice.randrange(5)):
        match dice.randrange(5):
            case 0:
                tape.thinking(index, _words(dice))
            case 1 | 2:
                tape.text(index, _words(dice), dice.randrange(1, 20))
            case _:
                tape.tool(index, _named(dice, "toolu"), _named(dice, "tool"), _arguments(dice), dice.randrange(1, 90))
        if dice.random() < 0.3:
            dice.choice((tape.ping, tape.comment))()
    output = dice.randrange(1, 9_999)
    tape.end(dice.choice(("end_turn", "tool_use", "max_tokens")), {"output_tokens": output}, output=output)
    return tape.shape()


def _chat(dice: random.Random) -> Shape:
    tape = Completion("random", "openai-chat")
    tape.role()
    if dice.random() < 0.7:
        tape.say(_words(dice), size=dice.randrange(1, 20))
    for number in range(dice.choice((0, 0, 1, 3))):
        tape.tool(number, _named(dice, "call"), _named(dice, "tool"), _arguments(dice), dice.randrange(1, 90))
    tape.delta({}, finish="tool_calls" if tape.now.tools else "stop")
    if dice.random() < 0.8:
        prompt, output = dice.randrange(1, 100_000), dice.randrange(1, 9_999)
        parts = (dice.randrange(prompt), dice.randrange(output))
        tape.used_up(chat_counts(prompt, output, *parts), **chat_usage(prompt, output, *parts))
    tape.done()
    return tape.shape()


def _responses(dice: random.Random) -> Shape:
    tape = Response("random", dice.choice(("sse", "sse", "messages")))
    tape.start()
    for _ in range(dice.randrange(5)):
        match dice.randrange(5):
            case 0:
                tape.reason(_words(dice))
            case 1 | 2:
                tape.say(_words(dice), dice.randrange(1, 20))
            case 3:
                tape.search({"type": dice.choice(("search", "open_page")), "query": _words(dice)})
            case _:
                custom = dice.random() < 0.5
                said = _words(dice, 300) if custom else _arguments(dice)
                tape.call(_named(dice, "call"), _named(dice, "tool"), said, custom, dice.randrange(1, 90))
    prompt, output = dice.randrange(1, 100_000), dice.randrange(1, 9_999)
    parts = (dice.randrange(prompt), dice.randrange(output))
    tape.end(responses_counts(prompt, output, *parts), responses_usage(prompt, output, *parts))
    return tape.shape()


def _gemini(dice: random.Random) -> Shape:
    tape = Content("random", dice.choice(("sse", "array")))
    prompt, made, thoughts = dice.randrange(10, 100_000), 0, 0
    cached = dice.choice((0, dice.randrange(prompt)))
    last = dice.randrange(1, 8)
    for number in range(1, last + 1):
        made += dice.randrange(1, 50)
        finish = "STOP" if number == last else ""
        match dice.randrange(4):
            case 0:
                thoughts += dice.randrange(1, 50)
                _chunk(tape, {"text": _words(dice), "thought": True}, (prompt, made, thoughts, cached), finish)
            case 1:
                call = {"name": _named(dice, "tool"), "args": {"a": _words(dice), "b": [1, None]}}
                _chunk(tape, {"functionCall": call}, (prompt, made, thoughts, cached), finish)
            case _:
                _chunk(tape, {"text": _words(dice)}, (prompt, made, thoughts, cached), finish)
    tape.close()
    return tape.shape(objects=True)


def _chunk(tape: Content, part: dict[str, Any], known: tuple[int, int, int, int], finish: str) -> None:
    told: dict[str, Any] = {"usage": gemini_usage(*known)}
    if call := part.get("functionCall"):
        whole = ToolCall("", call["name"], dumps(call["args"]), len(tape.now.tools))
        told |= {"tools": (*tape.now.tools, whole), "token": True}
    elif part.get("thought"):
        told["token"] = True
    else:
        told["said"] = part["text"]
    tape.part(part, gemini_counts(*known), finish, **told)


MAKERS: tuple[Callable[[random.Random], Shape], ...] = (_anthropic, _chat, _responses, _gemini)
