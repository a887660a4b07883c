"""Requests of every surface, of a data class told in any of the ways there are, with hints that try to widen policy."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

CHAT, COMPLETIONS, EMBEDDINGS = "openai.chat", "openai.completions", "openai.embeddings"
RESPONSES, MESSAGES = "openai.responses", "anthropic.messages"
PATHS = {
    CHAT: "/v1/chat/completions",
    COMPLETIONS: "/v1/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/v1/embeddings",
}
TURNS = (CHAT, RESPONSES, MESSAGES)
OPENING = "Classify this commit.\n"
_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
_TOOL = {"name": "read", "description": "reads a file"}
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@dataclass(frozen=True, slots=True)
class Source:
    """One way in which a request shows its class: words in it, a header, or a field of its metadata."""

    name: str
    words: str = ""
    hint: str = ""
    by: str = "text"
    """What tells it: the text, a header, or the field of metadata of this name."""


TEXTS = (
    Source("customer", "ask customer_41 about it"),
    Source("client", "see clients/acme/plan.md for more"),
    Source("client", "see /srv/work/clients/acme/ann@acme.example/plan.md for more"),
    Source("patient", "of patient no. 7"),
    Source("patient", "of PT-4711"),
    Source("internal", "from internal/ledger.csv"),
)
HINTED = ("client", "patient", "student", "voice", "biometric", "trade_secret", "internal")
TOLD = tuple(Source(name, hint=name, by=by) for name in HINTED for by in ("header", "data-class", "DataClass"))
SOURCES = (*TEXTS, *TOLD)
PUBLIC = Source("public")
MODELS = (
    "gpt-5.4", "claude-9", "auto", "cloud", "local", "big-7", "vendor/gpt-5.4", "other/big-7", "anth/claude-9",
    "hosts/qwen3:8b", "hosts/kimi-k2:1t-cloud", "mine/llama", "workflow:commit-type", "commit-type@1", "o9",
)  # fmt: skip
_WIDENING = {
    "lane": ("cloud_escalation", "cloud"),
    "allow-escalation": ("true",),
    "minimum-margin": ("-1",),
    "changed-files": ("99",),
    "retry-count": ("9",),
    "session": ("s1", "s2"),
    "workflow": ("commit-type",),
    "data-class": ("public", "code"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what it holds, where its telling words stand, and what its client says of it."""

    surface: str = CHAT
    model: str = "gpt-5.4"
    source: Source = PUBLIC
    place: str = "user"
    """Where the words stand: user, system, earlier, call or result."""
    stream: bool = False
    tools: bool = False
    schema: bool = False
    image: bool = False
    loop: int = 0
    """The number of the tool loop that it opens or goes on with, whose opening is the same each time; 0 is none."""
    after: str = ""
    """What the user said in a turn before, word for word."""
    marker: str = ""
    hints: tuple[tuple[str, str], ...] = ()

    @property
    def path(self) -> str:
        """The path that takes it."""
        return PATHS[self.surface]

    @property
    def headers(self) -> dict[str, str]:
        """Its headers: hints, the class among them if it is told so."""
        told = [("data-class", self.source.hint)] if self.source.by == "header" else []
        return {f"x-modelbreeder-{name}": value for name, value in (*self.hints, *told)}

    def marked(self, number: int) -> Asked:
        """Return it with a word that no other request has."""
        return replace(self, marker=f"zq{number}marked")

    def followed(self) -> Asked:
        """Return the next turn of its conversation, in which nothing tells of its class but what went before."""
        spoken = OPENING + self.said("user")
        return replace(self, source=PUBLIC, place="earlier", after=spoken, hints=(), image=False, schema=False)

    def body(self) -> bytes:
        """Return its body as its surface has it."""
        fields = _BODIES[self.surface](self)
        told = {"user_id": "u"} if self.source.by in ("text", "header") else {self.source.by: self.source.hint}
        return json.dumps({"model": self.model, "stream": self.stream, "metadata": told, **fields}).encode()

    def said(self, place: str) -> str:
        """Return the text of a place: always the marker, the telling words where they stand."""
        return f"{self.marker} {self.source.words if self.place == place else 'fix typo'}"

    @property
    def in_loop(self) -> bool:
        """Whether it goes on with a tool loop."""
        return self.place in ("call", "result")

    @property
    def has_tools(self) -> bool:
        """Whether it offers tools."""
        return self.tools or bool(self.loop) or self.in_loop

    @property
    def user(self) -> str:
        """The user's last text."""
        return f"Mend loop {self.loop} please." if self.loop else OPENING + self.said("user")

    @property
    def earlier(self) -> list[dict[str, str]]:
        """The turns before it."""
        if self.place != "earlier":
            return []
        said = self.after or f"First, {self.said('earlier')}"
        return [{"role": "user", "content": said}, {"role": "assistant", "content": "Done so."}]


def _chat(asked: Asked) -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PICTURE}"}}
    user: Any = [{"type": "text", "text": asked.user}, picture] if asked.image else asked.user
    function = {"name": "read", "arguments": json.dumps({"note": asked.said("call")})}
    call = {"role": "assistant", "tool_calls": [{"id": "t1", "type": "function", "function": function}]}
    loop = [call, {"role": "tool", "tool_call_id": "t1", "content": asked.said("result")}]
    system = [{"role": "system", "content": asked.said("system")}] if asked.place == "system" else []
    turns = [*system, *asked.earlier, {"role": "user", "content": user}, *(loop if asked.in_loop else ())]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}}
    return {
        "messages": turns,
        **({"tools": [{"type": "function", "function": {**_TOOL, "parameters": _SCHEMA}}]} if asked.has_tools else {}),
        **({"response_format": form} if asked.schema else {}),
    }


def _messages(asked: Asked) -> dict[str, Any]:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PICTURE}}
    user: Any = [{"type": "text", "text": asked.user}, picture] if asked.image else asked.user
    called = {"type": "tool_use", "id": "t1", "name": "read", "input": {"note": asked.said("call")}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": asked.said("result")}
    loop = [{"role": "assistant", "content": [called]}, {"role": "user", "content": [result]}]
    return {
        "max_tokens": 64,
        "messages": [*asked.earlier, {"role": "user", "content": user}, *(loop if asked.in_loop else ())],
        **({"system": asked.said("system")} if asked.place == "system" else {}),
        **({"tools": [{**_TOOL, "input_schema": _SCHEMA}]} if asked.has_tools else {}),
    }


def _responses(asked: Asked) -> dict[str, Any]:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{_PICTURE}"}
    user: Any = [{"type": "input_text", "text": asked.user}, picture] if asked.image else asked.user
    given = json.dumps({"note": asked.said("call")})
    call = {"type": "function_call", "call_id": "t1", "name": "read", "arguments": given}
    loop = [call, {"type": "function_call_output", "call_id": "t1", "output": asked.said("result")}]
    return {
        "input": [*asked.earlier, {"role": "user", "content": user}, *(loop if asked.in_loop else ())],
        "store": False,
        **({"instructions": asked.said("system")} if asked.place == "system" else {}),
        **({"tools": [{"type": "function", **_TOOL, "parameters": _SCHEMA}]} if asked.has_tools else {}),
    }


_BODIES = {
    CHAT: _chat,
    MESSAGES: _messages,
    RESPONSES: _responses,
    COMPLETIONS: lambda asked: {"prompt": asked.user, "max_tokens": 16},
    EMBEDDINGS: lambda asked: {"input": [asked.user, "another"]},
}


@st.composite
def _hints(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    names = draw(st.lists(st.sampled_from(sorted(_WIDENING)), unique=True, max_size=4))
    return tuple((name, draw(st.sampled_from(_WIDENING[name]))) for name in names)


@st.composite
def asked(draw: st.DrawFn, sources: tuple[Source, ...] = (*SOURCES, PUBLIC)) -> Asked:
    """Draw a request; one whose class is told by a hint has no other hint of a class, which would be refused."""
    surface, source, hints = draw(st.sampled_from((*TURNS, *PATHS))), draw(st.sampled_from(sources)), draw(_hints())
    place = draw(st.sampled_from(("user", "system", "earlier", "call", "result"))) if surface in TURNS else "user"
    return Asked(
        surface=surface,
        model=draw(st.sampled_from(MODELS)),
        source=source,
        place=place,
        stream=draw(st.booleans()) and surface != EMBEDDINGS,
        tools=draw(st.booleans()),
        schema=draw(st.booleans()),
        image=draw(st.integers(0, 7)) == 0,
        # The opening of a loop is the same each time, so nothing of the class can stand there.
        loop=0 if place == "user" else draw(st.integers(0, 2)),
        hints=tuple(one for one in hints if source.by == "text" or one[0] != "data-class"),
    )
