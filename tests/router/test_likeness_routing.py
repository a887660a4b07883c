"""Prompts that no template tells, through the whole turn: served by likeness, or by the cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breeder.templates import likenesses
from registry.entities import PromptTrim, Workflow
from registry.prompting import Prompt
from router.likeness import write_likeness
from tests.breeder.instructed import one_line, prompts
from tests.router.making import NOON, World, run, task, world

OWN = prompts("ticket-route", one_line)
TRIM = PromptTrim(prefix="Which desk of the housing office takes this message? ")


def promote(made: World, trim: PromptTrim = TRIM) -> None:
    """Make a champion for a workflow that is known by likeness alone."""
    made.promote(workflow="desk", fingerprints=(), trim=trim)
    likeness = write_likeness(likenesses(OWN[:280], OWN[280:400]))
    made.catalog.put_workflow(Workflow("desk", (), "text", NOON, likeness))


def lane_of(tmp_path: Path, body: dict[str, Any], trim: PromptTrim = TRIM) -> tuple[str, str | None, float]:
    """Return the lane of one request, its workflow, and how surely."""
    found: list[tuple[str, str | None, float]] = []

    async def scene() -> None:
        async with world(tmp_path) as made:
            promote(made, trim)
            wire = await made.ask(body)
            (one, *_) = made.interactions()
            envelope = one.intent.envelope
            found.append((wire.headers["x-modelbreeder-lane"], envelope.workflow, envelope.match_score))

    run(scene())
    return found[0]


@pytest.mark.parametrize("place", [500, 501, 502])
def test_a_prompt_that_is_like_the_workflows_own_is_served_locally(tmp_path: Path, place: int) -> None:
    lane, workflow, score = lane_of(tmp_path, task(OWN[place].user))
    assert (lane, workflow) == ("local_fast", "desk")
    assert 0.5 <= score < 1


@pytest.mark.parametrize(
    "text",
    [
        OWN[500].user.replace("one desk name", "one cheerful poem"),
        OWN[500].user.replace("housing office", "tax office"),
        f"{OWN[500].user.split('Message:')[0]}Message:  {'lorem ipsum dolor ' * 40}",
        "Tell me about desks.",
    ],
    ids=["another answer", "another office", "a strange payload", "another task"],
)
def test_any_other_prompt_goes_to_the_cloud_and_belongs_to_no_workflow(tmp_path: Path, text: str) -> None:
    assert lane_of(tmp_path, task(text)) == ("cloud_escalation", None, 0.0)


def test_a_prompt_that_does_not_fit_the_champions_trim_goes_to_the_cloud(tmp_path: Path) -> None:
    narrower = PromptTrim(prefix=TRIM.prefix, suffix=" Yours, Ann.")
    lane, workflow, _ = lane_of(tmp_path, task(OWN[500].user), narrower)
    assert (lane, workflow) == ("cloud_escalation", "desk")


def test_a_conversation_is_like_nothing(tmp_path: Path) -> None:
    turns = [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": OWN[500].user}]
    assert lane_of(tmp_path, task("x", messages=turns)) == ("cloud_escalation", None, 0.0)


def test_masked_values_do_not_hide_a_prompt(tmp_path: Path) -> None:
    prompt = Prompt("", OWN[500].user + " Mail ann@example.org.")
    assert lane_of(tmp_path, task(prompt.user))[1] == "desk"
