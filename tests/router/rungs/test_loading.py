from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.entities import SpecialistKind
from registry.errors import ArtifactError
from registry.prompting import Prompt
from router.rungs.loading import load_rung
from router.rungs.tensor_file import MOST_BYTES
from tests.router.rungs.making import linear_arrays, linear_record, table_arrays, write_file, write_linear, write_table

CLUES = {"water": "pump", "power": "cable"}


def test_both_kinds_load_and_say_what_they_are(tmp_path: Path) -> None:
    table, linear = write_table(tmp_path / "t", {"a": "b"}), write_linear(tmp_path / "l", CLUES)

    assert (load_rung(table).kind, load_rung(linear).kind) == (SpecialistKind.TABLE, SpecialistKind.LINEAR)


def changed(**changes: Any) -> dict[str, Any]:
    return {**linear_arrays(CLUES), **changes}


RECORD = linear_record(*CLUES).model_dump_json()


@pytest.mark.parametrize(
    ("record", "arrays", "told"),
    [
        ("{}", linear_arrays(CLUES), "its record does not hold"),
        ("no JSON", linear_arrays(CLUES), "its record does not hold"),
        (RECORD.replace("rungs-1", "rungs-9"), linear_arrays(CLUES), "build"),
        (RECORD.replace('"temperature":1.0', '"temperature":0'), linear_arrays(CLUES), "temperature"),
        (RECORD.replace('"labels":["water",', '"labels":["air","water",'), linear_arrays(CLUES), "weights"),
        (RECORD, {"weights": np.ones((1, 2), np.float16)}, "it has the arrays weights, not"),
        (RECORD, table_arrays({"a": "b"}), "it has the arrays"),
        (RECORD, changed(intercepts=np.ones(3, np.float32)), "intercepts"),
        (RECORD, changed(intercepts=np.ones(2, np.float16)), "intercepts is float16"),
        (RECORD, changed(intercepts=np.array([1, np.nan], np.float32)), "no number"),
        (RECORD, changed(word_ids=np.array([9, 3], np.uint32)), "word_ids does not ascend"),
        (
            '{"kind":"table","answers":["x"]}',
            {**table_arrays({"a": "x"}), "answers": np.array([1], np.uint32)},
            "names",
        ),
        ('{"kind":"table","answers":[]}', table_arrays({"a": "x"}), "answers"),
    ],
)
def test_a_file_that_does_not_hold_is_refused_with_its_flaw(
    tmp_path: Path, record: str, arrays: dict[str, Any], told: str
) -> None:
    with pytest.raises(ArtifactError, match=told):
        load_rung(write_file(tmp_path / "rung", record, arrays))


def with_header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def rewrite(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return rewrite


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:40],
        lambda content: content + b"x",
        lambda content: (2**63).to_bytes(8, "little") + content[8:],
        lambda content: pickle.dumps({"weights": [1.0]}),
        with_header(lambda header: header.pop("__metadata__")),
        with_header(lambda header: header["weights"].update(dtype="F64")),
        with_header(lambda header: header["weights"].update(dtype="BF16")),
        with_header(lambda header: header["weights"].update(shape=[2**40, 2**40])),
        with_header(lambda header: header["weights"].update(shape=[-1])),
        with_header(lambda header: header["weights"].update(data_offsets=[0, 4])),
        with_header(lambda header: header.update(extra=3)),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path: Path, rewrite: Callable[[bytes], bytes]) -> None:
    path = write_linear(tmp_path / "rung", CLUES)
    path.write_bytes(rewrite(path.read_bytes()))

    with pytest.raises(ArtifactError, match="cannot be used: .*; breed or pull it again"):
        load_rung(path)


def test_a_missing_or_huge_file_or_a_folder_is_refused_unread(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ArtifactError, match=f"{path} cannot be read: (?!None)"):
            load_rung(path)
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ArtifactError, match="are the most"):
        load_rung(tmp_path / "huge")


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_still_answers(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    content = bytearray(write_linear(tmp_path / "rung", CLUES).read_bytes())
    for at, value in damage:
        content[at % len(content)] = value
    (tmp_path / "damaged").write_bytes(content)
    try:
        rung = load_rung(tmp_path / "damaged")
    except ArtifactError:
        return
    assert rung.answer(Prompt("", "the pump leaks")).confidence <= 0
