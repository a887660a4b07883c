"""Secrets of vendors that no rule names, and everyday text: what structure alone finds and leaves. No corpus needed."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.bench import redaction_held_out, redaction_unseen
from tests.bench.redaction_recall import Score, unseen

EACH = 14
BOTH = pytest.mark.parametrize("tables", [redaction_unseen, redaction_held_out], ids=["unseen", "held out"])
# Nothing but a random body, or a shape of its own: misses that the docs tell.
MISSED = {"braintree", "nuget", "sanity", "bitcoin master key", "dropbox", "sshpass"}


@pytest.fixture(scope="module")
def measured() -> dict[ModuleType, tuple[Score, Score]]:
    return {tables: unseen(tables, EACH) for tables in (redaction_unseen, redaction_held_out)}


@pytest.mark.parametrize(("tables", "floor"), [(redaction_unseen, 0.92), (redaction_held_out, 0.79)])
def test_secrets_of_unseen_vendors_are_found(
    tables: ModuleType, floor: float, measured: dict[ModuleType, tuple[Score, Score]]
) -> None:
    assert len(tables.SHAPED) + len(tables.NAMED) >= 80
    assert measured[tables][0].recall >= floor


@pytest.mark.parametrize("name", sorted({*redaction_unseen.SHAPED, *redaction_unseen.NAMED} - MISSED))
def test_most_keys_of_each_vendor_are_found(name: str, measured: dict[ModuleType, tuple[Score, Score]]) -> None:
    assert measured[redaction_unseen][0].missed.count(name) <= EACH / 2


@BOTH
def test_everyday_text_is_left_alone(tables: ModuleType, measured: dict[ModuleType, tuple[Score, Score]]) -> None:
    benign = measured[tables][1]
    assert len(tables.BENIGN) >= 50
    assert benign.flagged <= 0.015 * benign.benign
