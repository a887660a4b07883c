from pathlib import Path
from random import Random

import pytest

from breeder.seedling import packing
from breeder.seedling.families import draw_example
from breeder.seedling.packing import PackedExamples, Packing, pack_examples
from breeder.seedling.vocabulary import prompt_text, train_tokenizer


@pytest.fixture
def work(tmp_path: Path) -> Path:
    rng = Random(1)
    train_tokenizer((prompt_text(draw_example(rng)) for _ in range(50)), 300).save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def packed(work: Path, workers: int = 1, count: int = 25, seed: int = 1) -> PackedExamples:
    return pack_examples(Packing(work, seed, count), workers, lambda line: None)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import the module afresh, so the size of chunks travels in what they are sent."""
    monkeypatch.setattr(packing, "_CHUNK", 10)


@pytest.mark.usefixtures("small_chunks")
def test_a_packed_file_does_not_depend_on_the_number_of_workers(work: Path) -> None:
    packed(work)
    files = [work / "examples.u16", work / "examples.npy"]
    alone = [path.read_bytes() for path in files]
    files[1].unlink()
    packed(work, workers=3)
    assert alone == [path.read_bytes() for path in files]
    assert not list(work.glob("*.partial"))


def test_draws_are_those_examples_and_depend_on_the_random_source_alone(work: Path) -> None:
    examples = packed(work)
    drawn = examples.draw(Random(5), 40)
    assert drawn == packed(work).draw(Random(5), 40)
    assert 15 < len({tuple(ids) for ids, _ in drawn}) <= 25
    user, assistant, end = 3, 4, 1
    for ids, quiet in drawn:
        assert user in ids[:quiet]
        assert (ids[quiet - 1], ids[-1]) == (assistant, end)


def test_another_seed_packs_other_examples(work: Path) -> None:
    first = packed(work).draw(Random(5), 5)
    (work / "examples.npy").unlink()
    assert first != packed(work, seed=2).draw(Random(5), 5)


def test_what_was_packed_before_is_opened_again(work: Path) -> None:
    packed(work)
    made = (work / "examples.u16").stat().st_mtime_ns
    packed(work)
    assert made == (work / "examples.u16").stat().st_mtime_ns


def test_packing_that_was_cut_off_is_done_again(work: Path) -> None:
    (work / "examples.u16").write_bytes(b"cut")
    (work / "examples.npy.partial").write_bytes(b"cut")
    assert len(packed(work).draw(Random(1), 3)) == 3
