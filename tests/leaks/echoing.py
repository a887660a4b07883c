"""Upstreams that keep the raw of what they are asked, and say again what they were told, spelled in other ways."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from router.upstream import CloudReply, CloudRequest
from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, Call, Cutter, frames, whole
from tests.leaks.asking import EMBEDDINGS, Leaky, marked
from tests.router.making import FakeReply

_LEAF = re.compile(r"⟦(\d+)⟧ (.*?) ⟦/\1⟧", re.DOTALL)
# How the docs say that what is masked looks like.
_PLACEHOLDER = re.compile(
    r"(?<![A-Za-z0-9])(?:SECRET|PII[A-Z]+)[1-9][0-9]*(?:@masked\.invalid|\.masked\.invalid)?(?![A-Za-z0-9])"
)
_SURFACES = {"/chat/completions": CHAT, "/completions": COMPLETIONS, "/messages": MESSAGES, "/responses": RESPONSES}
MARKDOWN = ("{}", "**{}**", "`{}`", "*{}*")


def strings(value: Any) -> Iterator[str]:
    """Yield every string of a JSON value, keys and what is JSON in strings included."""
    match value:
        case str():
            yield value
            # A translation may have put a word before it, such as "Error: ".
            begins = next((place for place, one in enumerate(value) if one in '{["'), None)
            for place in sorted({0, begins} if begins is not None else ()):
                try:
                    yield from strings(json.loads(value[place:]))
                except ValueError:
                    continue
                break
        case dict():
            for name, item in value.items():
                yield from strings(name)
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)


def leaves_of(value: Any) -> dict[str, str]:
    """Return the texts between marks, by number, as they arrive."""
    return {found[1]: found[2] for text in strings(value) for found in _LEAF.finditer(text)}


class EchoingCloud:
    """All upstreams in memory: `asked` has what each case's upstream got, byte for byte."""

    def __init__(self) -> None:
        self.asked: dict[int, tuple[str, Mapping[str, str], bytes]] = {}

    async def open(self, request: CloudRequest) -> CloudReply:
        found = re.search(rb"case (\d+)\.", request.body)
        assert found is not None, "the upstream is asked something without a number"
        number = int(found[1])
        assert number not in self.asked, "the upstream is asked twice"
        self.asked[number] = request.path, request.headers, request.body
        return FakeReply(pieces=said(Leaky(number), request.path, json.loads(request.body)))

    async def aclose(self) -> None:
        """Nothing is open."""


def said(one: Leaky, path: str, body: Any) -> list[bytes]:
    """Return what an upstream answers, in pieces."""
    if path == "/embeddings":
        vectors = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
        return [json.dumps({**vectors, "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()]
    surface, cutter = _SURFACES[path], Cutter(one.number)
    answer = echo(one, leaves_of(body))
    return cutter.bytes(b"".join(frames(surface, answer, cutter)) if body.get("stream") else whole(surface, answer))


def echo(one: Leaky, told: Mapping[str, str]) -> Answer:
    """Return an answer that repeats some leaves as text, as reasoning, as JSON or as a tool's arguments."""
    random = Random(f"echo {one.number}")
    chosen = {number: _respelled(random, text) for number, text in told.items() if random.random() < 0.7}
    if one.wants_json and one.pair[0] != COMPLETIONS:
        return Answer(json.dumps(chosen, ensure_ascii=random.random() < 0.5))
    parts = [marked(int(number), text) for number, text in chosen.items()]
    cut = random.randint(0, len(parts))
    text = random.choice(("\n", " ", " - ")).join(parts[:cut])
    if one.pair[0] == COMPLETIONS or random.random() < 0.4:
        return Answer("\n".join(parts))
    called = Call("call_9", "echo", json.dumps({"said": parts[cut:]}, ensure_ascii=random.random() < 0.5))
    return Answer(text, calls=(called,), finish="tool_calls")


def _respelled(random: Random, text: str) -> str:
    """Return a text with what stands in it for values in another case, or in markdown."""
    case = random.choice((str, str, str.lower, str.title, str.upper))
    dress = random.choice(MARKDOWN)
    return _PLACEHOLDER.sub(lambda found: dress.format(case(found[0])), text)


def understood(answer: Answer) -> dict[str, str]:
    """Return the leaves that a client finds in an answer."""
    arguments = [json.loads(call.arguments) for call in answer.calls]
    found = leaves_of([answer.text, answer.reasoning, *arguments])
    try:
        as_json = json.loads(answer.text)
    except ValueError:
        return found
    return {**found, **as_json} if isinstance(as_json, dict) else found


def undressed(text: str) -> str:
    """Return a text without the markdown that an echo may have put on."""
    return text.replace("*", "").replace("`", "")


__all__ = ["EMBEDDINGS", "EchoingCloud", "echo", "leaves_of", "said", "strings", "understood", "undressed"]
