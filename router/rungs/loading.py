"""Loads simple rungs from their files, and checks first that every array is what the record says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from router.rungs.features import Vocabulary
from router.rungs.rung import DIGEST_BYTES, Linear, LinearRecord, Rung, Table, TableRecord
from router.rungs.tensor_file import Tensor, first_problem, malformed, read_tensors

_Shapes: TypeAlias = Mapping[str, tuple[type[np.generic], tuple[int, ...]]]
_RECORD: TypeAdapter[TableRecord | LinearRecord] = TypeAdapter(
    Annotated[TableRecord | LinearRecord, Field(discriminator="kind")]
)


def load_rung(path: Path) -> Rung:
    """Load a rung's file; ArtifactError for one that is damaged, or of a build that this router does not know."""
    file = read_tensors(path)
    try:
        record = _RECORD.validate_json(file.record)
    except ValidationError as error:
        raise malformed(path, f"its record does not hold: {first_problem(error)}") from error
    if isinstance(record, TableRecord):
        return _table(path, record, file.tensors)
    return _linear(path, record, file.tensors)


def _table(path: Path, record: TableRecord, arrays: Mapping[str, Tensor]) -> Table:
    _refuse(path, _shape_flaw(arrays, _table_shapes(arrays)))
    if bool((arrays["answers"] >= len(record.answers)).any()):
        raise malformed(path, "one of its tasks names an answer that it does not have")
    keys = (row.tobytes() for row in arrays["digests"])
    return Table(record.answers, dict(zip(keys, arrays["answers"].tolist(), strict=True)))


def _linear(path: Path, record: LinearRecord, arrays: Mapping[str, Tensor]) -> Linear:
    _refuse(path, _shape_flaw(arrays, _linear_shapes(arrays, len(record.labels))) or _value_flaw(arrays))
    words = Vocabulary(arrays["word_ids"], arrays["word_rarities"])
    characters = Vocabulary(arrays["character_ids"], arrays["character_rarities"])
    return Linear(record, words, characters, arrays["weights"], arrays["intercepts"])


def _refuse(path: Path, flaw: str) -> None:
    if flaw:
        raise malformed(path, flaw)


def _table_shapes(arrays: Mapping[str, Tensor]) -> _Shapes:
    tasks = _rows(arrays, "answers")
    return {"answers": (np.uint32, (tasks,)), "digests": (np.uint8, (tasks, DIGEST_BYTES))}


def _linear_shapes(arrays: Mapping[str, Tensor], labels: int) -> _Shapes:
    words, characters = _rows(arrays, "word_ids"), _rows(arrays, "character_ids")
    return {
        "word_ids": (np.uint32, (words,)),
        "word_rarities": (np.float32, (words,)),
        "character_ids": (np.uint32, (characters,)),
        "character_rarities": (np.float32, (characters,)),
        "weights": (np.float16, (words + characters, labels)),
        "intercepts": (np.float32, (labels,)),
    }


def _rows(arrays: Mapping[str, Tensor], name: str) -> int:
    return arrays[name].size if name in arrays else 0


def _shape_flaw(arrays: Mapping[str, Tensor], wanted: _Shapes) -> str:
    if arrays.keys() != wanted.keys():
        return f"it has the arrays {', '.join(sorted(arrays))}, not {', '.join(sorted(wanted))}"
    for name, (kind, shape) in wanted.items():
        if arrays[name].dtype != kind or arrays[name].shape != shape:
            return f"its array {name} is {arrays[name].dtype} {arrays[name].shape}, not {np.dtype(kind)} {shape}"
    return ""


def _value_flaw(arrays: Mapping[str, Tensor]) -> str:
    for name, values in arrays.items():
        if name.endswith("_ids") and bool((values[1:] <= values[:-1]).any()):
            return f"its array {name} does not ascend"
        if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
            return f"its array {name} has a value that is no number"
    return ""
