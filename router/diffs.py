"""Which files a request changes: by its diffs and patches, and by the edit tools that were called. Pure, linear.

Looked at are all texts of the user, and the calls and results of tools since the last ask: what an agent changed for
an earlier one is done. A file counts once, however often it is changed; a rename is one file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from router.chat import JsonObject
from router.chat_turns import Call, calls, last_ask, spoken

_GIT = re.compile(r"^diff --(?:git|cc|combined) ([^\n]{1,2000})", re.MULTILINE)
# Both lines and what must follow them: `---` alone is a rule of Markdown, or a signature.
_UNIFIED = re.compile(r"^--- ([^\t\n]{1,1000})[^\n]*\n\+\+\+ ([^\t\n]{1,1000})[^\n]*\n@@ ", re.MULTILINE)
_PATCH = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: ([^\n]{1,1000})", re.MULTILINE)
_NOWHERE = "/dev/null"
_EDIT_TOOLS = frozenset(
    {
        "applyedit", "applypatch", "createfile", "deletefile", "edit", "editfile", "editnotebook", "insertedit",
        "insertinfile", "movefile", "multiedit", "multiedits", "notebookedit", "patch", "renamefile", "replace",
        "replaceinfile", "searchreplace", "strreplacebasededittool", "strreplaceeditor", "texteditor", "write",
        "writefile", "writetofile",
    }
)  # fmt: skip
"""Names of the tools with which agents change files, in lower case and without separators."""
PATH_KEYS = (
    "file_path", "filePath", "path", "filename", "fileName", "file", "notebook_path", "target_file", "absolute_path",
)  # fmt: skip
"""Arguments of tools that hold the path of a file."""
_SEPARATORS = re.compile(r"[_\-.: ]")
_LOOKS = frozenset({"view", "read", "list"})


def changed_files(turns: Sequence[JsonObject]) -> int:
    """Return how many different files the diffs, patches and edits of a chat request's turns change."""
    paths = set(_changed(turns))
    # A tool says the whole path of what a diff names from its project's root.
    return sum(not any(shorter in paths for shorter in _shorter(path)) for path in paths)


def has_diff(text: str) -> bool:
    """Say whether a text holds a diff or a patch."""
    return next(diffed_paths(text), None) is not None


def diffed_paths(text: str) -> Iterator[str]:
    """Yield the path of each file that the diffs and patches in a text change, the new one of a rename."""
    # Almost no text has any, and a search for a literal is 50 times as fast as one for a line that begins with it.
    if "diff --" in text:
        yield from (path for found in _GIT.finditer(text) if (path := _git_path(found[1])))
    if "\n+++ " in text:
        yield from (_either(found[1], found[2]) for found in _UNIFIED.finditer(text))
    if "*** " in text:
        yield from (found[1].strip() for found in _PATCH.finditer(text))


def edited_paths(call: Call) -> Iterator[str]:
    """Yield the path of each file that a call of an edit tool, or a patch in its arguments, changes."""
    texts = [value for value in call.arguments.values() if isinstance(value, str)]
    for text in texts:
        if "*** " in text or "diff --" in text or "\n+++ " in text:
            yield from diffed_paths(text)
    if _SEPARATORS.sub("", call.name.lower().rsplit("__", 1)[-1]) in _EDIT_TOOLS and _changes(call):
        path = next((value for key in PATH_KEYS if isinstance(value := call.arguments.get(key), str) and value), None)
        if path is not None:
            yield _plain(path)


def _changed(turns: Sequence[JsonObject]) -> Iterator[str]:
    asked = last_ask(turns)
    for place, turn in enumerate(turns):
        role = turn.get("role")
        if role == "user" or (place > asked and role in ("tool", "function")):
            yield from diffed_paths(spoken(turn.get("content")))
        elif place > asked and role == "assistant":
            for call in calls(turn):
                yield from edited_paths(call)


def _shorter(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[start:]) for start in range(1, len(parts)))


def _changes(call: Call) -> bool:
    return call.arguments.get("command") not in _LOOKS


def _either(old: str, new: str) -> str:
    return _plain(old if new.strip() == _NOWHERE else new)


def _git_path(header: str) -> str:
    """Return the new path of `a/old b/new`, which may be quoted and hold spaces."""
    if header.endswith('"'):
        return _plain(header[header.rfind(' "') + 1 :])
    middle = len(header) // 2
    if header[middle : middle + 1] == " " and header[1:middle] == header[middle + 2 :]:
        return _plain(header[middle + 1 :])
    old, found, new = header.rpartition(" b/")
    return _plain(f"b/{new}") if found else _plain(header.rsplit(" ", 1)[-1] or old)


def _plain(path: str) -> str:
    """Return a path without quotes, without the sides that git writes before it, and without a leading `./`."""
    bare = path.strip().strip('"')
    return bare.removeprefix("./") if bare[:2] not in ("a/", "b/") else bare[2:]
