from __future__ import annotations

from datetime import UTC, datetime

from registry.entities import Workflow
from registry.prompting import Prompt, fingerprint
from router.envelope import Match
from router.matching import match_workflow, workflows_by_fingerprint

PROMPT = Prompt("", "Classify this commit.\nfix typo")
KNOWN = {fingerprint(PROMPT): "commit-type"}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Likes:
    """Takes every prompt for one workflow's."""

    def match(self, prompt: Prompt) -> tuple[str, float] | None:
        return ("release-note", 0.75) if prompt.user else None


def test_the_clients_word_counts_even_where_the_registry_does_not_know_it() -> None:
    assert match_workflow("new-one", PROMPT, KNOWN, Likes()) == Match("new-one", 1.0)


def test_a_prompt_with_a_known_template_belongs_to_its_workflow_whatever_it_is_like() -> None:
    other = Prompt("", "Classify this commit.\nother")
    assert match_workflow(None, other, KNOWN, Likes()) == Match("commit-type", 1.0)


def test_a_prompt_of_no_known_template_goes_by_likeness_and_is_less_sure() -> None:
    assert match_workflow(None, Prompt("", "Translate this.\nx"), KNOWN, Likes()) == Match("release-note", 0.75)


def test_anything_else_belongs_to_no_workflow() -> None:
    assert match_workflow(None, Prompt("", "Translate this.\nx"), KNOWN) == Match()
    assert match_workflow(None, Prompt("", ""), KNOWN, Likes()) == Match()
    assert match_workflow(None, None, KNOWN, Likes()) == Match()


def test_a_template_that_two_workflows_know_tells_neither() -> None:
    workflows = [Workflow("a", ("x", "y"), "text", NOON), Workflow("b", ("y", "z"), "text", NOON)]
    assert workflows_by_fingerprint(workflows) == {"x": "a", "z": "b"}
