from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

from breeder.checkpoints import MANIFEST, is_sealed, latest_sealed, seal, sealing_key
from registry.home import Home

KEY = "k" * 43
ROOT = Path(__file__).parents[2]


def checkpoint(parent: Path, step: int) -> Path:
    folder = parent / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(step))
    (folder / "rng_state.pth").write_bytes(b"state")
    return folder


def quiet(_: str) -> None:
    """Say nothing."""


def test_the_newest_complete_checkpoint_is_taken_and_half_written_ones_are_said(tmp_path: Path) -> None:
    for step in (5, 20):
        seal(checkpoint(tmp_path, step), KEY)
    unfinished = checkpoint(tmp_path, 100)
    (tmp_path / "checkpoint-x").mkdir()
    said: list[str] = []

    assert latest_sealed(tmp_path, KEY, said.append) == tmp_path / "checkpoint-20"
    assert len(said) == 1
    assert str(unfinished) in said[0]


@pytest.mark.parametrize(
    "harm", ["shorten", "flip", "remove", "manifest", "add", "add below", "link", "rename", "empty"]
)
def test_a_damaged_checkpoint_is_not_sealed(tmp_path: Path, harm: str) -> None:
    folder = checkpoint(tmp_path, 9)
    seal(folder, KEY)
    assert is_sealed(folder, KEY)
    file = folder / "weights"
    match harm:
        case "shorten":
            file.write_bytes(bytes(8))
        case "flip":
            file.write_bytes(bytes(8) + b"\x01")
        case "remove":
            file.unlink()
        case "manifest":
            (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes()[:10])
        case "empty":
            (folder / MANIFEST).write_bytes(b"[]")
        case "add":
            (folder / "optimizer.pt").write_bytes(pickle.dumps("planted"))
        case "add below":
            (folder / "more").mkdir()
            (folder / "more" / MANIFEST).write_bytes(b"planted")
        case "link":
            moved = file.rename(tmp_path / "elsewhere")
            file.symlink_to(moved)
        case _:
            folder = folder.rename(tmp_path / "checkpoint-10")
    assert not is_sealed(folder, KEY)
    assert latest_sealed(tmp_path, KEY, quiet) is None


def test_a_planted_folder_with_a_manifest_of_its_own_is_refused_and_the_last_good_one_taken(tmp_path: Path) -> None:
    seal(checkpoint(tmp_path, 5), KEY)
    planted = checkpoint(tmp_path, 900)
    (planted / "optimizer.pt").write_bytes(pickle.dumps("planted"))
    for key in ("", "guessed", KEY[:-1]):
        seal(planted, key)
        assert latest_sealed(tmp_path, KEY, quiet) == tmp_path / "checkpoint-5"
    (planted / MANIFEST).write_bytes((tmp_path / "checkpoint-5" / MANIFEST).read_bytes())
    assert latest_sealed(tmp_path, KEY, quiet) == tmp_path / "checkpoint-5"


def test_the_key_is_the_homes_own_and_private(tmp_path: Path) -> None:
    home = Home.at(tmp_path)

    assert sealing_key(home) == sealing_key(home) != sealing_key(Home.at(tmp_path / "other"))
    assert (home.data / "checkpoint.key").stat().st_mode & 0o777 == 0o600


def test_no_code_of_ours_reads_what_can_run_code() -> None:
    """No pickles: neither by name, nor through numpy, torch, joblib or llama-cpp-python's disk cache."""
    banned = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "diskcache"}
    found = []
    for path in [*ROOT.glob("registry/**/*.py"), *ROOT.glob("router/**/*.py"), *ROOT.glob("breeder/**/*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    bad = {name.name.partition(".")[0] for name in names} & banned
                case ast.ImportFrom(module=module, names=names):
                    bad = {(module or "").partition(".")[0]} & banned | {one.name for one in names} & {"LlamaDiskCache"}
                case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                    bad = {"torch.load"}
                case ast.Attribute(attr="LlamaDiskCache" | "load_state_dict_from_url" | "from_pretrained_keras"):
                    bad = {node.attr}
                case ast.keyword(arg="allow_pickle", value=ast.Constant(value=value)) if value:
                    bad = {"allow_pickle"}
                case ast.keyword(arg="weights_only" | "trust_remote_code", value=value):
                    bad = {ast.unparse(node)}
                case _:
                    continue
            found += [(path.name, one) for one in bad]

    assert found == []
