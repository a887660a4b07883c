"""The hash chain of one ledger writer, as pure functions.

An event's hash covers its place, its facts and a salted digest of its content. Content and salt can be erased
together: the digest stays, says nothing about what it was made of, and the chain still verifies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from registry.columns import Scalar, canonical_json

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Link:
    """What one event's hash covers."""

    previous_hash: str
    writer: str
    seq: int
    event_id: str
    kind: str
    interaction_id: str
    at_utc: str
    facts_digest: str
    content_digest: str

    @property
    def hash(self) -> str:
        """SHA-256 over the fields in order."""
        return _sha256(canonical_json(list(astuple(self))))


def facts_digest(facts: Mapping[str, Scalar]) -> str:
    """Return the digest of a row; NULLs are left out, so a column added later leaves old digests valid."""
    return _sha256(canonical_json({name: _exact(value) for name, value in facts.items() if value is not None}))


def content_digest(salt: str, body: str) -> str:
    """Return the digest of erasable content; without the salt it cannot be found by guessing texts."""
    return _sha256(salt + body)


def _exact(value: Scalar) -> Scalar:
    """Spell infinities, which JSON would fold into null."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
