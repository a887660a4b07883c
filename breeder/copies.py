"""What below a home quotes interactions of the ledger: datasets, folders of breedings, measured answers, exports.

Files tell by the ids in them. A dataset is immutable, so one forgotten row takes the whole of it; what stays says which
interactions it was made of, so that its descendants are known for good, and quotes none.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import orjson

from breeder.dataset import FORGOTTEN, write_atomically
from registry.home import Home
from registry.prompting import Prompt
from registry.quotation import Quotation

_ID = re.compile(rb'"(?:interaction_id|task)":\s*"([^"]*)"')
_DIGEST_SHOWN = 16


@dataclass(frozen=True, slots=True)
class FrozenRows:
    """One dataset as its folder shows it; `forgotten` ones hold no row any more."""

    folder: Path
    workflow: str
    ids: frozenset[str]
    forgotten: bool

    def made(self, dataset_digest: str) -> bool:
        """Say whether it is the dataset of a digest."""
        return dataset_digest[:_DIGEST_SHOWN] == self.folder.name


def datasets(home: Home) -> Iterator[FrozenRows]:
    """Yield the datasets of a home, the forgotten ones too."""
    for folder in _children(home.datasets):
        if not folder.is_dir():
            continue
        stone = folder / FORGOTTEN
        told = orjson.loads(stone.read_bytes()) if stone.exists() else {}
        files = [file for file in folder.iterdir() if file != stone]
        ids = frozenset(told.get("interactions", ())).union(*map(ids_in, files))
        yield FrozenRows(folder, told.get("workflow") or _workflow(folder), ids, bool(told) and not files)


def breeding_copies(home: Home, ids: Collection[str], dataset_folders: Collection[str]) -> Iterator[Path]:
    """Yield the folders of breedings of some datasets, and files of measured answers that quote interactions."""
    for breeding in home.runs.glob("breed-*/*"):
        if breeding.name == "lock":
            continue
        if breeding.is_file():
            if not ids_in(breeding).isdisjoint(ids):
                yield breeding
        elif _dataset_of(breeding) in dataset_folders or any(
            not ids_in(file).isdisjoint(ids) for file in breeding.glob("*.jsonl*")
        ):
            yield breeding


def exports(home: Home, ids: Collection[str]) -> Iterator[Path]:
    """Yield the records that `modelbreeder run` exported of some interactions, half-written ones too."""
    for file in _children(home.runs):
        if file.is_file() and (file.stem in ids or not ids_in(file).isdisjoint(ids)):
            yield file


def quoted_ids(home: Home, pattern: Quotation) -> set[str]:
    """Return the interactions whose copies quote a value, also where the ledger has forgotten them."""
    lines = (line for file in files_of_rows(home) for line in file.read_bytes().splitlines())
    whole = (file.read_bytes() for file in _children(home.runs) if file.is_file())
    quoting = (text for text in chain(lines, whole) if pattern.search(text.decode(errors="replace")))
    return {found.decode(errors="replace") for text in quoting for found in _ID.findall(text)}


def files_of_rows(home: Home) -> list[Path]:
    """Return the files that hold a row a line: datasets, and what models answered to their tasks."""
    places = (home.datasets, "*/*.jsonl*"), (home.runs, "breed-*/*.jsonl*"), (home.runs, "breed-*/*/*.jsonl*")
    return [file for folder, pattern in places for file in sorted(folder.glob(pattern))]


def ids_in(file: Path) -> set[str]:
    """Return the interactions that a file names, an empty set where it cannot be read."""
    try:
        return {found.decode(errors="replace") for found in _ID.findall(file.read_bytes())}
    except OSError:
        return set()


def texts_of(dataset: Path, ids: Collection[str]) -> Iterator[tuple[Prompt, str]]:
    """Yield the prompts and answers of a dataset that came from some interactions."""
    for file in sorted(dataset.glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if row["interaction_id"] in ids:
                yield Prompt(**row["prompt"]), row["answer"]


def bury(dataset: FrozenRows, at: datetime) -> None:
    """Remove a dataset's rows, and leave word in their place; repeated after an interruption, it finishes."""
    stone, manifest = dataset.folder / FORGOTTEN, dataset.folder / "dataset.json"
    if not stone.exists():
        record = {
            "workflow": dataset.workflow,
            "digest": hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.exists() else None,
            "forgotten_at_utc": at,
            "rows": len(dataset.ids),
            "interactions": sorted(dataset.ids),
        }
        write_atomically(stone, orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))
    for path in dataset.folder.iterdir():
        if path != stone:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, where it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _workflow(folder: Path) -> str:
    try:
        return str(orjson.loads((folder / "dataset.json").read_bytes())["workflow"])
    except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
        return ""


def _dataset_of(breeding: Path) -> str:
    try:
        return str(orjson.loads((breeding / "plan.json").read_bytes())["dataset"])
    except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
        return ""


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
