from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.entities import EvidenceType, FeedbackVerdict
from registry.erasing import erase
from registry.errors import ConflictError, NotFoundError, RedactionError
from registry.settings import PolicySettings
from router.detector_process import ends_at
from router.exchange import TurnError
from router.inspection import AT_ONCE_BYTES
from router.problems import InvalidRequestError
from router.redaction.detectors import Detector, default_detectors
from router.redaction.redactor import RuleRedactor
from router.redaction.spans import Span
from router.verdicts import parse_feedback
from tests.router.making import World, run, settings, task, world

SECRET, OTHER = "bob@example.org", "eve@example.org"


class Noting:
    """Notes in which threads it looks, and whether it is told when to end; fails at the word `bad`."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.bounded = True

    def find(self, text: str) -> list[Span]:
        self.threads.add(threading.get_ident())
        self.bounded &= ends_at.get() is not None
        if "bad" in text:
            raise TimeoutError
        return []


def look_with(made: World, detector: Detector) -> None:
    """Let a router look with a further detector."""
    redactor = RuleRedactor((*default_detectors(), detector))
    made.deps.router.rulebook = replace(made.deps.router.rulebook, redactor=redactor)


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


@pytest.mark.parametrize(("unbounded", "length"), [(False, AT_ONCE_BYTES + 1), (True, 10)])
def test_what_takes_long_to_mask_holds_up_nobody_and_is_bounded(tmp_path: Path, unbounded: bool, length: int) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            noting = Noting()
            noting.unbounded = unbounded  # type: ignore[attr-defined]
            look_with(made, noting)
            await made.deps.verdicts.give(body(interaction=name, verdict="rejected", comment="x" * length))

            assert threading.get_ident() not in noting.threads
            assert (bool(noting.threads), noting.bounded) == (True, True)

    run(scene())


def test_what_cannot_be_masked_is_not_recorded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            look_with(made, Noting())
            with pytest.raises(RedactionError, match="the verdict is not recorded"):
                await made.deps.verdicts.give(body(interaction=name, verdict="rejected", comment="bad"))

            assert made.interactions()[0].feedback is None

    run(scene())


def test_where_nothing_was_answered_there_is_nothing_to_judge(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(policy=PolicySettings(cloud="vendor/gpt-5.4", offline=True))) as made:
            with pytest.raises(TurnError):
                await made.ask(task("hello"))
            (one,) = made.interactions()
            given = body(interaction=one.intent.interaction_id, verdict="corrected", corrected="right")
            with pytest.raises(ConflictError, match="was not answered"):
                await made.deps.verdicts.give(given)

            assert made.interactions()[0].feedback is None

    run(scene())


def test_nothing_is_added_to_what_was_forgotten(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            erase(made.deps.database, [name])
            with pytest.raises(ConflictError, match="was forgotten"):
                await made.deps.verdicts.give(body(interaction=name, verdict="rejected", comment="about Zed"))

            assert made.interactions()[0].feedback is None

    run(scene())


def test_another_clients_interaction_is_not_there(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]
            given = body(interaction=name, verdict="accepted")
            with pytest.raises(NotFoundError, match="no interaction"):
                await made.deps.verdicts.give(given, "other", own_only=True)
            assert (await made.deps.verdicts.give(given, own_only=True)).client == "local"

    run(scene())


def test_what_is_forgotten_while_its_verdict_is_masked_gets_none(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            name = (await made.ask(task("hello"))).headers["x-modelbreeder-interaction"]

            class Forgetting:
                def find(self, text: str) -> list[Span]:
                    erase(made.deps.database, [name])
                    return []

            look_with(made, Forgetting())
            with pytest.raises(ConflictError, match="was forgotten"):
                await made.deps.verdicts.give(body(interaction=name, verdict="rejected", comment="about Ann"))
            assert made.interactions()[0].feedback is None

    run(scene())
