"""What in a request holds no text that could be searched for secrets: images, files, sound. Pure, linear.

Its bytes are set aside before masking: no detector sees them, the ledger never has them, and whoever sends a masked
request must put them back on purpose. Tokens such as `opaque-1` stand in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

# Content parts of the OpenAI and Anthropic dialects whose payload is no text.
_OPAQUE_PARTS: Final = frozenset(
    {
        "audio",
        "computer_screenshot",
        "document",
        "file",
        "image",
        "image_file",
        "image_generation_call",
        "image_url",
        "input_audio",
        "input_file",
        "input_image",
        "video",
        "video_url",
    }
)
_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_TEXT_SOURCES: Final = frozenset({"text", "content"})
_DATA_URL: Final = re.compile(
    r"(data:(?:[\w.+-]{1,40}\\?/[\w.+-]{1,80})?+(?:;[\w.+=-]{1,80}){0,4};base64,)"
    r"(?=[A-Za-z0-9+/_-]{16})((?:[A-Za-z0-9+/_=%-]++|\\/)++)",
    re.ASCII,
)
_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/]{64,}+={0,2}\s*")
_TOKEN: Final = re.compile(r"(?<=;base64,)opaque-([0-9]{1,6})(?![0-9])|\Aopaque-([0-9]{1,6})\Z")


@dataclass(frozen=True, slots=True)
class SetAside:
    """A request less the bytes that nothing can be read of."""

    body: dict[str, object]
    kinds: tuple[str, ...]
    """What it has that cannot be searched, as in "a part of type image_url"; empty where all is text."""
    payloads: tuple[str, ...] = field(repr=False)
    """The bytes that were set aside, as they stood there; `opaque-1` is the first."""


def is_opaque(part: Mapping[str, object]) -> bool:
    """Tell whether a content part holds no text; a document may hold its text, or parts of its own."""
    kind, source = part.get("type"), part.get("source")
    if not isinstance(kind, str) or kind not in _OPAQUE_PARTS:
        return False
    return not (isinstance(source, Mapping) and source.get("type") in _TEXT_SOURCES)


def set_aside(body: Mapping[str, object]) -> SetAside:
    """Return a request with tokens in place of what cannot be searched; raise RecursionError for endless nesting."""
    scan = _Scan()
    walked = cast("dict[str, object]", scan.walk(body))
    return SetAside(walked, tuple(scan.kinds), tuple(scan.payloads))


def put_back(value: object, payloads: Sequence[str]) -> object:
    """Return a JSON value with the bytes in place of their tokens; the value itself where there are none."""
    if not payloads:
        return value
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: _payload(found, payloads), value) if "opaque-" in value else value
    if isinstance(value, Mapping):
        return {name: put_back(item, payloads) for name, item in value.items()}
    return [put_back(item, payloads) for item in value] if isinstance(value, list | tuple) else value


def _payload(found: re.Match[str], payloads: Sequence[str]) -> str:
    number = int(found[1] or found[2])
    return payloads[number - 1] if 0 < number <= len(payloads) else found[0]


class _Scan:
    """One walk through a request."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self.kinds: dict[str, None] = {}

    def walk(self, value: object, *, within: bool = False, called: bool = False) -> object:
        """Return a copy with tokens; `within` an opaque part bare base64 is payload, in a call's input no part is."""
        if isinstance(value, str):
            return self._text(value, within=within)
        if isinstance(value, Mapping):
            return self._mapping(value, within=within, called=called)
        if isinstance(value, list | tuple):
            return [self.walk(item, within=within, called=called) for item in value]
        return value

    def _mapping(self, value: Mapping[str, object], *, within: bool, called: bool) -> dict[str, object]:
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else ""
        if not called and is_opaque(value):
            self.kinds[f"a part of type {kind}"] = None
            within = True
        return {
            cast("str", self.walk(name)): self.walk(
                item, within=within, called=called or (kind in _CALLS and name == "input")
            )
            for name, item in value.items()
        }

    def _text(self, text: str, *, within: bool) -> str:
        if "base64," in text:
            return _DATA_URL.sub(self._url, text)
        return self._token(text) if within and _PAYLOAD.fullmatch(text) else text

    def _url(self, found: re.Match[str]) -> str:
        self.kinds["a data: URL"] = None
        return found[1] + self._token(found[2])

    def _token(self, payload: str) -> str:
        self.payloads.append(payload)
        return f"opaque-{len(self.payloads)}"
