"""Masks a request before it leaves the machine, or refuses: there is no third outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from typing_extensions import override

from registry.errors import ConfigError, RedactionError
from router.redaction.detectors import DEFAULT_TYPES, OPTIONAL_TYPES, default_detectors
from router.redaction.masking import Masker
from router.redaction.named_entities import ORGANISATION, PLACE, NamedEntities
from router.redaction.opaque import set_aside
from router.redaction.presidio import PAPERS, PresidioPatterns
from router.redaction.spans import CleanTexts, Detector, find_spans
from router.redaction.user_rules import NAME, PATH, NameList, PathGlobs, Sifted

if TYPE_CHECKING:
    from registry.settings import RedactionSettings

# Makes a detector of a class and its arguments, perhaps in a process of its own.
Make = Callable[..., Detector]


@dataclass(frozen=True, slots=True)
class Redaction:
    """A request that may leave: its masked body, how many values of each type went, and the way back."""

    body: dict[str, object]
    counts: Mapping[str, int]
    masker: Masker
    opaque: tuple[str, ...] = ()
    """What could not be searched, and may leave only where policy says so; its bytes are not in `body`."""
    payloads: tuple[str, ...] = field(default=(), repr=False)
    """These bytes, for `put_back`."""

    @property
    def found(self) -> Mapping[str, int]:
        """The counts, and 1 for a type that was only found inside of others: what tells data classes."""
        return {**dict.fromkeys(self.masker.joined, 1), **self.counts}


class Redactor(Protocol):
    """Decides what of a request may leave the machine."""

    def redact(self, body: Mapping[str, object]) -> Redaction:
        """Return the masked request; raise RedactionError where anything in it could not be inspected."""


@dataclass(frozen=True, slots=True)
class RuleRedactor(Redactor):
    """Masks what its detectors find; a conversation that is sent again gets the same placeholders.

    Images and other parts that hold no text are refused. Whoever decides by policy where they may go lets `sets_aside`
    name them and take them out of the body instead.
    """

    detectors: tuple[Detector, ...]
    types: frozenset[str] = DEFAULT_TYPES
    clean: CleanTexts = field(default_factory=CleanTexts, compare=False, repr=False)

    @override
    def redact(self, body: Mapping[str, object], *, sets_aside: bool = False) -> Redaction:
        """Return the masked request; raise RedactionError for opaque parts, failing detectors and what is not JSON."""
        masker = Masker(self.detectors, self.types, self.clean)
        try:
            aside = set_aside(body)
            if aside.kinds and not sets_aside:
                raise _opaque(aside.kinds[0])
            masked = cast("dict[str, object]", masker.mask_json(aside.body))
        except RecursionError:
            raise RedactionError(
                "the request is nested too deeply to be inspected for secrets; send it flatter"
            ) from None
        return Redaction(masked, MappingProxyType(masker.counts), masker, aside.kinds, aside.payloads)


def default_redactor(extra_rules: Mapping[str, str] = MappingProxyType({})) -> RuleRedactor:
    """Return a redactor with the built-in detectors and a user's rules, type name to regular expression."""
    return RuleRedactor(default_detectors(extra_rules), DEFAULT_TYPES | extra_rules.keys())


def redactor_of(settings: RedactionSettings, make: Make = lambda made, *given: made(*given)) -> RuleRedactor:
    """Return the redactor that `[redaction]` asks for; raise ConfigError for a rule or type that cannot be used.

    `make` makes the detectors that nothing bounds in time, by default in this process.
    """
    types = DEFAULT_TYPES | settings.rules.keys()
    known = types | OPTIONAL_TYPES
    if unknown := sorted(set(settings.off) - known):
        raise ConfigError(f"redaction.off: there is no type {unknown[0]!r}; known types: {', '.join(sorted(known))}")
    detectors = default_detectors(settings.rules, off=settings.off, allowed=settings.allow)
    optional = list(_optional(settings, make))
    sifted = (Sifted(one, settings.off, settings.allow) for one, _ in optional)
    found = types.union(*(each for _, each in optional))
    return RuleRedactor((*detectors, *sifted), found - set(settings.off))


def _optional(settings: RedactionSettings, make: Make) -> Iterator[tuple[Detector, frozenset[str]]]:
    """Yield the detectors that only settings ask for, each with the types that it alone finds."""
    if settings.names:
        yield NameList(settings.names), frozenset({NAME})
    if settings.paths:
        yield PathGlobs(settings.paths), frozenset({PATH})
    if settings.presidio:
        yield make(PresidioPatterns, settings.presidio_score), frozenset({PAPERS})
    if settings.ner_model is not None:
        yield make(NamedEntities, settings.ner_model.expanduser()), frozenset({NAME, PLACE, ORGANISATION})


def spans_of(text: str, detectors: Sequence[Detector]) -> list[tuple[int, int, str, str]]:
    """Return (start, end, type, detector) of each finding in plain text, never its value."""
    return [(span.start, span.end, span.type, span.detector) for span in find_spans(text, detectors)]


def _opaque(what: str) -> RedactionError:
    return RedactionError(f"{what} cannot be inspected for secrets, so it reaches no cloud; send what it says as text")
