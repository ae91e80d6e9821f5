"""An agent in a few lines for each Python SDK: streams, runs the tool it is asked for, goes on. A process of its own.

`python -m support.agents_sdk SDK PROMPT [--again]`: the last words go to stdout. What was said is kept in a file of the
working directory, where `--again` finds it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.agents_wire import MODELS

TOOL = "run_shell"
_ABOUT = "Run a command in a shell"
_SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
_KEPT = Path("sdk-history.json")
_STEPS = 8

type History = list[Any]
type Turn = Callable[[History], dict[str, str] | None]
"""One model turn: prints its words as they come, appends to the history; the command and id of a call, or None."""


def anthropic_turn(history: History) -> dict[str, str] | None:
    import anthropic

    client = anthropic.Anthropic()
    tools: Any = [{"name": TOOL, "description": _ABOUT, "input_schema": _SCHEMA}]
    with client.messages.stream(model=MODELS["anthropic"], max_tokens=500, messages=history, tools=tools) as stream:
        for text in stream.text_stream:
            _say(text)
        message = stream.get_final_message()
    history.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]})
    for block in message.content:
        if block.type == "tool_use":
            return {"id": block.id, "command": str(block.input["command"])}
    return None


def anthropic_result(history: History, call: dict[str, str], output: str) -> None:
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": output}
    history.append({"role": "user", "content": [result]})


def responses_turn(history: History) -> dict[str, str] | None:
    import openai

    tools: Any = [{"type": "function", "name": TOOL, "description": _ABOUT, "parameters": _SCHEMA, "strict": False}]
    found = None
    with openai.OpenAI().responses.stream(model=MODELS["responses"], input=history, tools=tools) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                _say(event.delta)
        final = stream.get_final_response()
    for item in final.output:
        if item.type == "function_call":
            history.append({"type": item.type, "call_id": item.call_id, "name": item.name, "arguments": item.arguments})
            found = {"id": item.call_id, "command": json.loads(item.arguments)["command"]}
    if found is None:
        history.append({"role": "assistant", "content": final.output_text})
    return found


def responses_result(history: History, call: dict[str, str], output: str) -> None:
    history.append({"type": "function_call_output", "call_id": call["id"], "output": output})


def chat_turn(history: History) -> dict[str, str] | None:
    import openai

    tools: Any = [{"type": "function", "function": {"name": TOOL, "description": _ABOUT, "parameters": _SCHEMA}}]
    with openai.OpenAI().chat.completions.stream(
        model=MODELS["chat"], messages=history, tools=tools, stream_options={"include_usage": True}
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                _say(event.delta)
        message = stream.get_final_completion().choices[0].message
    history.append({"role": "assistant", "content": message.content})
    for call in message.tool_calls or ():
        function = {"name": call.function.name, "arguments": call.function.arguments}
        history[-1]["tool_calls"] = [{"id": call.id, "type": "function", "function": function}]
        return {"id": call.id, "command": json.loads(call.function.arguments)["command"]}
    return None


def chat_result(history: History, call: dict[str, str], output: str) -> None:
    history.append({"role": "tool", "tool_call_id": call["id"], "content": output})


def gemini_turn(history: History) -> dict[str, str] | None:
    from google import genai
    from google.genai import types

    declared = types.FunctionDeclaration(name=TOOL, description=_ABOUT, parameters_json_schema=_SCHEMA)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    found = None
    parts: list[dict[str, Any]] = []
    with genai.Client() as client:
        for chunk in client.models.generate_content_stream(model=MODELS["gemini"], contents=history, config=config):
            for part in chunk.parts or ():
                if part.function_call:
                    found = {"id": "", "command": str((part.function_call.args or {})["command"])}
                elif part.text:
                    _say(part.text)
                parts.append(part.model_dump(mode="json", exclude_none=True, by_alias=True))
    history.append({"role": "model", "parts": parts})
    return found


def gemini_result(history: History, call: dict[str, str], output: str) -> None:
    response = {"name": TOOL, "response": {"output": output}}
    history.append({"role": "user", "parts": [{"functionResponse": response}]})


SDKS: dict[str, tuple[Turn, Callable[[History, dict[str, str], str], None]]] = {
    "anthropic": (anthropic_turn, anthropic_result),
    "responses": (responses_turn, responses_result),
    "chat": (chat_turn, chat_result),
    "gemini": (gemini_turn, gemini_result),
}


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(sdk: str, prompt: str, again: bool) -> None:
    """Until the model calls no tool."""
    turn, result = SDKS[sdk]
    history: History = json.loads(_KEPT.read_text()) if again else []
    said = {"parts": [{"text": prompt}]} if sdk == "gemini" else {"content": prompt}
    history.append({"role": "user", **said})
    for _ in range(_STEPS):
        call = turn(history)
        _KEPT.write_text(json.dumps(history))
        if call is None:
            return
        done = subprocess.run(
            ["sh", "-c", call["command"]], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        result(history, call, done.stdout + done.stderr)
    sys.exit("the model does not come to an end")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--again" in sys.argv[3:])
