from __future__ import annotations

from registry.prompting import Prompt, fingerprint
from router.envelope import Match
from router.matching import match_workflow

PROMPT = Prompt("", "Classify this commit.\nfix 12 typos")
KNOWN = {fingerprint(PROMPT): "commit-type"}


def test_the_clients_word_comes_first_even_for_a_workflow_nobody_knows() -> None:
    assert match_workflow("new-one", PROMPT, KNOWN) == Match("new-one", 1.0)


def test_a_template_is_recognised_whatever_varies_below_it() -> None:
    assert match_workflow(None, Prompt("", "Classify this commit.\nother"), KNOWN) == Match("commit-type", 1.0)


def test_other_prompts_and_other_shapes_match_nothing() -> None:
    assert match_workflow(None, Prompt("", "Translate this.\nx"), KNOWN) == Match()
    assert match_workflow(None, None, KNOWN) == Match()
