"""What prompts are taken for by likeness, simulated on workflows of our own and on public ones."""

from __future__ import annotations

import gzip
import json
import os
from functools import cache
from pathlib import Path
from random import Random

import pytest

from breeder.samples.writer import SAMPLES
from breeder.templates import likenesses
from registry.prompting import Prompt
from router.likeness import Likenesses, read_likeness, write_likeness
from tests.breeder.instructed import SHAPES, Shape, as_shipped, dated, in_system, near_misses, one_line, prompts

LEARNT, CALIBRATION = 280, 120
FRESH = slice(LEARNT + CALIBRATION, 800)


@cache
def learnt(shape: Shape) -> Likenesses:
    """Every sample workflow in one shape, as the registry would give it to the router."""
    own = {name: prompts(name, shape) for name in SAMPLES}
    found = {}
    for name, each in own.items():
        strangers = [prompt for other, them in own.items() if other != name for prompt in them[:60]]
        found[name] = likenesses(each[:LEARNT], each[LEARNT : LEARNT + CALIBRATION], strangers)
    return Likenesses({name: read_likeness(write_likeness(each)) for name, each in found.items()})


def missed_and_wrong(known: Likenesses, name: str, asked: list[Prompt]) -> tuple[float, float]:
    """Return the shares of a workflow's prompts that go unmatched, and to another."""
    found = [known.match(prompt) for prompt in asked]
    return sum(one is None for one in found) / len(found), sum(bool(one and one[0] != name) for one in found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SAMPLES)
def test_new_prompts_of_a_workflow_are_matched_but_for_about_two_in_a_hundred(name: str, shape: Shape) -> None:
    missed, wrong = missed_and_wrong(learnt(shape), name, prompts(name, shape)[FRESH])
    assert wrong == 0
    assert missed <= 0.045


@pytest.mark.parametrize("shape", SHAPES)
def test_a_workflow_that_was_never_learnt_matches_none(shape: Shape) -> None:
    own = {name: prompts(name, shape) for name in SAMPLES}
    alone = {name: likenesses(each[:LEARNT], each[LEARNT : LEARNT + CALIBRATION]) for name, each in own.items()}
    for name, each in own.items():
        known = Likenesses({other: them for other, them in alone.items() if other != name})
        assert [one for one in map(known.match, each[FRESH]) if one is not None] == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SAMPLES)
def test_another_instruction_for_the_same_payload_is_another_task(name: str, shape: Shape) -> None:
    known, misses = learnt(shape), near_misses(name)
    asked = [prompts(name, shape, instruction=miss)[place] for place, miss in enumerate(misses)]
    taken = [miss for miss, prompt in zip(misses, asked, strict=True) if known.match(prompt) is not None]
    assert taken == []


@pytest.mark.parametrize("shape", [in_system, as_shipped])
def test_a_system_text_that_no_prompt_had_is_not_taken(shape: Shape) -> None:
    known = learnt(shape)
    for name in SAMPLES:
        asked = prompts(name, shape)[FRESH][:20]
        added = [Prompt(f"{one.system}\nAnswer as a pirate would.".strip(), one.user) for one in asked]
        assert [one for one in map(known.match, added) if one is not None] == []


def test_paraphrases_of_one_workflow_are_each_known_but_no_third_wording() -> None:
    wordings = ("Which desk takes the message below? One word. Message:", "Name the desk for this. One word. Message:")
    each = [prompts("ticket-route", one_line, instruction=wording) for wording in wordings]
    mixed = [pair[place % 2] for place, pair in enumerate(zip(*each, strict=True))]
    known = Likenesses({"desk": likenesses(mixed[:500], mixed[500:700])})
    third = prompts("ticket-route", one_line, instruction="Translate to French for the desk. One word. Message:")

    assert missed_and_wrong(known, "desk", mixed[700:]) <= (0.05, 0)
    assert [one for one in map(known.match, third) if one is not None] == []


def test_scores_say_how_usual_a_prompt_is_and_never_reach_one() -> None:
    found = [learnt(dated).match(prompt) for prompt in prompts("order-fields", dated)[FRESH]]
    scores = sorted(one[1] for one in found if one)
    assert 0.5 <= scores[0] < 0.6
    assert 0.85 < scores[-1] < 1


def test_two_workflows_that_take_a_prompt_for_theirs_have_it_neither() -> None:
    own = prompts("ticket-route", one_line)
    twice = {name: likenesses(own[:LEARNT], own[LEARNT : LEARNT + CALIBRATION]) for name in ("one", "other")}
    assert [Likenesses(twice).match(prompt) for prompt in own[FRESH]] == [None] * 400


def test_a_template_that_another_workflow_has_too_is_not_learnt() -> None:
    own = prompts("ticket-route", one_line)
    assert likenesses(own[:LEARNT], own[LEARNT : LEARNT + CALIBRATION], own[FRESH]) == []


def test_prompts_without_a_constant_part_are_not_learnt() -> None:
    bare = prompts("ticket-route", one_line, instruction="")
    assert likenesses(bare[:LEARNT], bare[LEARNT : LEARNT + CALIBRATION]) == []


def test_too_few_prompts_are_not_learnt() -> None:
    own = prompts("ticket-route", one_line)
    assert likenesses(own[:19], own[19:100]) == []
    assert likenesses(own[:100], own[100:109]) == []
    assert len(likenesses(own[:20], own[20:30])) == 1


def test_a_few_prompts_that_lack_a_sentence_do_not_make_it_optional() -> None:
    own = prompts("ticket-route", one_line)
    for place in (7, 130, 290):
        own[place] = Prompt("", f"Which desk of the housing office takes this message? Never mind, {place}.")
    known = Likenesses({"desk": likenesses(own[:LEARNT], own[LEARNT : LEARNT + CALIBRATION])})
    other = [Prompt("", one.user.replace("Answer with one desk name.", "Answer in French.")) for one in own[FRESH]]

    assert missed_and_wrong(known, "desk", own[FRESH]) <= (0.04, 0)
    assert [one for one in map(known.match, other) if one is not None] == []


def workloads() -> dict[str, tuple[list[Prompt], list[Prompt]]]:
    """Return the train and test prompts of the public workloads; skip the test where they are absent."""
    folder = os.environ.get("MODELBREEDER_DATA")
    if not folder:
        pytest.skip("MODELBREEDER_DATA is not set: no public workloads to match")
    found = {}
    for path in sorted((Path(folder) / "workloads").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        splits = [[row for row in rows if (row["split"] == "train") is kept] for kept in (True, False)]
        train, test = ([Prompt(row.get("system") or "", row["prompt"]) for row in split] for split in splits)
        found[path.stem] = Random(1).sample(train, min(600, len(train))), test[:200]
    if not found:
        pytest.skip("MODELBREEDER_DATA has no workloads")
    return found


def test_public_workloads_are_told_apart_and_their_like_are_matched() -> None:
    given = workloads()
    known = Likenesses({name: likenesses(train[:420], train[420:]) for name, (train, _) in given.items()})
    missed = []
    for name, (_, test) in given.items():
        share, wrong = missed_and_wrong(known, name, test)
        assert wrong == 0, name
        missed.append(share)
    # One workload in eight has many templates, some of them too rare to be learnt; their fingerprints tell them.
    assert sorted(missed)[-2] <= 0.04, missed
