"""People, places and organisations, as a spaCy pipeline in a folder on this machine marks them; nothing is fetched.

It knows what its model learned and no more: a name that it overlooks leaves. Long texts are read in pieces, as a
model's memory grows with what it reads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from registry.errors import ConfigError
from router.redaction.spans import Span
from router.redaction.user_rules import NAME

if TYPE_CHECKING:
    from spacy.language import Language

PLACE: Final = "PIIPLACE"
ORGANISATION: Final = "PIIORG"
_TYPES: Final = {
    "PERSON": NAME,
    "PER": NAME,
    "GPE": PLACE,
    "LOC": PLACE,
    "LOCATION": PLACE,
    "FAC": PLACE,
    "ADDRESS": PLACE,
    "STREET_ADDRESS": PLACE,
    "ORG": ORGANISATION,
    "ORGANIZATION": ORGANISATION,
}
_PIECE: Final = 20_000


class NamedEntities:
    """Finds what a named-entity model marks as a person, a place or an organisation."""

    unbounded: Final = True

    def __init__(self, folder: Path | str) -> None:
        """Load the pipeline; raise ConfigError where the extra is missing or the folder holds no such pipeline."""
        self._pipeline = _load(Path(folder))

    def find(self, text: str) -> Iterator[Span]:
        """Yield the marks of known labels."""
        for start, end in _pieces(text):
            for mark in self._pipeline(text[start:end]).ents:
                kind = _TYPES.get(mark.label_)
                if kind is not None and mark.text.strip():
                    yield Span(start + mark.start_char, start + mark.end_char, kind, f"ner:{mark.label_}")


def _load(folder: Path) -> Language:
    try:
        import spacy
    except ImportError as error:
        raise ConfigError(
            "redaction.ner_model is set, but spaCy is not installed: pip install 'modelbreeder[pii]', or remove it"
        ) from error
    # By its folder alone: a bare name would be looked for among the installed packages.
    if not (folder / "config.cfg").is_file():
        raise ConfigError(f"redaction.ner_model: {folder} holds no spaCy pipeline; name a folder with its config.cfg")
    try:
        pipeline = spacy.load(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ConfigError(
            f"redaction.ner_model: the pipeline in {folder} cannot be loaded ({type(error).__name__}); "
            "save it again with the spaCy that is installed"
        ) from error
    labels = sorted({label for found in pipeline.pipe_labels.values() for label in found})
    if not _TYPES.keys() & labels:
        raise ConfigError(
            f"redaction.ner_model: the pipeline in {folder} marks no people, places or organisations; its labels are "
            f"{', '.join(labels) or 'none'}"
        )
    return pipeline


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of pieces that end behind a line, or a word where a line is too long."""
    start = 0
    while start < len(text):
        end = min(len(text), start + _PIECE)
        if end < len(text):
            cut = max(text.rfind("\n", start, end), 0) or text.rfind(" ", start, end)
            end = cut + 1 if cut > start else end
        yield start, end
        start = end
