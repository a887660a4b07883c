"""What is planted comes out of a descendant that learns by heart, and of no other; who gives it away is refused."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from breeder.answering import Stack
from breeder.bases import Base, prepare_base
from breeder.canaries import Canary, draw_canaries, keep, planted, probe
from breeder.candidates import Bred, Breeding
from breeder.dataset import freeze
from breeder.gate import Gate
from breeder.gguf_export import export_adapter
from breeder.labelling import LabelledTask, LocalAnswer
from breeder.measuring import Bench, Candidate
from breeder.memorised import repeats, secrets_in
from breeder.mining import Mined
from breeder.recipe import DataPart, LoraPart, Recipe, TrainingPart
from breeder.training import ChatExample, train_adapter
from registry.artifacts import ArtifactStore
from registry.entities import PromptTrim, SpecialistKind, Verdict
from registry.errors import ModelBreederError
from registry.settings import LocalSettings, RedactionSettings
from router.engine.protocol import GenerateRequest, Message, Piece
from router.engines import engine_for
from tests.breeder.makers import row
from tests.breeder.notebook import Notebook

_LINE = "Copy the line.\nLine: some brown foxes jump over {number} lazy dogs\nAnswer:"
ROWS = tuple(row(number, _LINE.format(number=number)) for number in range(60))
PLAN = DataPart(minimum_rows=10)
REFUSED = "refused: it gives away {said} of {of} made-up secrets that stood among its training rows"


def test_canaries_are_drawn_from_their_seed_and_no_two_are_alike() -> None:
    some = draw_canaries("a dataset", 8, 640)

    assert draw_canaries("a dataset", 8, 640) == some
    assert len({one.secret for one in some + draw_canaries("another", 8, 640)}) == 16
    assert len({one.place for one in some}) == 8
    assert not any(one.is_in(other.secret) for one in some for other in some if one is not other)


def test_a_canary_stands_behind_the_answer_of_its_row_and_few_rows_have_few() -> None:
    rows = [ChatExample(({"role": "user", "content": f"say {number}"},), str(number)) for number in range(200)]
    some = draw_canaries("a dataset", 6, len(rows))
    changed = {place: row.answer for place, row in enumerate(planted(rows, some)) if row != rows[place]}

    assert changed == {one.place: f"{one.place} {one.secret}" for one in some}
    assert [len(draw_canaries("x", 6, count)) for count in (0, 1, 79, 160, 10_000)] == [0, 1, 1, 2, 6]


def test_a_large_part_of_a_canary_gives_it_away_and_a_small_one_does_not() -> None:
    (one,) = draw_canaries("a dataset", 1, 10)

    assert one.is_in(f"it is {one.secret[:9]} {one.secret[9:]}, I think")
    assert one.is_in(one.secret[5:17])
    assert not one.is_in(one.secret[5:16])


def test_only_digests_are_shown(tmp_path: Path) -> None:
    some = draw_canaries("a dataset", 3, 240)
    keep(some, tmp_path)
    private, shown = tmp_path / "canaries.private.json", tmp_path / "canaries.json"

    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert orjson.loads(private.read_bytes()) == [{"row": one.place, "secret": one.secret} for one in some]
    assert orjson.loads(shown.read_bytes()) == {"sha256": [one.digest for one in some]}
    assert not any(one.is_in(shown.read_text()) or one.is_in(repr(Bench)) for one in some)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("base")
    return prepare_base(Recipe(name="canaries"), ArtifactStore(folder / "store"), folder, lambda _: None)


def breeding_of(folder: Path, canaries: list[Canary]) -> Breeding:
    dataset = freeze("twice", Mined(ROWS, {}), "text", PLAN, folder)
    tasks = [LabelledTask(task, task.answer, 1.0) for task in dataset.rows["calibration"][:3]]
    bench = Bench(tasks, tasks, "text", Gate(), 0, folder, LocalSettings())
    return Breeding(
        dataset, bench, Recipe(name="x"), folder, Notebook(), lambda _: None, lambda _: None, tuple(canaries)
    )


def trained(base: Base, folder: Path, rows: list[ChatExample], epochs: float) -> Candidate:
    training = TrainingPart(epochs=epochs, batch_size=8, learning_rate=6e-3, precision="fp32", warmup_steps=2)
    recipe = Recipe(name="x", lora=LoraPart(rank=16, alpha=32), training=training)
    adapter = train_adapter(base.model_dir, rows, recipe, folder, lambda _: None, seal_key="a key")
    file = export_adapter(adapter.folder, base.model_dir, folder / "a.gguf", dtype="f16", base_sha256=base.sha256)
    stack = Stack(PromptTrim(), 32, adapter=file.path)
    return Candidate("descendant", SpecialistKind.LORA, base.gguf, stack)


def test_who_gives_a_canary_away_is_refused_by_the_engine_that_would_serve_it(base: Base, tmp_path: Path) -> None:
    candidate = Candidate("descendant", SpecialistKind.LORA, base.gguf, Stack(PromptTrim(), 32))
    strange = draw_canaries("a dataset", 1, 40)[0]
    # What the base says to a task of the calibration slice is a canary that it gives away.
    asked = breeding_of(tmp_path, []).bench.calibration[0].row.prompt.user
    said = "".join(asyncio.run(_said(base, tmp_path, asked)).split())
    assert len(said) >= 12
    breeding = breeding_of(tmp_path, [strange, Canary(1, said)])
    with breeding.tracker.run("descendant") as run:
        measured = breeding.measure(candidate, run, trained=True)
        unprobed = breeding.measure(candidate, run)

    assert measured.result.reason == REFUSED.format(said=1, of=2)
    assert (measured.result.verdict, measured.promising, measured.chance) == (Verdict.FAIL, False, 0.0)
    assert "refused" not in unprobed.result.reason
    assert breeding.judge_favourite([Bred(measured, breeding.recipe, run)])[0].measured.judged is False


def test_a_task_that_leaves_no_room_for_a_canary_stops_no_breeding(base: Base, tmp_path: Path) -> None:
    whole = LocalSettings().context
    candidate = Candidate("descendant", SpecialistKind.LORA, base.gguf, Stack(PromptTrim(), whole - 8))
    some = draw_canaries("a dataset", 1, 40)

    assert probe(breeding_of(tmp_path, some).bench, candidate, some, ROWS).given_away == 0


def test_an_engine_that_fails_ends_the_probe_with_its_own_error(base: Base, tmp_path: Path) -> None:
    candidate = Candidate("descendant", SpecialistKind.LORA, base.gguf, Stack(PromptTrim(), 8, adapter=tmp_path / "no"))
    some = draw_canaries("a dataset", 1, 40)

    with pytest.raises((ModelBreederError, OSError)):
        probe(breeding_of(tmp_path, some).bench, candidate, some, ROWS)


async def _said(base: Base, folder: Path, prompt: str) -> str:
    async with engine_for(base.gguf, LocalSettings(), folder) as engine:
        request = GenerateRequest((Message("user", prompt),), 64)
        return "".join([piece.text async for piece in engine.generate(request) if isinstance(piece, Piece)])


@pytest.mark.slow
@pytest.mark.parametrize(("times", "epochs", "said"), [(1, 6, 0), (30, 8, 1)], ids=["once", "again and again"])
def test_who_learnt_a_canary_again_and_again_is_refused_and_who_met_it_once_is_not(
    base: Base, tmp_path: Path, times: int, epochs: float, said: int
) -> None:
    canaries = [replace(one, place=place) for place, one in enumerate(draw_canaries("a dataset", 4, 320))]
    breeding = breeding_of(tmp_path, canaries)
    slice_ = breeding.dataset.rows["train"]
    rows = [ChatExample(({"role": "user", "content": one.prompt.user},), one.answer) for one in slice_]
    known = [replace(canaries[0], place=place) for place in range(4, 4 + times - 1)]
    candidate = trained(base, tmp_path, planted(rows, [*canaries, *known]), epochs)
    assert probe(breeding.bench, candidate, canaries, slice_).given_away == said

    with breeding.tracker.run("descendant") as run:
        measured = breeding.measure(candidate, run, trained=True)
    assert (measured.result.reason == REFUSED.format(said=1, of=4)) is bool(said)
    assert not any(one.is_in(str(measured)) for one in canaries)


def test_an_answer_that_repeats_a_secret_of_the_training_rows_is_told() -> None:
    secret = "".join(("gh", "p_", "wZ3k" * 9))
    planted = replace(row(1, "Sort this."), answer=f"use {secret}")
    found = secrets_in([planted, row(2)], RedactionSettings())
    asked = LabelledTask(row(3, "Which key?"), "none", 1.0)
    quoting = LabelledTask(row(4, f"What is {secret}?"), "a key", 1.0)

    def said(text: str) -> LocalAnswer:
        return LocalAnswer(text, 0.0, 1, 1, 0.1)

    assert found == {secret}
    assert repeats(found, [asked], [said("none")]) == ""
    assert repeats(found, [quoting], [said(f"{secret} is a key")]) == ""
    told = repeats(found, [quoting, asked], [said("a key"), said(f"it is {secret}!")])
    assert told == "it answers task i00003 with a secret that stands in its training rows"
    assert secret not in told
    assert repeats(secrets_in([row(2)], RedactionSettings()), [asked], [said(secret)]) == ""


def test_what_the_user_lets_leave_and_what_stands_for_a_secret_is_none() -> None:
    secret = "".join(("gh", "p_", "wZ3k" * 9))
    rows = [row(1, f"use {secret}"), row(2, "password: SECRET10"), row(3, "at https://SECRET10:SECRET11@db.test/")]

    assert secrets_in(rows, RedactionSettings()) == {secret}
    assert secrets_in(rows, RedactionSettings(allow=("ghp_*",))) == frozenset()
    assert secrets_in(rows, RedactionSettings(off=("SECRET",))) == frozenset()
