"""Which workflow a task belongs to: the client's word, else its prompt's exact template, else likeness. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from registry.entities import Workflow
from registry.prompting import Prompt, fingerprint
from router.envelope import Match


class Alike(Protocol):
    """Tells which workflow a prompt is like; `router.likeness.Likenesses` does, which needs numpy."""

    def match(self, prompt: Prompt) -> tuple[str, float] | None:
        """Return the one workflow that a prompt is like, and how surely; None for none."""
        ...


def match_workflow(
    named: str | None, prompt: Prompt | None, by_fingerprint: Mapping[str, str], alike: Alike | None = None
) -> Match:
    """Return the workflow of a task.

    Args:
        named: what the client says; a name that the registry does not know yet is kept, so that it can be mined.
        prompt: the masked single turn, None where the task is anything else.
        by_fingerprint: template fingerprint to workflow.
        alike: what the prompts of all workflows are like, None where nothing is known of it.

    """
    if named is not None:
        return Match(named, 1.0)
    if prompt is None:
        return Match()
    workflow = by_fingerprint.get(fingerprint(prompt))
    if workflow is not None:
        return Match(workflow, 1.0)
    like = alike.match(prompt) if alike is not None else None
    return Match(*like) if like is not None else Match()


def workflows_by_fingerprint(workflows: Iterable[Workflow]) -> dict[str, str]:
    """Return which workflow a template tells; one that two workflows know tells neither."""
    pairs = [(mark, workflow.name) for workflow in workflows for mark in workflow.fingerprints]
    claims = Counter(mark for mark, _ in pairs)
    return {mark: name for mark, name in pairs if claims[mark] == 1}
