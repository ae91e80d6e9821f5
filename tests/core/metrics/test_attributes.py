"""Sums and clean-up as CodeMie's backend wants them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.metrics.attributes import (
    MOST_ERROR_TOOLS,
    MOST_ERRORS,
    clean_message,
    clean_tool_name,
    short_path,
    summed,
    tellable_errors,
)
from codemie_core.metrics.delta import Delta, ToolStatus


def failed(*names: str, message: str = "it failed") -> Delta:
    return Delta(
        record_id="r",
        tool_status={name: ToolStatus(success=0, failure=1) for name in names},
        api_error_message=message,
    )


@pytest.mark.parametrize(
    "name,clean",
    [
        ("Edit", "Edit"),
        ("mcp__git__log", "mcp__git__log"),
        (" Edit\x00\n", "Edit"),
        ('Edit"<b>', "Editb"),
        ('Agent" id="x y', ""),
        ("two words", ""),
        ("", ""),
        ("\x07", ""),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_tool_name_is_cleaned_or_dropped(name: str, clean: str) -> None:
    assert clean_tool_name(name) == clean


def test_a_tool_without_a_usable_name_is_in_no_sum() -> None:
    status = {"Edit": ToolStatus(success=1, failure=2), "a b": ToolStatus(success=5, failure=5)}
    sums = summed([Delta(record_id="r", tools={"Edit": 3, "a b": 9, "Bash": -1}, tool_status=status)])
    assert (sums.tool_names, sums.tools.total(), sums.succeeded, sums.failed) == (["Edit"] * 3, 3, 1, 2)


@pytest.mark.parametrize(
    "message,clean",
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m and \x1b[1;38;5;9mmore\x9b0m", "red and more"),
        ("\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
        ("\x1b(B\x1b7saved\x1b8\x1bc", "saved"),
        ("open \x1b]0;never ends", "open ]0;never ends"),
        ("one\r\ntwo", "one\ntwo"),
        ("y" * 900, "y" * 500),
    ],
)
def test_a_message_is_plain_and_short(message: str, clean: str) -> None:
    assert clean_message(message) == clean


def test_no_secret_leaves_in_a_message_not_even_in_colors() -> None:
    secret = "sk-ant-api03-planted-" + "Zz9" * 25
    for message in (f"key {secret}", f"{'x' * 490} {secret}", f"\x1b[31mAuthorization: Bearer {secret}\x1b[0m"):
        assert "planted" not in clean_message(message)


@given(text=st.text(max_size=300))
def test_no_escape_is_left_in_any_message(text: str) -> None:
    assert "\x1b" not in clean_message(text)


@pytest.mark.parametrize(
    "path,short",
    [
        ("acme/app", "acme/app"),
        ("/srv/repos/acme/app/", "acme/app"),
        ("C:\\Users\\Dev\\projects\\my-app", "projects/my-app"),
        ("C:/Users/Name\\project", "Name/project"),
        ("./parent/current", "parent/current"),
        ("app", "app"),
        ("/", "unknown"),
        ("C:\\", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_path_is_cut_to_its_last_two_parts(path: str, short: str) -> None:
    assert short_path(path) == short


@pytest.mark.parametrize(
    "agent,tools,told,messages",
    [
        ("claude", ("Edit",), ("Edit",), ("it failed",)),
        ("claude", ("Bash",), (), ("Excluded tool failed: Bash",)),
        ("claude", ("Edit", "Bash"), ("Edit",), ("Excluded tool failed: Bash",)),
        ("claude", ("Shell",), ("Shell",), ("it failed",)),
        ("opencode", ("bash",), (), ("Excluded tool failed: bash",)),
        ("opencode", ("Bash",), ("Bash",), ("it failed",)),
        ("gemini", ("Execute",), (), ("Excluded tool failed: Execute",)),
        ("claude", ("a b",), (), ()),
    ],
)
def test_what_shells_printed_is_not_told(
    agent: str, tools: tuple[str, ...], told: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    errors = tellable_errors(summed([failed(*tools)]), agent)
    assert (errors.tools, errors.messages, errors.api) == (told, messages, ())


def test_errors_are_bounded_and_failed_tools_named_once() -> None:
    deltas = [failed(f"Tool{number}", message=f"m{number}") for number in range(300)]
    deltas += [Delta(record_id="r", api_error_message="API Error: 500")] * 300
    errors = tellable_errors(summed(deltas + deltas), "claude")
    assert (len(errors.tools), len(errors.messages), len(errors.api)) == (MOST_ERROR_TOOLS, MOST_ERRORS, MOST_ERRORS)
    assert len(set(errors.tools)) == MOST_ERROR_TOOLS


def test_the_model_is_the_most_frequent_one_and_of_equals_the_first() -> None:
    models = [("b",), ("a",), ("a", "b"), ("c",)]
    assert summed(Delta(record_id="r", models=each) for each in models).model == "b"
    assert summed([]).model == ""


@pytest.mark.parametrize(
    "times,start,duration",
    [
        ((5_000, 3_000, 9_000), 1_000, 6_000),
        ((5_000,), 1_000, 4_000),
        ((5_000, 5_000), 1_000, 4_000),
        ((5_000,), 9_000, 0),
        (("never",), 1_000, 0),
        ((), 1_000, 0),
    ],
)
def test_a_batch_lasts_from_its_first_record_to_its_last(times: tuple[int | str], start: int, duration: int) -> None:
    deltas = [Delta(record_id="r", timestamp=each) for each in times]
    assert summed(deltas).duration_ms(start) == duration


def test_turns_of_codemies_hooks_are_told_by_their_models_or_tokens() -> None:
    deltas = [
        Delta(record_id="a", models=("m",)),
        Delta(record_id="b", api_error_message="API Error: 500"),
        failed("Edit"),
        Delta(record_id="d", user_prompts=()),
        Delta(record_id="e", ai_requests=1, ai_responses=0, models=("m",)),
    ]
    sums = summed(deltas)
    assert (sums.requests, sums.responses) == (3, 1)
