"""The hash chain of one ledger writer, as pure functions.

An event's hash covers its place, its facts and a salted digest of its content. Content and salt can be erased
together: the digest stays, says nothing about what it was made of, and the chain still verifies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from registry.columns import Scalar, canonical_json

GENESIS = "0" * 64
_COVERED = (
    "previous_hash",
    "writer",
    "seq",
    "event_id",
    "kind",
    "interaction_id",
    "at_utc",
    "facts_digest",
    "content_digest",
)


def event_hash(event: Mapping[str, Scalar]) -> str:
    """Return the hash of a row of `events`: SHA-256 of the JSON list of all its columns but the hash."""
    return _sha256(canonical_json([event[name] for name in _COVERED]))


def facts_digest(facts: Mapping[str, Scalar]) -> str:
    """Return the digest of a row; NULLs are left out, so a column added later leaves old digests valid."""
    return _sha256(canonical_json({name: _exact(value) for name, value in facts.items() if value is not None}))


def content_digest(salt: str, body: str) -> str:
    """Return the digest of erasable content; without the salt it cannot be found by guessing texts."""
    return _sha256(f"{salt}{body}")


def _exact(value: Scalar) -> Scalar:
    """Spell infinities, which JSON would fold into null."""
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
