"""Success and failure, out of what Codex and others tell the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.outcomes import outcome_of

UNIFIED = "Chunk ID: 39d625\nWall time: 0.0000 seconds\nProcess exited with code {}\nOriginal token count: 0\nOutput:\n"


@pytest.mark.parametrize(
    "output, ok",
    [
        (UNIFIED.format(0), True),
        (UNIFIED.format(1), False),
        (UNIFIED.format(-1), False),
        # What the command printed tells nothing.
        (UNIFIED.format(0) + "Process exited with code 1\n", True),
        ("Chunk ID: 1\nWall time: 1.0 seconds\nProcess running with session ID 7\nOutput:\n", None),
        ("Process running with session ID 7\nOutput:\nProcess exited with code 1\n", None),
        ("Exit code: 0\nWall time: 0.1 seconds\nOutput:\nSuccess. Updated the following files:\nM a.py\n", True),
        ("Exit code: 124\nWall time: 10 seconds\nOutput:\n", False),
        ("Wall time: 0.0000 seconds\nOutput:\nExit code: 0\nWall time: 0 seconds\nOutput:\nSuccess.\nA n.txt\n", True),
        ("Wall time: 0.0000 seconds\nOutput:\nExit code: 1 is what I print\n", None),
        ("I read this:\nExit code: 1\nWall time: 1 seconds\n", None),
        ('{"output": "x", "metadata": {"exit_code": 0, "duration_seconds": 0.1}}', True),
        ('{"output": "x", "metadata": {"exit_code": 1}}', False),
        ('{"output": "x", "metadata": {"exit_code": "1"}}', None),
        ('{"success": false, "content": "x"}', False),
        ({"content": "x", "success": True}, True),
        ('{"temperature": 21}', None),
        ("{broken", None),
        ("failed to parse function arguments: expected value", False),
        ("unsupported call: nonesuch", False),
        ("unsupported custom tool call: apply_patch", False),
        ("apply_patch verification failed: Failed to read file to update a.txt: No such file or directory", False),
        ("write_stdin failed: Unknown process id 99", False),
        ('exec_command failed: CreateProcess { message: "Rejected" }', False),
        ("unable to locate image at `a.png`: No such file or directory (os error 2)", False),
        ('{"goal":null,"remainingTokens":null}', None),
        ("Plan updated", None),
        ("", None),
        (None, None),
        (7, None),
        ([{"type": "input_text", "text": UNIFIED.format(2)}], False),
        ([{"type": "input_image", "image_url": "data:"}], None),
        ([{"stdout": "", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}], True),
        ([{"outcome": {"type": "exit", "exit_code": 0}}, {"outcome": {"type": "exit", "exit_code": 3}}], False),
        ([{"outcome": {"type": "timeout"}}], False),
        ([], None),
    ],
)
def test_an_exit_code_tells_and_nothing_else_does(output: object, ok: bool | None) -> None:
    assert outcome_of({"type": "function_call_output", "call_id": "a", "output": output}) is ok


@pytest.mark.parametrize("status, ok", [("completed", True), ("failed", False), ("incomplete", None), (None, None)])
def test_a_patch_of_the_api_has_its_status(status: str | None, ok: bool | None) -> None:
    assert outcome_of({"type": "apply_patch_call_output", "status": status}) is ok
    assert outcome_of({"type": "function_call_output", "status": status}) is None


scalars = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["Exit code: 1", "{", '{"success":1}'])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["outcome", "exit_code", "text", "metadata", "success", "type"]), inner)
    ),
    max_leaves=10,
)


@given(values, values)
def test_no_output_raises(output: object, status: object) -> None:
    item = {"type": "apply_patch_call_output", "output": output, "status": status}
    assert outcome_of(item) in (True, False, None)
