"""Files of simple rungs, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from registry.prompting import Prompt
from router.rungs.features import FeatureSettings, bags
from router.rungs.rung import LinearRecord, TableRecord, prompt_digest
from router.rungs.tensor_file import RECORD_KEY


def write_file(path: Path, record: str, arrays: Mapping[str, Any]) -> Path:
    save_file(dict(arrays), path, metadata={RECORD_KEY: record})
    return path


def write_table(path: Path, known: Mapping[str, str]) -> Path:
    """Write a table of user texts and their answers."""
    answers = sorted(set(known.values()))
    return write_file(path, TableRecord(answers=tuple(answers)).model_dump_json(), table_arrays(known))


def table_arrays(known: Mapping[str, str]) -> dict[str, Any]:
    answers = sorted(set(known.values()))
    digests = b"".join(prompt_digest(Prompt("", text)) for text in known)
    return {
        "digests": np.frombuffer(digests, np.uint8).reshape(-1, 16),
        "answers": np.array([answers.index(answer) for answer in known.values()], np.uint32),
    }


def linear_record(*labels: str, **changes: Any) -> LinearRecord:
    return LinearRecord(**{"labels": labels, "features": FeatureSettings(), "temperature": 1.0, **changes})


def linear_arrays(clues: Mapping[str, str], strength: float = 8.0) -> dict[str, Any]:
    """Return a classifier whose n-th label is favoured by the n-th clue's features and by nothing else."""
    found = [bags(Prompt("", clue), FeatureSettings()) for clue in clues.values()]
    kinds = [sorted({int(one) for bag in found for one in bag[kind].ids}) for kind in (0, 1)]
    weights = np.zeros((sum(map(len, kinds)), len(clues)), np.float16)
    for label, bag in enumerate(found):
        for kind, ids in enumerate(kinds):
            rows = [ids.index(int(one)) + kind * len(kinds[0]) for one in bag[kind].ids]
            weights[rows, label] = strength
    return {
        "word_ids": np.array(kinds[0], np.uint32),
        "word_rarities": np.ones(len(kinds[0]), np.float32),
        "character_ids": np.array(kinds[1], np.uint32),
        "character_rarities": np.ones(len(kinds[1]), np.float32),
        "weights": weights,
        "intercepts": np.full(len(clues), -strength / 2, np.float32),
    }


def write_linear(path: Path, clues: Mapping[str, str], **changes: Any) -> Path:
    """Write a classifier of labels and the clue that tells each."""
    return write_file(path, linear_record(*clues, **changes).model_dump_json(), linear_arrays(clues))
