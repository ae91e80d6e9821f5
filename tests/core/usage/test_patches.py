"""Patches of Codex and unified diffs: their files, and the lines they add and remove."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codemie_core.usage.patches import FilePatch, apply_patches, count_lines, unified_diffs

PATCH = """*** Begin Patch
*** Add File: src/new.py
+import os
+
+print(os.name)
*** Update File: src/old.py
*** Move to: src/moved.py
@@ def f():
 context
-removed
+added
++ plus
@@
-- minus
*** End of File
*** Delete File: gone.txt
*** End Patch
"""
FILES = [
    FilePatch("write", "src/new.py", 3, 0),
    FilePatch("edit", "src/moved.py", 2, 2),
    FilePatch("delete", "gone.txt", 0, None),
]
DIFF = """diff --git a/src/a.py b/src/a.py
index 1..2 100644
--- a/src/a.py\t2026-01-01 00:00:00
+++ b/src/a.py\t2026-01-02 00:00:00
@@ -1,4 +1,4 @@ def f():
 context
--- looks like a header
-gone
+++ looks like one too
+new
 context
@@ -9 +9,2 @@
-x
\\ No newline at end of file
+y
+z
--- /dev/null
+++ b/new.txt
@@ -0,0 +1,2 @@
+one
+two
--- a/old.txt
+++ /dev/null
@@ -1 +0,0 @@
-one
"""


def test_a_patch_of_codex_names_files_and_lines() -> None:
    assert apply_patches(PATCH) == FILES


@pytest.mark.parametrize("around", ["cd /p && apply_patch <<'EOF'\n{}EOF\n", "{}", "\r\n  {}", "x{}*** Add File: no\n"])
def test_what_stands_around_the_patch_is_not_read(around: str) -> None:
    assert apply_patches(around.format(PATCH)) == FILES


def test_windows_newlines_count_as_newlines() -> None:
    assert apply_patches(PATCH.replace("\n", "\r\n")) == FILES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*** Add File: a\n+x",
        "*** Begin Patch",
        "*** Begin Patch\n+x\n*** End Patch",
        "*** Begin Patch\n*** Add File: ",
    ],
)
def test_what_is_no_patch_has_no_files(text: str) -> None:
    assert apply_patches(text) == []


def test_a_unified_diff_names_files_and_lines() -> None:
    assert unified_diffs(DIFF) == [
        FilePatch("edit", "src/a.py", 4, 3),
        FilePatch("write", "new.txt", 2, 0),
        FilePatch("delete", "old.txt", 0, 1),
    ]


def test_a_diff_that_ends_early_tells_what_is_there() -> None:
    assert unified_diffs("--- a\n+++ b\n@@ -1,9 +1,9 @@\n-x\n+y") == [FilePatch("edit", "b", 1, 1)]


def test_a_diff_without_headers_is_counted() -> None:
    assert count_lines("@@\n context\n-old\n+new\n+newer\n") == (2, 1)


pieces = st.lists(st.sampled_from([*PATCH.splitlines(), *DIFF.splitlines(), "@@ -1,999999999 +1 @@", "*** ", ""]))


@given(st.text() | pieces.map("\n".join))
def test_no_text_raises_and_no_line_counts_twice(text: str) -> None:
    for read in (apply_patches, unified_diffs):
        files = read(text)
        assert sum(file.added + (file.removed or 0) for file in files) <= len(text.splitlines())
