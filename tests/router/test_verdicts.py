from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.entities import EvidenceType, FeedbackVerdict
from registry.errors import NotFoundError
from router.problems import InvalidRequestError
from router.verdicts import parse_feedback
from tests.router.making import run, task, world

SECRET, OTHER = "bob@example.org", "eve@example.org"


def body(**fields: Any) -> Any:
    return parse_feedback(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"verdict": "accepted"}, "interaction"),
        ({"interaction": "i", "verdict": "fine"}, "verdict"),
        ({"interaction": "i", "verdict": "corrected"}, None),
        ({"interaction": "i", "verdict": "accepted", "corrected": "x"}, None),
        ({"interaction": "i", "verdict": "accepted", "score": 2}, "score"),
        ({"interaction": "i", "verdict": "accepted", "stars": 5}, "stars"),
    ],
)
def test_feedback_that_cannot_be_read_names_the_field(fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        body(**fields)

    assert caught.value.param == param


def test_a_correction_is_masked_with_the_placeholders_of_its_request(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = await made.ask(task(f"mail {SECRET} and {OTHER}"))
            name = wire.headers["x-modelbreeder-interaction"]
            given = body(
                interaction=name, verdict="corrected", corrected=f"to {OTHER}", comment=f"not {SECRET}", score=0.5
            )
            await made.deps.verdicts.give(given)
            (one,) = made.interactions()

            assert one.feedback is not None
            assert one.feedback.verdict is FeedbackVerdict.CORRECTED
            corrected, comment = one.feedback.corrected, one.feedback.comment
            assert (corrected, comment) == ("to PIIEMAIL2@masked.invalid", "not PIIEMAIL1@masked.invalid")
            assert one.feedback.score == 0.5
            assert [note.type for note in one.evidence] == [EvidenceType.REJECTED]

    run(scene())


def test_a_correction_after_the_values_are_forgotten_is_masked_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            await made.deps.verdicts.give(body(interaction=name, verdict="corrected", corrected=f"to {OTHER}"))
            feedback = made.interactions()[0].feedback

            assert feedback is not None
            assert feedback.corrected == "to PIIEMAIL1@masked.invalid"

    run(scene())


def test_an_accepted_answer_is_no_evidence(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            await made.deps.verdicts.give(body(interaction=name, verdict="accepted"))

            assert made.interactions()[0].evidence == ()

    run(scene())


def test_feedback_on_nothing_is_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            with pytest.raises(NotFoundError):
                await made.deps.verdicts.give(body(interaction="nope", verdict="rejected"))

    run(scene())
