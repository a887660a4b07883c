"""Secrets that only a word near them gives away: a name, a sentence, a table's head, a block around them."""

from __future__ import annotations

from typing import Final

from router.redaction.assignments import NAMES, assigned
from router.redaction.blocks import nested
from router.redaction.passwords import LATIN
from router.redaction.scanning import Scan, in_bytes, searchable
from router.redaction.sentences import LABELS, told, told_in_other_scripts
from router.redaction.spans import Span, merge
from router.redaction.tables import tabled

# Most hits in code, which neither a sentence nor a table tells.
_ONLY_NAMES: Final = frozenset({"key", "token", "webhook", "salt"})


class NamedSecrets:
    """Finds the words by one scan, for all rules: each table of a scan's states costs more than its rule."""

    everywhere = True

    def __init__(self) -> None:
        words = rf"(?i:{NAMES}|{in_bytes(LATIN)}|{LABELS})"
        self._words = Scan(words)
        self.marks = rf"{words}|\?\?"

    def find(self, text: str) -> list[Span]:
        """Return values without quotes, where they look like secrets."""
        data = searchable(text)
        hits = list(self._words.spans(data))
        words = [start for start, end in hits if text[start:end].lower() not in _ONLY_NAMES]
        found = [
            *assigned(text, [start for start, _ in hits]),
            *told(text, words),
            *nested(text, words),
            *tabled(text, words),
        ]
        if b"??" in data and not text.isascii():
            found += told_in_other_scripts(text)
        return merge(found)
