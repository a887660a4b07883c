from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.entities import PromptTrim, SpecialistKind
from registry.errors import ArtifactError
from registry.prompting import Prompt
from router.rungs.shelf import RungShelf
from tests.router.making import run, specialist
from tests.router.rungs.making import write_linear, write_table


class Counted:
    """Files by digest, and how often each was asked for."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = paths
        self.asked: list[str] = []

    def verified_path(self, sha256: str) -> Path:
        self.asked.append(sha256)
        if sha256 not in self.paths:
            raise ArtifactError(f"artifact {sha256} is missing")
        return self.paths[sha256]


def test_a_rung_is_loaded_once_and_makes_room_when_others_are_asked(tmp_path: Path) -> None:
    files = Counted({name: write_table(tmp_path / name, {"x": name}) for name in "abc"})
    shelf = RungShelf(files, most=2)
    tables = {name: specialist(kind=SpecialistKind.TABLE, base_sha256=name) for name in "abc"}
    said = [run(shelf.answer(tables[name], Prompt("", "x"))).text for name in "abaca"]

    assert said == list("abaca")
    assert files.asked == ["a", "b", "c"]
    assert run(shelf.answer(tables["b"], Prompt("", "x"))).text == "b"
    assert files.asked == ["a", "b", "c", "b"]


def test_the_trim_is_taken_off_first(tmp_path: Path) -> None:
    shelf = RungShelf(Counted({"t": write_table(tmp_path / "t", {"x": "yes"})}))
    table = specialist(kind=SpecialistKind.TABLE, base_sha256="t", trim=PromptTrim(prefix="Thing: "))

    assert run(shelf.answer(table, Prompt("", "Thing: x"))).text == "yes"


def test_a_missing_file_and_one_of_another_kind_are_errors(tmp_path: Path) -> None:
    shelf = RungShelf(Counted({"l": write_linear(tmp_path / "l", {"a": "pump", "b": "cable"})}))

    with pytest.raises(ArtifactError, match="is missing"):
        run(shelf.answer(specialist(kind=SpecialistKind.LINEAR, base_sha256="?"), Prompt("", "x")))
    with pytest.raises(ArtifactError, match="is a linear, not a table"):
        run(shelf.answer(specialist(kind=SpecialistKind.TABLE, base_sha256="l"), Prompt("", "x")))
