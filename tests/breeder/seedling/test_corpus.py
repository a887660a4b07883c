import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from breeder.seedling.corpus import Shards, find_shards, text_pieces
from breeder.seedling.pretrain import raise_seedling
from breeder.seedling.recipe import Phase, SeedlingRecipe, SeedlingShape, TokenizerRecipe
from registry.errors import DataError

RECIPE = SeedlingRecipe(
    steps=3,
    shape=SeedlingShape(hidden_size=32, layers=1, heads=2, kv_heads=1, head_size=16, intermediate_size=64),
    tokenizer=TokenizerRecipe(vocabulary_size=320, examples=50),
    phases=(Phase(until=1.0, rows=2, length=64, text_share=0.5),),
    text_shards=("*",),
    score_examples=1,
    threads=1,
    device="cpu",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with two shards, and beside them what pretraining must not see."""
    folder = tmp_path / "data"
    for place, texts in {
        "corpus/b.jsonl.gz": ["b0", "b1"],
        "corpus/a.jsonl.gz": ["a0 " * 100, "a1", "a2"],
        "workloads/w.jsonl.gz": ["seen by nobody"],
    }.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / place, "wt") as lines:
            lines.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return folder


def pieces(data: Path, *names: str, limit: int = 10_000) -> list[str]:
    return [text for _, text in text_pieces(find_shards(data, names), limit)]


def test_a_star_takes_every_shard_in_turn(data: Path) -> None:
    assert pieces(data, "*") == ["a0 " * 100, "b0", "a1", "b1", "a2"]
    assert pieces(data, "b") == ["b0", "b1"]


def test_text_ends_at_the_limit(data: Path) -> None:
    assert pieces(data, "b", limit=3) == ["b0"]


def test_what_is_not_there_is_told_in_one_line(data: Path, tmp_path: Path) -> None:
    assert find_shards(None, ()).note is None
    assert "MODELBREEDER_DATA names no folder" in (find_shards(None, ["*"]).note or "")
    assert f"{tmp_path}/corpus has no *.jsonl.gz" in (find_shards(tmp_path, ["*"]).note or "")
    some, every = find_shards(data, ["b", "c"]), find_shards(data, ["c", "*"])
    assert [path.name for path in some.paths] == ["b.jsonl.gz"]
    assert [path.name for path in every.paths] == ["a.jsonl.gz", "b.jsonl.gz"]
    assert every.note == some.note
    assert (some.note or "").endswith("corpus lacks c: left out")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b'{"text": "fine"}\n{"text": \n'), "line 2: not {"),
        (gzip.compress(b'{"txt": "fine"}\n'), "line 1: not {"),
        (gzip.compress(b'{"text": "\xff"}\n'), "line 1: not {"),
        (gzip.compress(b'["text"]\n'), "line 1: not {"),
        (gzip.compress(b'{"text": "fine"}\n' * 9)[:-8], "line 10: cannot be read"),
        (b"no gzip at all", "line 1: cannot be read"),
    ],
    ids=["cut line", "no text", "not UTF-8", "no object", "cut file", "no gzip"],
)
def test_a_damaged_shard_is_told_with_its_line(data: Path, content: bytes, told: str) -> None:
    damaged = data / "corpus" / "b.jsonl.gz"
    damaged.write_bytes(content)
    with pytest.raises(DataError) as caught:
        pieces(data, "*")
    assert f"{damaged}, {told}" in str(caught.value)


def test_a_link_out_of_the_corpus_is_refused(data: Path) -> None:
    (data / "corpus" / "c.jsonl.gz").symlink_to(data / "workloads" / "w.jsonl.gz")
    with pytest.raises(DataError, match=r"c\.jsonl\.gz is a link to .*workloads"):
        find_shards(data, ["*"])


@contextmanager
def opened_below(folder: Path) -> Iterator[list[str]]:
    """Yield the list of files and folders below `folder` that this process opens or lists."""
    seen: list[str] = []
    watching = [True]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching[0] and event in {"open", "os.listdir", "os.scandir"} and str(folder) in str(arguments[0]):
            seen.append(str(arguments[0]))

    sys.addaudithook(watch)
    try:
        yield seen
    finally:
        watching[0] = False


def test_a_pretraining_opens_nothing_of_the_data_folder_but_the_corpus(data: Path, tmp_path: Path) -> None:
    with opened_below(data) as seen:
        raise_seedling(RECIPE, tmp_path / "seedling", data=data)
    assert {f"{data}/corpus/a.jsonl.gz", f"{data}/corpus/b.jsonl.gz"} <= set(seen)
    assert {path for path in seen if not path.startswith(f"{data}/corpus")} == set()


def test_without_a_data_folder_the_families_alone_are_trained_on(tmp_path: Path) -> None:
    told: list[str] = []
    made = raise_seedling(RECIPE, tmp_path / "seedling", report=told.append)
    assert made.step == 3
    assert [line for line in told if "no plain text" in line]
    assert Shards() == find_shards(None, ())
