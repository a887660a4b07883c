"""Freeze mined rows into a dataset: train, calibration and a time-ordered holdout, digested and never changed.

A dataset is a folder `data/datasets/DIGEST/` of JSONL files and `dataset.json`, written last. The holdout is the newest
slice of all tasks and the calibration slice the one before it; nothing in either is ever trained on. Tasks that came
again lie beside the slices: they show what a table of tasks seen before is worth, and serve nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import orjson

from breeder.mining import Mined, Row, Tier
from breeder.recipe import LEAST_ROWS, DataPart
from breeder.templates import constant_trim, known_fingerprints
from registry.entities import PromptTrim
from registry.errors import ArtifactError, DataError
from registry.prompting import Prompt

Slice: TypeAlias = Literal["train", "calibration", "holdout"]
SLICES: tuple[Slice, ...] = ("train", "calibration", "holdout")
FORGOTTEN = "forgotten.json"
"""What is left in the folder of a dataset that was forgotten (`breeder.copies`)."""
_REPEATS = "repeats"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A frozen dataset; `digest` covers every row, the split, the scorer and the trim."""

    workflow: str
    digest: str
    folder: Path
    scorer: str
    trim: PromptTrim
    fingerprints: tuple[str, ...]
    rows: Mapping[Slice, tuple[Row, ...]]
    dropped: Mapping[str, int]
    repeats: tuple[Row, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Why rows are no targets until a person accepts their answers, by their interactions."""


def freeze(workflow: str, mined: Mined, scorer: str, plan: DataPart, root: Path) -> Dataset:
    """Split the rows, write the dataset below `root` and return it; the same rows give the same folder.

    Raises:
        DataError: there are too few rows; the message says how many are missing.
    """
    rows = mined.rows[-plan.maximum_rows :]
    usable = sum(row.tier is not Tier.OPEN for row in rows)
    if usable < plan.minimum_rows:
        raise DataError(
            f"workflow {workflow!r} has {usable} usable rows and breeding needs {plan.minimum_rows}: "
            f"{plan.minimum_rows - usable} more; let the router serve more{_lower_bar(usable)}"
        )
    slices = _split(rows, plan)
    empty = [name for name in SLICES if not slices[name]]
    if empty:
        raise DataError(
            f"workflow {workflow!r}: no usable row is left for {', '.join(empty)}; raise its share, or wait for more"
        )
    # What is constant is learnt from the training slice alone, so that the holdout shows what drifts away from it.
    prompts = [row.prompt for row in slices["train"]]
    held = {row.interaction_id for row in rows if row.interaction_id in mined.quarantined}
    lost = len(rows) - sum(map(len, slices.values())) - len(held - {row.interaction_id for row in _measured(slices)})
    header: dict[str, object] = {
        "workflow": workflow,
        "scorer": scorer,
        "trim": asdict(constant_trim(prompts)),
        "fingerprints": list(known_fingerprints(prompts)),
        "dropped": {
            **mined.dropped,
            "answer not to be trusted as a target": lost,
            "in quarantine": len(held),
        },
        "quarantined": {one: reason for one, reason in mined.quarantined.items() if one in held},
    }
    lines = {name: b"".join(map(_line, kept)) for name, kept in (*slices.items(), (_REPEATS, mined.repeats))}
    header["sha256"] = {name: hashlib.sha256(text).hexdigest() for name, text in lines.items()}
    manifest = orjson.dumps(header, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    digest = hashlib.sha256(manifest).hexdigest()
    _write(root / digest[:16], lines, manifest)
    return load(root / digest[:16])


def load(folder: Path) -> Dataset:
    """Read a frozen dataset back.

    Raises:
        ArtifactError: a file is missing or no longer what was frozen.
    """
    if (folder / FORGOTTEN).exists():
        raise ArtifactError(f"dataset {folder} was forgotten, as its {FORGOTTEN} tells; breed the workflow again")
    try:
        manifest = (folder / "dataset.json").read_bytes()
        header = orjson.loads(manifest)
        texts = {name: (folder / f"{name}.jsonl").read_bytes() for name in header["sha256"]}
    except (OSError, orjson.JSONDecodeError) as error:
        raise ArtifactError(f"dataset {folder} cannot be read: {error}; mine the workflow again") from error
    for name, text in texts.items():
        if hashlib.sha256(text).hexdigest() != header["sha256"][name]:
            raise ArtifactError(f"{folder / name}.jsonl has changed since it was frozen; mine the workflow again")
    return Dataset(
        workflow=header["workflow"],
        digest=hashlib.sha256(manifest).hexdigest(),
        folder=folder,
        scorer=header["scorer"],
        trim=PromptTrim(**header["trim"]),
        fingerprints=tuple(header["fingerprints"]),
        rows={name: tuple(map(_row, texts[name].splitlines())) for name in SLICES},
        dropped=header["dropped"],
        repeats=tuple(map(_row, texts.get(_REPEATS, b"").splitlines())),
        quarantined=header.get("quarantined", {}),
    )


def _lower_bar(usable: int) -> str:
    """Offer a smaller minimum, where a recipe may ask for so few."""
    return f", or give --set data.minimum_rows={usable}" if usable >= LEAST_ROWS else ""


def _split(rows: Sequence[Row], plan: DataPart) -> dict[Slice, Sequence[Row]]:
    holdout = min(plan.maximum_holdout, round(len(rows) * plan.holdout_share))
    calibration = min(plan.maximum_calibration, round(len(rows) * plan.calibration_share))
    train = len(rows) - holdout - calibration
    return {
        "train": [row for row in rows[:train] if row.tier is not Tier.OPEN],
        "calibration": rows[train : train + calibration],
        "holdout": rows[train + calibration :],
    }


def _measured(slices: Mapping[Slice, Sequence[Row]]) -> list[Row]:
    return [*slices["calibration"], *slices["holdout"]]


def _write(folder: Path, lines: Mapping[str, bytes], manifest: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, text in {**{f"{name}.jsonl": text for name, text in lines.items()}, "dataset.json": manifest}.items():
        write_atomically(folder / name, text)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a private file whole or not at all: temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _line(row: Row) -> bytes:
    return orjson.dumps(asdict(row), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _row(line: bytes) -> Row:
    value = orjson.loads(line)
    return Row(
        **{
            **value,
            "at_utc": datetime.fromisoformat(value["at_utc"]),
            "prompt": Prompt(**value["prompt"]),
            "tier": Tier(value["tier"]),
        }
    )
