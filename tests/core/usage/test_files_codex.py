"""Codex' patches, whichever tool brings them."""

import json

import pytest

from codemie_core.usage.answer import ToolCall
from codemie_core.usage.files import file_operations
from codemie_core.usage.operation import FileOperation

PATCH = """*** Begin Patch
*** Add File: new.rs
+a
+b
*** Update File: old.rs
@@
-x
+y
*** Delete File: gone.rs
*** End Patch"""
HEREDOC = f"cd /p && apply_patch <<'EOF'\n{PATCH}\nEOF\n"
DIFF = "git apply <<'EOF'\n--- a/old.rs\n+++ b/old.rs\n@@ -1 +1,2 @@\n-x\n+y\n+z\nEOF"
PATCHED = (
    FileOperation("write", "new.rs", "rs", "rust", 2, 0),
    FileOperation("edit", "old.rs", "rs", "rust", 1, 1),
    FileOperation("delete", "gone.rs", "rs", "rust", 0, None),
)


def done(name: str, arguments: str, cut: bool = False) -> tuple[FileOperation, ...]:
    return file_operations("codex", ToolCall("call_1", name, arguments, 0, cut))


@pytest.mark.parametrize(
    "name, arguments",
    [
        pytest.param("apply_patch", PATCH, id="custom tool"),
        pytest.param("apply_patch", json.dumps({"input": PATCH}), id="function"),
        pytest.param("shell", json.dumps({"command": ["apply_patch", PATCH]}), id="shell's own word"),
        pytest.param("shell", json.dumps({"command": ["bash", "-lc", HEREDOC]}), id="bash"),
        pytest.param("shell_command", json.dumps({"command": HEREDOC, "workdir": "/p"}), id="command as text"),
        pytest.param("exec_command", json.dumps({"cmd": HEREDOC, "yield_time_ms": 1000}), id="exec_command"),
        pytest.param("local_shell", json.dumps({"command": ["bash", "-lc", HEREDOC], "type": "exec"}), id="local"),
        pytest.param("shell", json.dumps({"commands": ["ls", HEREDOC]}), id="shell_call"),
    ],
)
def test_a_patch_names_every_file(name: str, arguments: str) -> None:
    assert done(name, arguments) == PATCHED


@pytest.mark.parametrize(
    "given, made",
    [
        (
            {"type": "create_file", "path": "a.rs", "diff": "+x\n+y\n"},
            FileOperation("write", "a.rs", "rs", "rust", 2, 0),
        ),
        (
            {"type": "update_file", "path": "a.rs", "diff": "@@\n z\n-x\n+y\n"},
            FileOperation("edit", "a.rs", "rs", "rust", 1, 1),
        ),
        ({"type": "delete_file", "path": "a.rs"}, FileOperation("delete", "a.rs", "rs", "rust", 0, None)),
    ],
)
def test_the_apis_own_patch_call_names_its_file(given: dict[str, str], made: FileOperation) -> None:
    assert done("apply_patch", json.dumps(given)) == (made,)


def test_a_diff_given_to_git_is_read() -> None:
    assert done("exec_command", json.dumps({"cmd": DIFF})) == (FileOperation("edit", "old.rs", "rs", "rust", 2, 1),)


@pytest.mark.parametrize("command", ["ls -l", "echo apply_patch", f"cat <<'EOF'\n{PATCH}\nEOF", ""])
def test_other_commands_change_no_file_that_we_know_of(command: str) -> None:
    assert done("exec_command", json.dumps({"cmd": command})) == ()


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("apply_patch", PATCH),
        ("apply_patch", json.dumps({"input": PATCH})),
        ("shell", json.dumps({"command": HEREDOC})),
    ],
)
def test_a_cut_patch_names_its_files_without_lines(name: str, arguments: str) -> None:
    cut = arguments[: arguments.index("old.rs") + 20]
    made = done(name, cut, cut=True)
    assert [(each.path, each.lines_added, each.lines_removed) for each in made] == [
        ("new.rs", None, None),
        ("old.rs", None, None),
    ]


def test_a_broken_function_call_names_its_files_without_lines() -> None:
    broken = json.dumps({"input": PATCH})[:-1]
    assert [(each.path, each.lines_added) for each in done("apply_patch", broken)] == [
        ("new.rs", None),
        ("old.rs", None),
        ("gone.rs", None),
    ]


def test_the_apis_own_patch_call_when_cut_names_its_file_without_lines() -> None:
    text = json.dumps({"type": "update_file", "path": "a.rs", "diff": "@@\n-x\n+y\n"})
    assert done("apply_patch", text[:-8], cut=True) == (FileOperation("edit", "a.rs", "rs", "rust"),)
