"""File operations by agent and tool; whatever the arguments hold."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codemie_core import agents
from codemie_core.usage import files_claude, files_codex, files_gemini, files_opencode
from codemie_core.usage.answer import ToolCall
from codemie_core.usage.files import MOST_FILES, file_operations

TOOLS = {
    "claude": files_claude.TOOLS,
    "codex": files_codex.TOOLS,
    "gemini": files_gemini.TOOLS,
    "opencode": files_opencode.TOOLS,
}
EVERY_TOOL = [(agent, name) for agent, tools in TOOLS.items() for name in tools]
KEYS = ["file_path", "filePath", "path", "content", "old_string", "new_string", "oldString", "newString", "edits"]
KEYS += ["command", "cmd", "input", "patchText", "include", "paths", "type", "diff", "edit_mode", "new_source"]
PATCHES = ["apply_patch *** Begin Patch\n*** Add File: a\n+x\n*** End Patch", "update_file", "insert", "delete"]

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(PATCHES)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


def test_the_agents_are_those_that_are_recognized() -> None:
    assert set(TOOLS) == {agent.name for agent in (agents.CLAUDE, agents.CODEX, agents.GEMINI, agents.OPENCODE)}


@pytest.mark.parametrize("agent, name", [("claude", "Bash"), ("claude", "write"), ("unknown", "Write"), ("", "")])
def test_other_tools_and_agents_touch_no_file(agent: str, name: str) -> None:
    assert file_operations(agent, ToolCall("a", name, '{"file_path": "/p/a.py", "content": "x"}', 0)) == ()


@pytest.mark.parametrize("agent, name", EVERY_TOOL)
@settings(max_examples=30)
@given(given_=objects, cut=st.booleans(), length=st.integers(0, 500))
def test_no_arguments_raise(agent: str, name: str, given_: dict[str, object], cut: bool, length: int) -> None:
    whole = json.dumps(given_)
    for text in (whole, whole[:length]):
        for made in file_operations(agent, ToolCall("a", name, text, 0, cut)):
            assert made.lines_added is None or made.lines_added >= 0
            assert made.lines_removed is None or made.lines_removed >= 0


@pytest.mark.parametrize("agent, name", EVERY_TOOL)
@settings(max_examples=20)
@given(text=st.text() | st.sampled_from(["", "null", "[]", '"x"', "[" * 100_000, '{"a":' * 100_000]))
def test_what_is_no_json_does_not_raise(agent: str, name: str, text: str) -> None:
    assert isinstance(file_operations(agent, ToolCall("a", name, text, 0)), tuple)


@pytest.mark.parametrize("agent, name", [(agent, name) for agent, name in EVERY_TOOL if agent != "codex"])
def test_cut_arguments_never_tell_lines(agent: str, name: str) -> None:
    full = {key: "x\ny" for key in KEYS}
    for made in file_operations(agent, ToolCall("a", name, json.dumps(full), 0, cut=True)):
        assert (made.lines_added, made.lines_removed) in ((None, None), (0, None))


def test_one_call_has_no_more_files_than_the_bound() -> None:
    paths = [f"a{number}.py" for number in range(MOST_FILES + 50)]
    call = ToolCall("a", "read_many_files", json.dumps({"include": paths}), 0)
    assert len(file_operations("gemini", call)) == MOST_FILES
