"""Which workflow a task belongs to: the one that the client names, else the one with its prompt's template. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from registry.prompting import Prompt, fingerprint
from router.envelope import Match


def match_workflow(named: str | None, prompt: Prompt | None, by_fingerprint: Mapping[str, str]) -> Match:
    """Return the workflow of a task.

    Args:
        named: what the client says; a name that the registry does not know yet is kept, so that it can be mined.
        prompt: the masked single turn, None where the task is anything else.
        by_fingerprint: template fingerprint to workflow.

    """
    if named is not None:
        return Match(named, 1.0)
    workflow = by_fingerprint.get(fingerprint(prompt)) if prompt is not None else None
    return Match(workflow, 1.0) if workflow is not None else Match()
