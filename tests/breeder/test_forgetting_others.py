"""Over random families, datasets and exports: what is forgotten is gone, and nothing else is lost."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breeder.dataset import FORGOTTEN
from breeder.descent import Descent
from breeder.forgetting import chosen, forget, plan_forgetting
from registry.entities import Lane
from registry.home import Home
from registry.selection import Selection
from router.records import export_record
from tests.breeder.homes import files_with, opened_home
from tests.breeder.makers import interaction

_IDS = [f"i{number:05}" for number in range(12)]


def with_relatives(some: set[str], parents: dict[str, str]) -> set[str]:
    found = set(some)
    for _ in _IDS:
        found |= {end for pair in parents.items() if not found.isdisjoint(pair) for end in pair}
    return found


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    made=st.lists(st.sets(st.sampled_from(_IDS), min_size=1), max_size=4, unique_by=frozenset),
    gone=st.sets(st.sampled_from(_IDS), min_size=1, max_size=6),
    parents=st.dictionaries(st.sampled_from(_IDS), st.sampled_from(_IDS), max_size=4),
    exported=st.sets(st.sampled_from(_IDS)),
)
def test_whatever_is_forgotten_nothing_else_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[set[str]],
    gone: set[str],
    parents: dict[str, str],
    exported: set[str],
) -> None:
    home = Home.at(tmp_path_factory.mktemp("home"))
    with opened_home(home.data.parent) as deps:
        for number, one in enumerate(_IDS):
            said = interaction(number, f"Words {one}", f"Answer {one}", lane=Lane.LOCAL_FAST)
            deps.ledger.append(replace(said.intent, parent_id=parents.get(one)), said.outcome)
        for one in exported:
            export_record(deps.ledger, one, home.runs)
        for number, ids in enumerate(made):
            folder = home.datasets / f"{number:016x}"
            folder.mkdir()
            lines = [
                orjson.dumps({"interaction_id": one, "prompt": {"system": "", "user": f"Words {one}"}, "answer": ""})
                for one in sorted(ids)
            ]
            (folder / "train.jsonl").write_bytes(b"\n".join(lines))
        before = {path: path.read_bytes() for path in home.data.rglob("*.json*")}
        plan = plan_forgetting(deps, chosen(deps, Selection(ids=gone)), Descent())
        forget(deps, plan)

        family = with_relatives(gone, parents)
        assert set(plan.interactions) == family
        lost = {one.intent.interaction_id for one in deps.ledger.interactions() if one.erased}
        assert lost == family
        kept = [
            home.datasets / f"{number:016x}" / "train.jsonl"
            for number, ids in enumerate(made)
            if ids.isdisjoint(family)
        ]
        kept += [home.runs / f"{one}.json" for one in exported - family]
        for path in kept:
            assert path.read_bytes() == before[path]
        stones = [
            home.datasets / f"{number:016x}" / FORGOTTEN
            for number, ids in enumerate(made)
            if not ids.isdisjoint(family)
        ]
        assert {path for path in home.data.rglob("*.json*") if path.is_file()} == {*kept, *stones}
        assert files_with(home.data, *(f"Words {one}" for one in family)) == []
        assert deps.ledger.verify().problems == ()
