from pathlib import Path

import pytest

from breeder.checkpoints import MANIFEST, is_sealed, latest_sealed, seal


def checkpoint(parent: Path, step: int) -> Path:
    folder = parent / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(step))
    return folder


def test_the_newest_complete_checkpoint_is_taken_and_half_written_ones_are_not(tmp_path: Path):
    for step in (5, 20):
        seal(checkpoint(tmp_path, step))
    checkpoint(tmp_path, 100)
    assert latest_sealed(tmp_path) == tmp_path / "checkpoint-20"


@pytest.mark.parametrize("harm", ["shorten", "flip", "remove", "manifest"])
def test_a_damaged_checkpoint_is_not_sealed(tmp_path: Path, harm: str):
    folder = checkpoint(tmp_path, 9)
    seal(folder)
    assert is_sealed(folder)
    file = folder / ("weights" if harm != "manifest" else MANIFEST)
    match harm:
        case "shorten":
            file.write_bytes(bytes(8))
        case "flip":
            file.write_bytes(bytes(8) + b"\x01")
        case "remove":
            file.unlink()
        case _:
            file.write_bytes(file.read_bytes()[:10])
    assert not is_sealed(folder)
    assert latest_sealed(tmp_path) is None
