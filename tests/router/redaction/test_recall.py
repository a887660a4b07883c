"""Recall and false alarms on published corpora, where they are present; floors stand just under what was measured.

A corpus is never pooled with another: their labels mean different things.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.redaction.detectors import default_detectors, find_spans
from tests.bench.redaction_recall import left_out

DETECTORS = default_detectors()
# The labels with a checkable shape; names, places and dates need a model.
LABELS = {
    "presidio_research_pii": {
        "CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "DOMAIN_NAME", "PHONE_NUMBER",
    },
}  # fmt: skip


def rows(corpus: str) -> list[dict[str, Any]]:
    """Return the lines of a corpus; skip the test where the folder is absent."""
    folder = os.environ.get("MODELBREEDER_DATA")
    if not folder:
        pytest.skip("MODELBREEDER_DATA is not set: no corpora to measure recall on")
    path = Path(folder) / "redaction" / f"{corpus}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in MODELBREEDER_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def covered(text: str, start: int, end: int) -> bool:
    """Tell whether findings cover 90 % of a labelled span."""
    found = sum(max(0, min(end, span.end) - max(start, span.start)) for span in find_spans(text, DETECTORS))
    return found >= 0.9 * (end - start)


@pytest.mark.parametrize(
    ("corpus", "floor"),
    [
        ("gitleaks_rule_cases", 0.97),
        ("secretlint_snapshots", 0.90),
        ("presidio_research_pii", 0.97),
    ],
)
def test_recall_stays_above_what_was_reached(
    corpus: str, floor: float, record_property: Callable[[str, object], None]
) -> None:
    wanted = LABELS.get(corpus)
    hits = [
        covered(row["text"], start, end)
        for row in rows(corpus)
        for start, end, label in row["spans"]
        if wanted is None or label in wanted
    ]
    recall = sum(hits) / len(hits)
    record_property("recall", f"{corpus}: {recall:.3f} of {len(hits)}")
    assert recall >= floor


@pytest.mark.parametrize(
    ("corpus", "ceiling"),
    [
        ("benign_dev_lines", 0.010),
        ("gitleaks_rule_cases", 0.10),
        ("secretlint_snapshots", 0.35),
        ("presidio_research_pii", 0.0),
    ],
)
def test_benign_lines_are_flagged_no_more_often_than_measured(
    corpus: str, ceiling: float, record_property: Callable[[str, object], None]
) -> None:
    flagged = [bool(find_spans(row["text"], DETECTORS)) for row in rows(corpus) if row["kind"] == "benign"]
    share = sum(flagged) / len(flagged)
    record_property("flagged", f"{corpus}: {share:.3f} of {len(flagged)} benign lines")
    assert share <= ceiling


def test_most_secrets_are_found_without_the_rule_of_their_vendor(
    record_property: Callable[[str, object], None],
) -> None:
    rows("gitleaks_rule_cases")
    total = left_out(Path(os.environ["MODELBREEDER_DATA"], "redaction"))
    record_property("recall", f"a vendor's rule left out: {total.recall:.3f} of {total.spans}")
    assert total.recall >= 0.85
