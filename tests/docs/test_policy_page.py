from __future__ import annotations

from pathlib import Path

from router.policy_notes import OWN_RULES, rule_notes
from tests.docs.policy_page import PAGE, examples, written

NOT_SHOWN = ("tool-loop",)
"""What decides by what a daemon remembers of earlier requests, which one request cannot show."""
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_says_what_explain_prints_and_which_rules_and_features_there_are(tmp_path: Path) -> None:
    anew = written(TEXT, tmp_path)

    assert anew.splitlines() == TEXT.splitlines(), "`python -P -m tests.docs.policy_page` writes the page anew"


def test_the_page_has_at_least_twenty_examples_in_which_every_rule_decides_that_one_request_can_show() -> None:
    said = [TEXT[one.start : one.end] for one in examples(TEXT)]
    rules = [note.name for note in rule_notes() if note.name not in (OWN_RULES, *NOT_SHOWN)]

    assert len(said) >= 20
    assert [rule for rule in rules if not any(f" by rule {rule}: " in one for one in said)] == []
