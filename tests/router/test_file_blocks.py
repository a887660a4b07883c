"""Files in texts, by the marks that people and tools put around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.file_blocks import file_blocks, is_path, outside

CODE = "def parse():\n    return 1"


@pytest.mark.parametrize(
    "text",
    [
        f'<file path="src/a.py">\n{CODE}\n</file>',
        f"<file name='src/a.py'>{CODE}</file>",
        f"<document>\n<source>src/a.py</source>\n<document_content>\n{CODE}\n</document_content>\n</document>",
        f"```src/a.py\n{CODE}\n```",
        f'```python title="src/a.py"\n{CODE}\n```',
        f"```python:src/a.py\n{CODE}\n```",
        f"src/a.py\n```python\n{CODE}\n```",
        f"### `src/a.py`:\n\n~~~~python\n{CODE}\n~~~~",
        f"**File: src/a.py**\n```\n{CODE}\n```",
        f"=== src/a.py ===\n```python\n{CODE}\n```",
    ],
)
def test_a_marked_file_is_found_from_its_mark_to_its_end(text: str) -> None:
    (block,) = file_blocks(f"Fix this.\n\n{text}\nThanks.")

    assert block.path == "src/a.py"
    assert outside(f"Fix this.\n\n{text}\nThanks.", [block]).split() == ["Fix", "this.", "Thanks."]


@pytest.mark.parametrize(
    "text",
    [
        f"=== src/a.py ===\n{CODE}\n=== src/b.py ===\n{CODE}",
        f"--- src/a.py ---\n{CODE}\n--- src/b.py ---\n{CODE}",
        f"--- src/a.py\n{CODE}\n\n--- src/b.py\n{CODE}",
        f"======\nFILE: src/a.py\n======\n{CODE}\n\n======\nFILE: src/b.py\n======\n{CODE}",
    ],
)
def test_a_file_under_a_header_ends_at_the_next_one_and_the_last_one_is_open(text: str) -> None:
    first, last = file_blocks(text + "\nNow fix it.")

    assert (first.path, first.closed) == ("src/a.py", True)
    assert (last.path, last.closed) == ("src/b.py", False)
    assert "Now fix it." in outside(text + "\nNow fix it.", [first, last])


def test_a_header_without_a_blank_line_above_still_ends_the_file_before_it() -> None:
    text = f"--- src/a.py\n{CODE}\n--- src/b.py\n{CODE}"

    (block, *_) = file_blocks(text)

    assert "src/b.py" not in text[block.start : block.end]


@pytest.mark.parametrize(
    "text",
    [
        "--- a/foo.py\n+++ b/foo.py\n@@ -1 +1 @@\n-x\n+y",
        "```python\nx = 1\n```",
        "### Node.js\n```js\nx\n```",
        "---\ntitle: front matter\n---\ntext",
        '<file path="src/a.py">\nnever closed',
        "Look at src/a.py please.",
        "```\n=== src/a.py ===\nx = 1\n```",
        "=== Results ===\nall green",
    ],
)
def test_what_may_be_anything_else_is_no_file(text: str) -> None:
    assert file_blocks(text) == []


def test_paths_are_told_from_words() -> None:
    assert all(map(is_path, ("a.py", "src/a", "C:\\x\\a.py", "Makefile", "app/[id]/page.tsx")))
    assert not any(map(is_path, ("python", "3.11", "https://x.test/a.py", "two words.py", "", ".")))


PIECES = st.sampled_from(
    ["=== a.py ===", "--- b/c.py", "---", "======", "FILE: x.py", "```", "````", "```py a.py", "~~~",
     "<file path='a.py'>", "</file>", "<document>", "<source>a.py</source>", "</document>", "a.py", "", "x",
     "+++ b/c.py"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("\n".join))
def test_files_lie_in_order_do_not_overlap_and_are_inside_the_text(text: str) -> None:
    at = 0
    for block in file_blocks(text):
        assert at <= block.start < block.end <= len(text)
        assert is_path(block.path) or "/" in block.path
        at = block.end
