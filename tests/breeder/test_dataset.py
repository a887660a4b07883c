from pathlib import Path

import pytest

from breeder.dataset import freeze, load
from breeder.mining import Mined, Tier
from breeder.recipe import DataPart
from registry.errors import ArtifactError, DataError
from tests.breeder.makers import mined, row

PLAN = DataPart(minimum_rows=40)


def test_the_newest_slice_is_the_holdout_and_the_slices_are_disjoint_and_complete(tmp_path: Path):
    frozen = freeze("w", mined(100), "text", PLAN, tmp_path)
    newest = {name: max(row.at_utc for row in rows) for name, rows in frozen.rows.items()}
    oldest = {name: min(row.at_utc for row in rows) for name, rows in frozen.rows.items()}
    assert newest["train"] < oldest["calibration"] <= newest["calibration"] < oldest["holdout"]
    assert [len(frozen.rows[name]) for name in ("train", "calibration", "holdout")] == [60, 15, 25]


def test_the_same_rows_freeze_to_the_same_digest_and_read_back_the_same(tmp_path: Path):
    first = freeze("w", mined(80), "text", PLAN, tmp_path / "a")
    again = freeze("w", mined(80), "text", PLAN, tmp_path / "b")
    assert first.digest == again.digest
    assert load(first.folder) == first
    assert tuple(first.rows["train"]) == mined(80).rows[: len(first.rows["train"])]


def test_too_few_rows_say_how_many_are_missing(tmp_path: Path):
    with pytest.raises(DataError, match=r"33 usable rows and breeding needs 40: 7 more"):
        freeze("w", mined(33), "text", PLAN, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["train.jsonl", "holdout.jsonl"])
def test_a_changed_slice_is_refused(tmp_path: Path, name: str):
    frozen = freeze("w", mined(80), "text", PLAN, tmp_path)
    file = frozen.folder / name
    file.write_bytes(file.read_bytes().replace(b"Number", b"Numbed", 1))
    with pytest.raises(ArtifactError, match="has changed since it was frozen"):
        load(frozen.folder)


def test_datasets_are_private(tmp_path: Path):
    frozen = freeze("w", mined(80), "text", PLAN, tmp_path)
    assert {oct(file.stat().st_mode & 0o777) for file in frozen.folder.iterdir()} == {"0o600"}


def test_untrusted_answers_are_never_trained_on_but_their_tasks_stay_in_the_holdout(tmp_path: Path):
    rows = tuple(row(number, tier=Tier.OPEN if number % 4 == 0 else Tier.CLOUD) for number in range(100))
    frozen = freeze("w", Mined(rows, {}), "text", PLAN, tmp_path)
    assert all(row.tier is Tier.CLOUD for row in frozen.rows["train"])
    assert sum(row.tier is Tier.OPEN for row in frozen.rows["holdout"]) == 6
    assert frozen.dropped["answer not to be trusted as a target"] == 60 - len(frozen.rows["train"])


def test_what_is_constant_is_learnt_from_the_training_slice_alone(tmp_path: Path):
    rows = tuple(row(n, prompt=f"{'March' if n < 60 else 'April'} note {n} ends") for n in range(100))
    frozen = freeze("w", Mined(rows, {}), "text", PLAN, tmp_path)
    assert frozen.trim.prefix == "March note "


def test_a_slice_without_rows_is_refused_before_anything_is_written(tmp_path: Path):
    plan = DataPart(minimum_rows=10, calibration_share=0.01)
    with pytest.raises(DataError, match="no usable row is left for calibration"):
        freeze("w", mined(20), "text", plan, tmp_path)
    assert not list(tmp_path.iterdir())
