"""Forgetting over a home that was really bred: nothing that was forgotten is in any file, and nothing else is lost."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from breeder.breeding import breed, mine_workflow
from breeder.copies import datasets
from breeder.dataset import FORGOTTEN, load, write_atomically
from breeder.deps import Deps
from breeder.descent import Descent, keeps_what_it_learnt
from breeder.forgetting import Plan, chosen, finish_pending, forget, plan_forgetting, plan_sweep
from breeder.recipe import DataPart, Recipe
from breeder.run_folder import exclusive
from breeder.tracking import MlflowTracker
from registry.entities import PromotionAction, Purpose, Specialist, SpecialistKind
from registry.erasing import erase
from registry.errors import ArtifactError, DataError, RefusedError
from registry.quotation import quoting
from registry.retention import sweep
from registry.selection import Selection
from registry.settings import RetentionSettings
from router.records import export_record
from tests.breeder.homes import SECRET, WORKFLOW, BredHome, breed_home, files_with, opened_home, record, traffic
from tests.breeder.makers import START, interaction
from tests.breeder.notebook import Notebook

EVERYTHING = Descent(empties=True)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BredHome]:
    """A home that was bred, without MLflow's files, which know where they lie; copied for each test."""
    root = tmp_path_factory.mktemp("template")
    with opened_home(root) as deps:
        record(deps, traffic())
        return root, breed_home(replace(deps, tracker=Notebook(recording=False)))


@pytest.fixture
def bred(template: tuple[Path, BredHome]) -> BredHome:
    return template[1]


@pytest.fixture
def root(template: tuple[Path, BredHome], tmp_path: Path) -> Path:
    return Path(shutil.copytree(template[0], tmp_path / "home"))


@pytest.fixture
def deps(root: Path) -> Iterator[Deps]:
    with opened_home(root) as opened:
        yield opened


def planned(deps: Deps, wanted: Selection, descent: Descent = Descent()) -> Plan:
    return plan_forgetting(deps, chosen(deps, wanted), descent)


def by_id(*ids: str) -> Selection:
    return Selection(ids=ids)


def few_shot(deps: Deps, bred: BredHome, example: str) -> Specialist:
    """Enrol a specialist that has a row of the dataset as its example."""
    row = next(row for row in bred.dataset.rows["train"] if row.interaction_id == example)
    one = Specialist(
        workflow=WORKFLOW,
        version=deps.catalog.next_version(WORKFLOW),
        kind=SpecialistKind.FEW_SHOT,
        base_sha256="a" * 64,
        created_at_utc=START,
        examples=((row.prompt.user, row.answer),),
        dataset_digest=bred.dataset.digest,
    )
    deps.catalog.add_specialist(one)
    return one


def test_with_everything_that_mlflow_keeps_no_file_holds_what_was_forgotten(tmp_path: Path) -> None:
    with opened_home(tmp_path) as deps:
        record(deps, traffic())
        bred = breed_home(deps)
        export_record(deps.ledger, bred.forgotten_id, deps.home.runs)
        backup = deps.home.data / "ledger.db.before-0005-0004"
        shutil.copyfile(deps.home.data / "ledger.db", backup)
        attached = [path for path in deps.home.mlruns.rglob("*") if path.is_file() and "artifacts" in path.parts]
        assert {path.name for path in attached} == {"dataset.json", "linear.safetensors"}
        assert len(files_with(tmp_path, SECRET)) >= 3

        plan = planned(deps, by_id(bred.forgotten_id), EVERYTHING)
        assert (len(plan.tracked), len(plan.artifacts), plan.specialists) == (2, 1, (bred.specialist,))
        done = forget(deps, plan)

        assert files_with(tmp_path, SECRET) == []
        assert done.elsewhere == ()
        assert not any(path.exists() for path in (*attached, backup, deps.home.runs / f"{bred.forgotten_id}.json"))
        report = deps.ledger.verify()
        assert (report.tombstones, report.problems) == (2, ())


def test_a_workflow_is_marked_until_it_was_bred_again_without_what_was_forgotten(
    root: Path, deps: Deps, bred: BredHome
) -> None:
    forget(deps, planned(deps, by_id(bred.forgotten_id), EVERYTHING))
    assert deps.catalog.workflow(WORKFLOW).rebreed.startswith("rows were forgotten on")
    again = breed_home(replace(deps, tracker=Notebook(recording=False)))
    assert sum(map(len, again.dataset.rows.values())) == 299
    assert deps.catalog.champion(WORKFLOW).specialist.name == again.specialist != bred.specialist
    assert deps.catalog.workflow(WORKFLOW).rebreed == ""
    assert files_with(root, SECRET) == []


def test_without_being_asked_a_classifier_keeps_serving_while_its_rows_and_runs_go(
    root: Path, deps: Deps, bred: BredHome
) -> None:
    folder = deps.home.datasets / bred.dataset.digest[:16]
    plan = planned(deps, by_id(bred.forgotten_id))
    assert (plan.specialists, plan.withdrawn, plan.emptied) == ((bred.specialist,), (), ())
    done = forget(deps, plan)

    assert done.contents == 2
    assert files_with(root, SECRET) == []
    assert deps.catalog.champion(WORKFLOW).specialist.name == bred.specialist
    assert [path.name for path in folder.iterdir()] == [FORGOTTEN]
    told = orjson.loads((folder / FORGOTTEN).read_bytes())
    assert (told["digest"], told["rows"], told["workflow"]) == (bred.dataset.digest, 300, WORKFLOW)
    assert [path.name for path in (deps.home.runs / f"breed-{WORKFLOW}").iterdir()] == ["lock"]
    with pytest.raises(ArtifactError, match="was forgotten"):
        load(folder)
    assert deps.ledger.count() == 300
    assert sum(one.erased for one in deps.ledger.interactions()) == 1
    assert mine_workflow(deps, WORKFLOW).dropped["its content was erased"] == 1


def test_quarantine_takes_the_champion_out_of_service_and_leaves_its_files(deps: Deps, bred: BredHome) -> None:
    done = forget(deps, planned(deps, by_id(bred.forgotten_id), Descent(withdraws=True)))
    (move,) = done.moves
    assert (move.action, move.previous, move.specialist) == (PromotionAction.DEMOTE, bred.specialist, None)
    assert deps.catalog.champion(WORKFLOW) is None
    assert deps.store.path(deps.catalog.specialist(bred.specialist).base_sha256).exists()
    with pytest.raises(RefusedError, match="bred from interactions that were forgotten"):
        deps.catalog.move_champion(
            WORKFLOW,
            PromotionAction.PROMOTE,
            bred.specialist,
            expected_sequence=2,
            by="p",
            reason="r",
            evaluation_id=None,
            at=START,
        )


def test_deleting_specialists_removes_their_files_but_those_that_others_have(deps: Deps, bred: BredHome) -> None:
    file = deps.catalog.specialist(bred.specialist).base_sha256
    shared = replace(deps.catalog.specialist(bred.specialist), version=2, dataset_digest="f" * 64)
    deps.catalog.add_specialist(shared)
    forget(deps, planned(deps, by_id(bred.forgotten_id), EVERYTHING))
    assert deps.store.path(file).exists()

    deps.catalog.add_specialist(replace(shared, version=3, dataset_digest=bred.dataset.digest))
    rows = {row.interaction_id for row in bred.dataset.rows["train"]} - {bred.forgotten_id}
    plan = planned(deps, by_id(rows.pop()), EVERYTHING)
    assert plan.artifacts == ()
    assert plan.emptied == (bred.specialist, "desk@3")


def test_few_shot_specialists_go_with_the_row_that_is_their_example_and_no_other(
    root: Path, deps: Deps, bred: BredHome
) -> None:
    copy, other = few_shot(deps, bred, bred.forgotten_id), few_shot(deps, bred, "i00031")
    assert files_with(root, SECRET)
    plan = planned(deps, by_id(bred.forgotten_id))
    assert (plan.withdrawn, plan.emptied) == ((copy.name,), (copy.name,))
    forget(deps, plan)
    assert files_with(root, SECRET) == []
    assert deps.catalog.specialist(other.name) == other


def test_a_table_of_the_rows_is_a_copy_and_goes_with_its_file(deps: Deps, bred: BredHome, tmp_path: Path) -> None:
    (tmp_path / "table").write_text(f"answers of {SECRET}")
    file = deps.store.add(tmp_path / "table")
    table = replace(deps.catalog.specialist(bred.specialist), version=2, kind=SpecialistKind.TABLE, base_sha256=file)
    deps.catalog.add_specialist(table)
    plan = planned(deps, by_id(bred.forgotten_id))
    assert (plan.withdrawn, plan.artifacts) == ((table.name,), (file,))
    forget(deps, plan)
    with pytest.raises(ArtifactError):
        deps.store.path(file)


def test_descendants_of_descendants_are_descendants(deps: Deps, bred: BredHome) -> None:
    parent = deps.catalog.specialist(bred.specialist)
    for version in (2, 3):
        child = replace(parent, version=version, parents=(f"desk@{version - 1}",), dataset_digest="f" * 64)
        deps.catalog.add_specialist(child)
    assert planned(deps, by_id(bred.forgotten_id)).specialists == ("desk@1", "desk@2", "desk@3")


def test_a_dataset_that_was_forgotten_still_tells_what_descended_from_its_other_rows(
    deps: Deps, bred: BredHome
) -> None:
    forget(deps, planned(deps, by_id(bred.forgotten_id)))
    plan = planned(deps, by_id("i00031"), Descent(withdraws=True))
    assert (plan.datasets, plan.withdrawn) == ((), (bred.specialist,))
    assert plan.workflows == (WORKFLOW,)


def test_escalations_and_the_breeders_own_calls_go_along(root: Path, deps: Deps, bred: BredHome) -> None:
    asked = deps.ledger.interaction(bred.forgotten_id).intent
    child = replace(asked, interaction_id="child", parent_id=bred.forgotten_id)
    call = replace(asked, interaction_id="call", purpose=Purpose.EVALUATION)
    other = replace(interaction(900).intent, purpose=Purpose.EVALUATION)
    deps.ledger.append(child, call, other)
    plan = planned(deps, by_id(bred.forgotten_id))
    assert plan.interactions == ("call", "child", bred.forgotten_id)
    forget(deps, plan)
    assert files_with(root, SECRET) == []
    assert not deps.ledger.interaction(other.interaction_id).erased


@pytest.mark.parametrize("how", [SECRET, "zedekiah\tQUUX"])
def test_a_value_is_found_and_gone_everywhere_also_where_only_copies_quote_it(
    root: Path, deps: Deps, bred: BredHome, how: str
) -> None:
    few = few_shot(deps, bred, bred.forgotten_id)
    other = replace(few, version=9, dataset_digest="", trim=replace(few.trim, prefix=f"For {SECRET}: "))
    deps.catalog.add_specialist(other)
    erase(deps.database, [bred.forgotten_id])
    wanted = Selection(quoting=quoting([how]))
    plan = planned(deps, wanted, Descent(quoting=wanted.quoting))
    assert plan.interactions == (bred.forgotten_id,)
    assert plan.withdrawn == (few.name, other.name)
    forget(deps, plan)
    assert files_with(root, SECRET) == []


def test_measured_answers_outside_a_breeding_go_with_their_rows(deps: Deps, bred: BredHome) -> None:
    folder = deps.home.runs / f"breed-{WORKFLOW}"
    for name, task in (("evaluate-a.jsonl", bred.forgotten_id), ("evaluate-b.jsonl", "i00031")):
        write_atomically(folder / name, orjson.dumps({"task": task, "text": SECRET}))
    forget(deps, planned(deps, by_id(bred.forgotten_id)))
    assert [path.name for path in sorted(folder.iterdir())] == ["evaluate-b.jsonl", "lock"]


def test_under_a_breeding_the_ledger_is_erased_at_once_and_the_copies_when_it_has_ended(
    root: Path, deps: Deps, bred: BredHome
) -> None:
    plan = planned(deps, by_id(bred.forgotten_id))
    with exclusive(deps.home.runs, WORKFLOW):
        done = forget(deps, plan)
        assert f"is being bred or evaluated by process {os.getpid()} since 2" in done.waits_for
        assert deps.ledger.interaction(bred.forgotten_id).erased
        assert not any(SECRET.encode() in path.read_bytes() for path in root.glob("data/ledger.db*"))
        assert [each.forgotten for each in datasets(deps.home)] == [False]
        assert [one.waits_for for one in finish_pending(deps)] == [done.waits_for]
        late = few_shot(deps, bred, bred.forgotten_id)
    assert [one.waits_for for one in finish_pending(deps)] == [""]
    assert files_with(root, SECRET) == []
    assert deps.catalog.specialist(late.name).withdrawn
    assert finish_pending(deps) == []


def test_a_breeding_first_finishes_what_waited_for_one_that_died(root: Path, deps: Deps, bred: BredHome) -> None:
    with exclusive(deps.home.runs, WORKFLOW):
        assert forget(deps, planned(deps, by_id(bred.forgotten_id))).waits_for
    assert files_with(root, SECRET) != []
    with pytest.raises(DataError):
        breed(deps, WORKFLOW, Recipe(name="greedy", data=DataPart(minimum_rows=10_000)))
    assert files_with(root, SECRET) == []


def test_what_a_breeding_enrols_between_plan_and_deed_goes_too(root: Path, deps: Deps, bred: BredHome) -> None:
    with exclusive(deps.home.runs, WORKFLOW):
        plan = planned(deps, by_id(bred.forgotten_id))
        late = few_shot(deps, bred, bred.forgotten_id)
    assert forget(deps, plan).waits_for == ""
    assert deps.catalog.specialist(late.name).withdrawn
    assert files_with(root, SECRET) == []


def test_what_another_process_finishes_meanwhile_is_none_of_ours(deps: Deps, bred: BredHome) -> None:
    with exclusive(deps.home.runs, WORKFLOW):
        forget(deps, planned(deps, by_id(bred.forgotten_id)))
        forget(deps, planned(deps, by_id("i00002")))
    first, second = sorted((deps.home.data / "forgetting").glob("*.json"))

    def now() -> datetime:
        second.unlink(missing_ok=True)
        return START

    assert len(finish_pending(replace(deps, now=now))) == 1
    assert not first.exists()


def test_a_sweep_spares_what_a_breeding_enrols_before_it_ends(deps: Deps, bred: BredHome) -> None:
    plan = plan_sweep(deps, [bred.forgotten_id])
    assert plan is not None
    with exclusive(deps.home.runs, WORKFLOW):
        assert forget(deps, plan).waits_for
        late = few_shot(deps, bred, bred.forgotten_id)
    finish_pending(deps)
    assert [each.forgotten for each in datasets(deps.home)] == [True]
    assert not deps.catalog.specialist(late.name).withdrawn


def test_what_a_specialist_learnt_is_kept_until_its_files_are_removed(deps: Deps, bred: BredHome) -> None:
    for descent, kept in ((Descent(withdraws=True), True), (EVERYTHING, False)):
        forget(deps, planned(deps, by_id(bred.forgotten_id), descent))
        assert keeps_what_it_learnt(deps.catalog.specialist(bred.specialist), deps.store) == kept


def test_to_forget_again_changes_nothing(deps: Deps, bred: BredHome) -> None:
    forget(deps, planned(deps, by_id(bred.forgotten_id), EVERYTHING))
    moves = deps.catalog.promotions(WORKFLOW)
    done = forget(deps, planned(deps, by_id(bred.forgotten_id), EVERYTHING))
    assert (done.contents, done.moves) == (0, ())
    assert deps.catalog.promotions(WORKFLOW) == moves


_STEPS = ("open", "os.remove", "os.rename", "os.rmdir", "os.mkdir")


def killed_at(root: Path, bred: BredHome, step: int) -> bool:
    """Forget in a process that is killed when it is about to change a file for the so-manieth time; say if it was."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in _STEPS and str(root) in str(arguments[0]) and (event != "open" or arguments[1] != "r"):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        with opened_home(root) as deps:
            plan = planned(deps, by_id(bred.forgotten_id), EVERYTHING)
            sys.addaudithook(count)
            forget(deps, plan)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def test_killed_at_any_step_it_is_finished_by_the_next_one(
    template: tuple[Path, BredHome], bred: BredHome, tmp_path: Path
) -> None:
    step, killed, finished = 0, True, list[int]()
    while killed:
        step += 1
        root = Path(shutil.copytree(template[0], tmp_path / str(step)))
        killed = killed_at(root, bred, step)
        with opened_home(root) as deps:
            finished.append(len(finish_pending(deps)))
            assert not finished[-1] or files_with(root, SECRET) == [], step
            forget(deps, planned(deps, by_id(bred.forgotten_id), EVERYTHING))
            assert files_with(root, SECRET) == [], step
            assert deps.ledger.verify().problems == ()
            assert deps.catalog.champion(WORKFLOW) is None
            assert not list((deps.home.data / "forgetting").glob("*.json"))
        shutil.rmtree(root)
    assert sum(finished) > 5


def test_what_was_written_down_is_finished_without_being_asked_for_again(
    deps: Deps, root: Path, bred: BredHome
) -> None:
    plan = planned(deps, by_id(bred.forgotten_id), EVERYTHING)
    folder = deps.home.data / "forgetting"
    folder.mkdir()
    write_atomically(folder / "one.json", orjson.dumps(plan))
    assert SECRET not in (folder / "one.json").read_text()
    assert len(finish_pending(deps)) == 1
    assert files_with(root, SECRET) == []
    assert finish_pending(deps) == []


def test_what_a_request_under_way_is_answered_goes_with_the_next_one(root: Path, deps: Deps) -> None:
    one = interaction(500, SECRET, SECRET)
    assert one.outcome is not None
    deps.ledger.append(one.intent)
    forget(deps, planned(deps, by_id("i00500")))
    deps.ledger.append(one.outcome)
    export_record(deps.ledger, "i00500", deps.home.runs)
    assert SECRET.encode() in b"".join(path.read_bytes() for path in root.glob("data/ledger.db*"))
    forget(deps, planned(deps, by_id("i00001")))
    assert len(finish_pending(deps)) == 1
    assert not (deps.home.runs / "i00500.json").exists()
    assert deps.ledger.interaction("i00500").outcome.response is None
    assert finish_pending(deps) == []


def test_a_sweep_takes_the_copies_of_what_grew_too_old_and_specialists_outlive_it(
    root: Path, deps: Deps, bred: BredHome
) -> None:
    assert plan_sweep(deps, ()) is None
    few_shot(deps, bred, "i00031")
    now = datetime(2026, 1, 31, tzinfo=UTC)
    aged = [one for batch in sweep(deps.database, RetentionSettings(default_days=10), now) for one in batch]
    assert len(aged) == 300
    plan = plan_sweep(deps, ())
    assert (len(plan.datasets), len(plan.files), plan.withdrawn) == (1, 1, ())
    forget(deps, plan)
    assert files_with(root, SECRET, "Which desk") == ["data/ledger.db"]
    assert deps.catalog.champion(WORKFLOW).specialist.name == bred.specialist
    assert deps.catalog.workflow(WORKFLOW).rebreed
    assert plan_sweep(deps, ()) is None


def test_files_of_runs_that_lie_elsewhere_are_named_and_left(deps: Deps, bred: BredHome, tmp_path: Path) -> None:
    elsewhere = replace(deps.home, mlruns=tmp_path / "elsewhere")
    with MlflowTracker(elsewhere.mlruns).run("desk rungs") as run:
        run.log(parameters={"dataset_digest": bred.dataset.digest})
        run.attach(deps.home.datasets / bred.dataset.digest[:16] / "dataset.json")
    deps.home.mlruns.mkdir(exist_ok=True)
    with closing((deps.home.mlruns / "mlflow.db").open("wb")) as file:
        file.write((elsewhere.mlruns / "mlflow.db").read_bytes())
    done = forget(deps, planned(deps, by_id(bred.forgotten_id)))
    assert done.elsewhere == (run.run_id,)
