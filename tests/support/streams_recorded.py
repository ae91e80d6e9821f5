"""Answers that agents and SDKs were given and accepted, as they were recorded at their upstream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codemie_core.usage.answer import Answer, ToolCall
from codemie_core.usage.usage import Usage
from support.streams import EVERY_MS, Form, Rates, Shape
from support.streams_anthropic import OPUS_RATES, SONNET_RATES

FOLDER = Path(__file__).parent / "recorded"
_FORMS: dict[str, Form] = {".sse": "sse", ".json": "json", ".jsonl": "messages"}
SAID = len("RESULT:tok1234567890 -- end of the fake answer, all good.")
CODEX_RATES = Rates(input="1.25", output="10", cache_read="0.125")


def recorded(
    file: str, api: str, provider: str, rates: Rates | None, tokens: tuple[int, int] | None, **known: Any
) -> Shape:
    """`tokens`: the numbers of the events with the first and the last token, from 1."""
    path = FOLDER / file
    form, body = _FORMS[path.suffix], path.read_bytes()
    ends = {"sse": rb"(?<=\n\n)", "messages": rb"\n", "json": rb"(?!)"}
    parts = tuple(part for part in re.split(ends[form], body) if part)
    first, last = (number * EVERY_MS for number in tokens) if tokens else (None, None)
    count = 0 if form == "json" else len(parts)
    answer = Answer(events=count, first_token_ms=first, last_token_ms=last, complete=True, **known)
    name = f"recorded: {path.name}"
    return Shape(name, api, form, parts, (answer,), provider, answer.model, rates, api == "gemini")


def claude_code() -> Shape:
    written = '{"file_path": "project/clients/w/cap/claude-tool-rb3p8rfs03/hello.txt", "content": "hi_rb3p8rfs03"}'
    return recorded(
        "claude-code.sse",
        "anthropic",
        "anthropic",
        OPUS_RATES,
        (4, 23),
        model="claude-opus-4-8",
        response_id="msg_01bbba7e0218",
        stop_reason="tool_use",
        usage=Usage(input=3, cache_read=0, cache_write=19_124, cache_write_1h=0, output=37),
        tools=(ToolCall("toolu_01bbba7e0218", "Write", written, 0),),
        text_chars=len("I will write the file now."),
    )


def anthropic_sdk() -> Shape:
    return recorded(
        "anthropic-sdk.json",
        "anthropic",
        "anthropic",
        SONNET_RATES,
        None,
        model="claude-sonnet-4-5",
        response_id="msg_01a29c919bae",
        stop_reason="end_turn",
        usage=Usage(input=3, cache_read=0, cache_write=38, cache_write_1h=0, output=25),
        text_chars=SAID,
    )


def litellm() -> Shape:
    return recorded(
        "litellm-anthropic.sse",
        "anthropic",
        "anthropic",
        SONNET_RATES,
        (4, 9),
        model="claude-sonnet-4-5",
        response_id="msg_01f1555d3170",
        stop_reason="end_turn",
        usage=Usage(input=3, cache_read=0, cache_write=51, cache_write_1h=0, output=19),
        text_chars=SAID,
    )


def openai_sdk() -> Shape:
    return recorded(
        "openai-sdk-chat.sse",
        "openai-chat",
        "openai",
        Rates(input="2", output="8"),
        (2, 7),
        model="gpt-4.1",
        response_id="chatcmpl-02477a6cd3",
        stop_reason="stop",
        usage=Usage(input=45, cache_read=0, output=20, reasoning=0),
        text_chars=SAID,
    )


def opencode_chat() -> Shape:
    asked = (
        '{"command": "printf %s hi_rp8na7xcry > projectde-chat-tool-rp8na7xcry/hello.txt", "description": "write file"}'
    )
    return recorded(
        "opencode-chat.sse",
        "openai-chat",
        "openai",
        None,
        (2, 6),
        model="gpt-x",
        response_id="chatcmpl-e404c10da3",
        stop_reason="tool_calls",
        usage=Usage(input=7_521, cache_read=0, output=20, reasoning=0),
        tools=(ToolCall("call_e404c10da3", "bash", asked, 0),),
    )


def opencode_responses() -> Shape:
    return recorded(
        "opencode-responses.sse",
        "openai-responses",
        "openai",
        CODEX_RATES,
        (5, 10),
        model="gpt-5",
        response_id="resp_9679c128c95d624e",
        stop_reason="completed",
        usage=Usage(input=7_468, cache_read=0, output=20, reasoning=0),
        text_chars=SAID,
    )


def codex(file: str, id: str, call: str, run: str, read: int) -> Shape:
    asked = f'{{"cmd": "printf %s hi_{run} > project"}}'
    return recorded(
        file,
        "openai-responses",
        "openai",
        CODEX_RATES,
        (3, 7),
        model="gpt-5",
        response_id=id,
        stop_reason="completed",
        usage=Usage(input=read, cache_read=0, output=20, reasoning=0),
        tools=(ToolCall(call, "exec_command", asked, 0),),
    )


def gemini_cli() -> Shape:
    written = '{"file_path": "project", "content": "hi_rep410mi2z"}'
    return recorded(
        "gemini-cli.sse",
        "gemini",
        "google",
        Rates(input="0.75", output="3.75"),
        (1, 2),
        model="gemini-3.8-flash",
        response_id="re698195910",
        stop_reason="STOP",
        usage=Usage(input=11_594, output=12),
        tools=(ToolCall("", "write_file", written, 0),),
        text_chars=len("I will write the file."),
    )


def gemini_cli_router() -> Shape:
    return recorded(
        "gemini-cli-router.json",
        "gemini",
        "google",
        Rates(input="0.30", output="2.50"),
        None,
        model="gemini-3.5-flash-lite",
        response_id="r622b4e2271",
        stop_reason="STOP",
        usage=Usage(input=894, output=12),
        text_chars=len('{"complexity_reasoning": "fake", "complexity_score": 1}'),
    )


def shapes() -> Iterator[Shape]:
    """All of them."""
    makers = (claude_code, anthropic_sdk, litellm, openai_sdk, opencode_chat, opencode_responses)
    yield from (make() for make in (*makers, gemini_cli, gemini_cli_router))
    yield codex("codex.sse", "resp_7735c3cec145f7fc", "call_7735c3cec1", "rswsp9kl8u", 3_866)
    yield codex("codex.jsonl", "resp_b4b5d12cc5f59284", "call_b4b5d12cc5", "ruvj4w0m7e", 5_719)
