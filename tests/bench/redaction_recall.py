"""`make bench-redaction`: what the detectors find of published test credentials and personal data, and what they mask
beside. Never the values: misses are shown by their rule and place in the file alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from registry.settings import RedactionSettings
from router.redaction.detectors import default_detectors
from router.redaction.presidio import PresidioPatterns
from router.redaction.spans import Detector, Span, find_spans
from router.redaction.vendor_keys import VENDOR_KEYS, VendorKeys
from tests.bench import redaction_held_out, redaction_unseen
from tests.bench.redaction_unseen import secret_lines
from tests.router.daemon import ROOT

SECRETS = ("gitleaks_rule_cases", "secretlint_snapshots")
PERSONAL = "presidio_research_pii"
PERSONAL_LABELS = (
    "EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "PHONE_NUMBER", "DOMAIN_NAME",
    "US_DRIVER_LICENSE",
)  # fmt: skip
"""The labels with a checkable shape, the last for Presidio's patterns alone; names, places and dates need a model."""
BENIGN = "benign_dev_lines"
_COVERED = 0.9
_SIZE = 100_000


@dataclass(slots=True)
class Score:
    """Counts over one corpus; characters are those outside of gold spans."""

    spans: int = 0
    caught: int = 0
    benign: int = 0
    flagged: int = 0
    outside: int = 0
    masked_outside: int = 0
    missed: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Share of the gold spans that are covered to nine tenths."""
        return self.caught / self.spans if self.spans else 1.0


def rows(folder: Path, corpus: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a corpus."""
    with gzip.open(folder / f"{corpus}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def score(given: Iterator[Mapping[str, Any]], detectors: Sequence[Detector], by: str) -> dict[str, Score]:
    """Score rows, grouped `by` "corpus", "rule" or "label"."""
    scores: dict[str, Score] = defaultdict(Score)
    for row in given:
        text, found = row["text"], find_spans(row["text"], detectors)
        masked = {place for span in found for place in range(span.start, span.end)}
        gold = [span for span in row["spans"] if by != "label" or span[2] in PERSONAL_LABELS]
        inside = {place for start, end, _ in row["spans"] for place in range(start, end)}
        for start, end, label in gold:
            one = scores[label if by == "label" else row[by]]
            hit = sum(place in masked for place in range(start, end)) >= _COVERED * (end - start)
            one.spans += 1
            one.caught += hit
            if not hit:
                one.missed.append(row["id"])
        one = scores["all" if by == "label" else row[by]]
        one.outside += len(text) - len(inside)
        one.masked_outside += len(masked - inside)
        if not row["spans"]:
            one.benign += 1
            one.flagged += bool(found)
            if found:
                one.flags.append(f"{row['id']} ({found[0].detector})")
    return scores


def left_out(folder: Path) -> Score:
    """Leave each vendor's rule out in turn; score what is found of the secrets that no other vendor's rule finds."""
    total = Score()
    given = [row for corpus in SECRETS for row in rows(folder, corpus) if row["spans"]]
    of_vendor: dict[str, list[tuple[Mapping[str, Any], int, int]]] = defaultdict(list)
    vendors = (VendorKeys(),)
    for row in given:
        by_name = defaultdict(list)
        for span in find_spans(row["text"], vendors):
            by_name[span.detector.removesuffix("-key")].append(span)
        for name, spans in by_name.items():
            of_vendor[name] += [(row, start, end) for start, end, _ in row["spans"] if _covers(spans, start, end)]
    for name, secrets in of_vendor.items():
        others, detectors = (VendorKeys((name,)),), default_detectors(without_vendors=(name,))
        for row, start, end in secrets:
            if not _covers(find_spans(row["text"], others), start, end):
                hit = _covers(find_spans(row["text"], detectors), start, end)
                total.spans += 1
                total.caught += hit
                total.missed += [] if hit else [f"{name}:{row['id']}"]
    return total


def _covers(found: Sequence[Span], start: int, end: int) -> bool:
    covered = sum(max(0, min(end, span.end) - max(start, span.start)) for span in found)
    return covered >= _COVERED * (end - start)


def unseen(tables: ModuleType, each: int = 21) -> tuple[Score, Score]:
    """Score secrets and everyday text made from public formats, no rule of a vendor among them on."""
    named = [name.replace(" ", "") for name in tables.SHAPED]
    ruled = [rule for rule in VENDOR_KEYS if any(name.startswith(rule) for name in named)]
    detectors = default_detectors(without_vendors=ruled)
    secrets, benign = Score(), Score()
    for name, line, secret in secret_lines(random.Random(1), each, tables.SHAPED, tables.NAMED):
        start = line.index(secret)
        secrets.spans += 1
        hit = _covers(find_spans(line, detectors), start, start + len(secret))
        secrets.caught += hit
        secrets.missed += [] if hit else [name]
    rng = random.Random(2)
    for name, text in ((name, make(rng)) for name, make in tables.BENIGN.items() for _ in range(each)):
        found = find_spans(text, detectors)
        benign.benign += 1
        benign.flagged += bool(found)
        benign.flags += [name] if found else []
        benign.outside += len(text)
        benign.masked_outside += sum(span.end - span.start for span in found)
    return secrets, benign


def speed(texts: Iterator[str], detectors: Sequence[Detector]) -> float:
    """Return the megabytes a second of a core of texts joined to 100 KB, the fastest of ten times, none remembered."""
    joined = "\n".join(texts)
    text = (joined * (_SIZE // len(joined) + 1))[:_SIZE]
    times = []
    for _ in range(10):
        begun = time.thread_time()
        find_spans(text, detectors)
        times.append(time.thread_time() - begun)
    return len(text.encode()) / min(times) / 1e6


def main() -> None:
    """Print the table; with `--missed` also what was missed, with `--presidio` what its patterns add."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--missed", action="store_true", help="name the rows that were missed or flagged")
    reader.add_argument("--presidio", action="store_true", help="let Presidio's patterns look too ([pii])")
    asked = reader.parse_args()
    data = os.environ.get("MODELBREEDER_DATA")
    if not data:
        sys.exit("MODELBREEDER_DATA names no folder; it needs redaction/*.jsonl.gz")
    folder, detectors = Path(data, "redaction"), default_detectors()
    if asked.presidio:
        detectors = (*detectors, PresidioPatterns(RedactionSettings().presidio_score))
    found = {name: score(rows(folder, name), detectors, "corpus")[name] for name in (*SECRETS, BENIGN)}
    found |= score(rows(folder, PERSONAL), detectors, "label")
    found[PERSONAL] = found.pop("all")
    found["leave one vendor out"] = left_out(folder)
    found["unseen vendors"], found["everyday text"] = unseen(redaction_unseen)
    found["unseen vendors, held out"], found["everyday text, held out"] = unseen(redaction_held_out)
    sys.stdout.write("| corpus or label | recall | benign flagged | masked outside |\n|---|---|---|---|\n")
    for name, one in found.items():
        recall = f"{one.recall:.3f} of {one.spans}" if one.spans else "-"
        flagged = f"{one.flagged / one.benign:.1%} of {one.benign}" if one.benign else "-"
        outside = f"{one.masked_outside / one.outside:.1%}" if one.outside else "-"
        sys.stdout.write(f"| {name} | {recall} | {flagged} | {outside} |\n")
        if asked.missed:
            sys.stdout.write(f"  missed: {' '.join(one.missed)}\n  flagged: {' '.join(one.flags)}\n")

    texts = {name: (row["text"] for row in rows(folder, name)) for name in (BENIGN, PERSONAL)}
    texts["code of the router"] = (path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("router/*.py")))
    texts["prose of the docs"] = (path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md")))
    for name, each in texts.items():
        rate = speed(each, detectors)
        sys.stdout.write(f"{name}: {rate:.0f} MB/s, {_SIZE / rate / 1e3:.1f} ms a 100 KB\n")


if __name__ == "__main__":
    main()
