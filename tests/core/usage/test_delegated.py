"""Prompts that the model writes for an agent it sends out."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.delegated import delegated_prompt

PROMPT = "Find all tests."


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("Agent", {"subagent_type": "Explore", "prompt": PROMPT}),
        ("Task", {"prompt": f"\n{PROMPT} "}),
        ("task", {"description": "tests", "prompt": PROMPT}),
        ("SendMessage", {"to": "a1", "summary": "tests", "message": PROMPT}),
        ("send_input", {"target": "a1", "message": PROMPT}),
        ("spawn_agent", {"agent_type": "worker", "message": PROMPT}),
    ],
)
def test_it_is_read_as_the_request_will_bring_it(name: str, arguments: dict[str, str]) -> None:
    assert delegated_prompt(ToolCall("a", name, json.dumps(arguments), 0)) == PROMPT


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("a", "Bash", '{"prompt": "x"}', 0),
        ToolCall("a", "Task", '{"prompt": 7}', 0),
        ToolCall("a", "Task", '{"prompt": "x', 0),
        ToolCall("a", "Task", '{"prompt": "x"}', 0, cut=True),
        ToolCall("a", "Task", "[]", 0),
    ],
)
def test_other_calls_delegate_nothing(call: ToolCall) -> None:
    assert delegated_prompt(call) == ""
