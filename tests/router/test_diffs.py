from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.chat_turns import Call
from router.diffs import changed_files, diffed_paths, edited_paths, has_diff

GIT = """\
diff --git a/src/one.py b/src/one.py
index 83db48f..bf269f4 100644
--- a/src/one.py
+++ b/src/one.py
@@ -1 +1 @@
-a
+b
diff --git a/old name.txt b/new name.txt
similarity index 90%
rename from old name.txt
rename to new name.txt
--- a/old name.txt
+++ b/new name.txt
@@ -1 +1 @@
-a
+b
diff --git a/img.png b/img.png
Binary files a/img.png and b/img.png differ
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-a
"""
UNIFIED = "--- lib/a.c\t2026-01-01 00:00:00\n+++ lib/a.c\t2026-01-02 00:00:00\n@@ -1 +1 @@\n-a\n+b\n"
PATCH = """\
*** Begin Patch
*** Update File: src/app.py
*** Move to: src/main.py
@@
-a
+b
*** Add File: docs/new.md
+x
*** Delete File: old.txt
*** End Patch
"""


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "function": {"name": name, "arguments": json.dumps(arguments)}}],
    }


def result(text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c", "content": text}


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (GIT, {"src/one.py", "new name.txt", "img.png", "gone.py"}),
        (UNIFIED, {"lib/a.c"}),
        (UNIFIED.replace("\n", "\r\n"), {"lib/a.c"}),
        (PATCH, {"src/app.py", "docs/new.md", "old.txt"}),
        ("diff --git src/a.py src/a.py\n", {"src/a.py"}),
        ('diff --git "a/sp\\303\\244t.py" "b/sp\\303\\244t.py"\n', {"sp\\303\\244t.py"}),
        ("diff --cc both.py\n", {"both.py"}),
        ("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+a\n", {"new.py"}),
    ],
)
def test_paths_of_diffs_and_patches(text: str, paths: set[str]) -> None:
    assert set(diffed_paths(text)) == paths
    assert set(diffed_paths(f"Review this:\n\n```diff\n{text}```\nthanks")) == paths
    assert has_diff(text)


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: a\n---\n+++\ntoml\n+++\n",
        "Regards\n--- \nAnn\n",
        "--- a\n+++ b\n",
        "use `diff --git a/x b/x` for it",
        "*** Update ***",
        "a | b\n--- | ---\n1 | 2",
    ],
)
def test_what_only_looks_like_a_diff_is_none(text: str) -> None:
    assert not has_diff(text)


@pytest.mark.parametrize(
    ("name", "arguments", "paths"),
    [
        ("Edit", {"file_path": "/p/a.py", "old_string": "a", "new_string": "b"}, ["/p/a.py"]),
        ("Write", {"file_path": "/p/b.py", "content": "x"}, ["/p/b.py"]),
        ("NotebookEdit", {"notebook_path": "n.ipynb"}, ["n.ipynb"]),
        ("write", {"filePath": "./c.ts", "content": "x"}, ["c.ts"]),
        ("mcp__files__edit_file", {"path": "d.go"}, ["d.go"]),
        ("str_replace_based_edit_tool", {"command": "str_replace", "path": "e.py"}, ["e.py"]),
        ("str_replace_based_edit_tool", {"command": "view", "path": "e.py"}, []),
        ("apply_patch", {"input": PATCH}, ["src/app.py", "docs/new.md", "old.txt"]),
        ("shell", {"command": f"apply_patch <<'EOF'\n{PATCH}EOF"}, ["src/app.py", "docs/new.md", "old.txt"]),
        ("Read", {"file_path": "f.py"}, []),
        ("Bash", {"command": "ls"}, []),
        ("Edit", {"file_path": 3}, []),
    ],
)
def test_paths_of_calls_that_edit(name: str, arguments: dict[str, Any], paths: list[str]) -> None:
    assert list(edited_paths(Call(name, arguments))) == paths


def test_a_file_counts_once_however_it_is_named() -> None:
    turns = [
        user(GIT),
        called("Edit", file_path="/home/me/project/src/one.py"),
        result("ok"),
        called("Edit", file_path="src/one.py"),
        result(GIT),
    ]

    assert changed_files(turns) == 4


def test_what_was_edited_for_an_earlier_ask_is_done() -> None:
    edits = [turn for number in range(9) for turn in (called("Write", file_path=f"f{number}.py"), result("ok"))]
    answer: dict[str, Any] = {"role": "assistant", "content": "done"}

    assert changed_files([user("make nine files"), *edits]) == 9
    assert changed_files([user("make nine files"), *edits, answer, user("thanks, a commit message?")]) == 0
    assert changed_files([user(GIT), answer, user("what is in the third?")]) == 4
    assert changed_files([user("what changed?"), called("Bash"), result(GIT)]) == 4
    assert changed_files([user("what changed?"), called("Bash"), result(GIT), answer, user("thanks")]) == 0


@settings(max_examples=200)
@given(st.text(alphabet='-+@ ab/\n*\t"', max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert all(len(path) <= len(text) for path in diffed_paths(f"diff --git {text}\n--- {text}\n*** Add File: {text}"))
