"""Masks a request before it leaves the machine, or refuses: there is no third outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, cast

from typing_extensions import override

from registry.errors import RedactionError
from router.redaction.detectors import DEFAULT_TYPES, default_detectors
from router.redaction.masking import Masker
from router.redaction.spans import Detector, find_spans

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
_DATA_URL: Final = re.compile(
    r"data:(?:[\w.+-]{1,40}/[\w.+-]{1,80})?+(?:;[\w.+=-]{1,80}){0,4};base64,[A-Za-z0-9+/_-]{16}", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Redaction:
    """A request that may leave: its masked body, how many values of each type went, and the way back."""

    body: dict[str, object]
    counts: Mapping[str, int]
    masker: Masker


class Redactor(Protocol):
    """Decides what of a request may leave the machine."""

    def redact(self, body: Mapping[str, object]) -> Redaction:
        """Return the masked request; raise RedactionError where anything in it could not be inspected."""


@dataclass(frozen=True, slots=True)
class RuleRedactor(Redactor):
    """Masks what its detectors find; a conversation that is sent again gets the same placeholders.

    With `allow_opaque`, images and other parts that hold no text leave unseen: a choice of the user's own policy.
    """

    detectors: tuple[Detector, ...]
    types: frozenset[str] = DEFAULT_TYPES
    allow_opaque: bool = False

    @override
    def redact(self, body: Mapping[str, object]) -> Redaction:
        """Return the masked request; raise RedactionError for opaque parts, failing detectors and what is not JSON."""
        masker = Masker(self.detectors, self.types)
        try:
            if not self.allow_opaque:
                _refuse_opaque(body)
            masked = cast("dict[str, object]", masker.mask_json(body))
        except RecursionError:
            raise RedactionError(
                "the request is nested too deeply to be inspected for secrets; send it flatter"
            ) from None
        return Redaction(masked, MappingProxyType(masker.counts), masker)


def default_redactor(
    extra_rules: Mapping[str, str] = MappingProxyType({}), *, allow_opaque: bool = False
) -> RuleRedactor:
    """Return a redactor with the built-in detectors and a user's rules, type name to regular expression."""
    return RuleRedactor(default_detectors(extra_rules), DEFAULT_TYPES | extra_rules.keys(), allow_opaque)


def spans_of(text: str, detectors: Sequence[Detector]) -> list[tuple[int, int, str, str]]:
    """Return (start, end, type, detector) of each finding in plain text, never its value."""
    return [(span.start, span.end, span.type, span.detector) for span in find_spans(text, detectors)]


def _refuse_opaque(value: object) -> None:
    if isinstance(value, str):
        if "base64," in value and _DATA_URL.search(value):
            raise _opaque("a data: URL")
    elif isinstance(value, Mapping):
        kind = value.get("type")
        if isinstance(kind, str) and kind in _OPAQUE_PARTS:
            raise _opaque(f"a part of type {kind}")
        for name, item in value.items():
            _refuse_opaque(name)
            _refuse_opaque(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_opaque(item)


def _opaque(what: str) -> RedactionError:
    return RedactionError(f"{what} cannot be inspected for secrets, so it goes nowhere; send what it says as text")
