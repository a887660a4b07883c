"""A request less what its task does not need: files that it does not mention, and old turns, told in a short note.

Works on a request in its own dialect, so that all else stays as it came. It keeps whatever it is not sure of: system
prompts, tools, everything that calls them or comes of them, pictures, and what the client marked for a cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from registry.entities import ContextCut, Json
from router.chat import JsonObject
from router.envelope import estimate_tokens
from router.file_blocks import FileBlock, file_blocks, is_path, outside
from router.mentions import Task, task_of

_TEXTS = frozenset({"text", "input_text", "output_text"})
_HARMLESS = _TEXTS | {"document", "image", "image_url", "input_image", "file", "input_file", "input_audio"}
_PLAIN_FIELDS = frozenset({"role", "content", "type", "name", "id", "status"})
_SYSTEM = ("system", "developer")
_A_FEW = 8
"""So many files are no repository: where the task mentions none, all are kept."""
_SHORTEST_FILE = 40
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Context:
    """A request with its context reduced, the paths of what it lost, and how much that was."""

    body: JsonObject
    files: tuple[str, ...]
    cut: ContextCut


@dataclass(frozen=True, slots=True)
class _File:
    """A file in a request: in a text, or a document of its own where it has no block."""

    turn: int
    part: int
    path: str
    content: str
    block: FileBlock | None = None

    @property
    def tokens(self) -> int:
        return estimate_tokens(self.content)

    @property
    def note(self) -> str:
        return f"[file {self.path} left out: the task does not mention it; about {self.tokens:,} tokens]"


def minimum_context(body: JsonObject, budget_tokens: int, keep_turns: int) -> Context | None:
    """Return a request of any dialect with its context reduced, None where nothing is left out.

    Args:
        body: the request; it is not changed.
        budget_tokens: a request of no more is left as it is; old turns are folded until this is reached.
        keep_turns: how many of the latest turns, each from a user's message to the next one, are never folded.

    """
    key = "messages" if "messages" in body else "input"
    given = body.get(key)
    turns: list[Json] = [{"role": "user", "content": given}] if isinstance(given, str) else _list(given)
    before = estimate_tokens(turns)
    first = _first_free(body, turns)
    if before <= budget_tokens or first >= len(turns):
        return None
    dropped = _unneeded(turns, first, budget_tokens)
    left = _without(turns, dropped)
    short, folded = _folded(left, first, estimate_tokens(left) - budget_tokens, keep_turns)
    if not dropped and not folded:
        return None
    shown: Json = _content(short[0]) if isinstance(given, str) else short
    cut = ContextCut(len(dropped), folded, before, estimate_tokens(short))
    return Context({**body, key: shown}, tuple(one.path for one in dropped), cut)


def _first_free(body: JsonObject, turns: list[Json]) -> int:
    """Return the first turn behind everything that the client wants cached, which must not change."""
    if "cache_control" in body or body.get("prompt_cache_key"):
        return len(turns)
    marked = [place for place, turn in enumerate(turns) if _has_mark(turn)]
    return marked[-1] + 1 if marked else 0


def _has_mark(value: Json) -> bool:
    # A loop, as a request may nest as deep as the stack is.
    left: list[Json] = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if one.get("cache_control") is not None:
                return True
            left += one.values()
        elif isinstance(one, list):
            left += one
    return False


def _unneeded(turns: list[Json], first: int, budget_tokens: int) -> list[_File]:
    """Return the files, from turn `first` on, that the task does not mention."""
    files = [one for place in range(first, len(turns)) for one in _files(place, turns[place])]
    if not files:
        return []
    task = task_of("\n".join(_own_words(turns)))
    unnamed = [one for one in files if not task.mentions(one.path, one.content)]
    if len(unnamed) == len(files) or task.speaks_of_all:
        named = sum(one.tokens for one in files) - sum(one.tokens for one in unnamed)
        kept = frozenset(unnamed if len(files) <= _A_FEW else _nearest(unnamed, task, budget_tokens - named))
        unnamed = [one for one in unnamed if one not in kept]
    return [one for one in unnamed if one.tokens >= _SHORTEST_FILE]


def _nearest(files: Sequence[_File], task: Task, room_tokens: int) -> list[_File]:
    """Return those files that share most words with the task, as many as there is room for, and at least one."""
    kept: list[_File] = []
    for one in sorted(files, key=lambda one: -task.nearness(one.content)):
        if not kept or one.tokens <= room_tokens:
            kept.append(one)
            room_tokens -= one.tokens
    return kept


def _own_words(turns: list[Json]) -> Iterator[str]:
    """Yield what users say themselves, outside of the files that they send."""
    for turn in turns:
        for _, part in _parts(turn):
            said = part.get("text")
            if part.get("type") in _TEXTS and isinstance(said, str):
                yield outside(said, file_blocks(said))


def _files(place: int, turn: Json) -> Iterator[_File]:
    """Yield the files of a turn that may be left out."""
    for number, part in _parts(turn):
        said, source = part.get("text"), part.get("source")
        if part.get("type") in _TEXTS and isinstance(said, str):
            for block in file_blocks(said):
                if block.closed:
                    yield _File(place, number, block.path, said[block.start : block.end], block)
        elif part.get("type") == "document" and isinstance(source, dict) and source.get("type") == "text":
            title, content = part.get("title"), source.get("data")
            if isinstance(title, str) and is_path(title) and isinstance(content, str):
                yield _File(place, number, title, content)


def _parts(turn: Json) -> Iterator[tuple[int, JsonObject]]:
    """Yield the numbered parts of a user's turn; none where it is anything else, or has parts of unknown kinds."""
    if not isinstance(turn, dict) or turn.get("role") != "user":
        return
    content = turn.get("content")
    parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else _list(content)
    if all(isinstance(part, dict) and part.get("type") in _HARMLESS for part in parts):
        yield from ((number, part) for number, part in enumerate(parts) if isinstance(part, dict))


def _without(turns: list[Json], dropped: Sequence[_File]) -> list[Json]:
    """Return turns with a note in the place of each dropped file."""
    left = list(turns)
    for place, group in groupby(dropped, key=lambda one: one.turn):
        turn = left[place]
        assert isinstance(turn, dict)
        found = list(group)
        left[place] = {**turn, "content": _content_without(turn.get("content"), found)}
    return left


def _content_without(content: Json, dropped: Sequence[_File]) -> Json:
    if isinstance(content, str):
        return _text_without(content, dropped)
    parts = list(_list(content))
    for number, group in groupby(dropped, key=lambda one: one.part):
        part, found = parts[number], list(group)
        assert isinstance(part, dict)
        if found[0].block is None:
            parts[number] = {"type": "text", "text": found[0].note}
        else:
            parts[number] = {**part, "text": _text_without(str(part.get("text")), found)}
    return parts


def _text_without(text: str, dropped: Sequence[_File]) -> str:
    for one in reversed(dropped):
        if one.block is not None:
            text = text[: one.block.start] + one.note + text[one.block.end :]
    return text


def _folded(turns: list[Json], first: int, over_tokens: int, keep_turns: int) -> tuple[list[Json], int]:
    """Return turns with as few of the oldest exchanges as are over a budget told in notes, and how many were."""
    exchanges = _exchanges(turns, first)
    old = exchanges[: max(0, len(exchanges) - keep_turns)]
    chosen: set[int] = set()
    for number, (start, end) in enumerate(old):
        if over_tokens > 0 and all(_is_plain(turn) for turn in turns[start:end]):
            chosen.add(number)
            over_tokens -= estimate_tokens(turns[start:end])
    short, folded = turns[: exchanges[0][0]] if exchanges else turns, 0
    for told, group in groupby(enumerate(exchanges), key=lambda each: each[0] in chosen):
        run = [turn for _, (start, end) in group for turn in turns[start:end]]
        note = _note(run) if told else None
        shrinks = note is not None and estimate_tokens(note) < estimate_tokens(run)
        short = [*short, note] if shrinks else [*short, *run]
        folded += len(run) if shrinks else 0
    return short, folded


def _exchanges(turns: list[Json], first: int) -> list[tuple[int, int]]:
    """Return from where to where each exchange goes: a user's message, and all until the next one."""
    begins = [
        place
        for place in range(first, len(turns))
        if _role(turns[place]) == "user" and (place == 0 or _role(turns[place - 1]) != "user" or place == first)
    ]
    return list(pairwise([*begins, len(turns)]))


def _is_plain(turn: Json) -> bool:
    """Say whether a turn is nothing but what a user or a model said."""
    if not isinstance(turn, dict) or not turn.keys() <= _PLAIN_FIELDS or _role(turn) not in ("user", "assistant"):
        return False
    content = turn.get("content")
    parts = _list(content)
    texts = all(isinstance(part, dict) and part.get("type") in _TEXTS for part in parts)
    return isinstance(content, str) or (bool(parts) and texts)


def _note(run: list[Json]) -> JsonObject:
    """Return a user's turn that says what stood in the place of others, in their own first lines."""
    asked = [line for turn in run if _role(turn) == "user" and (line := _first_line(turn))]
    more = [f"… and {len(asked) - _SHOWN_LINES} more"] if len(asked) > _SHOWN_LINES else []
    said = f"[{len(run)} earlier messages left out, about {estimate_tokens(run):,} tokens. The user's began:"
    return {"role": "user", "content": "\n".join([said, *(f"- {line}" for line in asked[:_SHOWN_LINES]), *more]) + "]"}


def _first_line(turn: Json) -> str:
    content = _content(turn)
    texts = (
        [content]
        if isinstance(content, str)
        else [part.get("text") for part in _list(content) if isinstance(part, dict)]
    )
    lines = (line.strip() for text in texts if isinstance(text, str) for line in text.split("\n"))
    line = next((line for line in lines if line), "")
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"


def _role(turn: Json) -> Json:
    return turn.get("role") if isinstance(turn, dict) else None


def _content(turn: Json) -> Json:
    return turn.get("content") if isinstance(turn, dict) else None


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
