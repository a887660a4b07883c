import gzip
import json
from pathlib import Path

import pytest

from breeder.rehearsal.tasks import read_tasks
from registry.errors import DataError


def line(number: int, split: str = "train", workload: str = "w", **fields: object) -> str:
    return json.dumps(
        {"workload": workload, "id": f"t{number}", "prompt": f"p{number}", "reference": "r", "split": split, **fields}
    )


def test_lines_are_read_plain_and_gzipped_alike(tmp_path: Path):
    text = "\n".join([line(1), "", line(2, "test", meta={"any": 1})])
    (tmp_path / "a.jsonl").write_text(text)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(text)
    plain = read_tasks([tmp_path / "a.jsonl"])
    assert plain == read_tasks([tmp_path / "b.jsonl.gz"])
    assert [(task.id, task.split) for task in (*plain.workloads[0].train, *plain.workloads[0].test)] == [
        ("t1", "train"),
        ("t2", "test"),
    ]


def test_invalid_lines_are_counted_and_named_and_the_rest_is_played(tmp_path: Path):
    file = tmp_path / "x.jsonl"
    bad = ["not json", line(2, "validation"), json.dumps({"id": "t3"}), line(1), line(4, prompt="")]
    file.write_text("\n".join([line(1), *bad, line(5)]))
    reading = read_tasks([file])
    assert [task.id for task in reading.workloads[0].train] == ["t1", "t5"]
    assert [told.partition(" ")[0] for told in reading.invalid] == [f"x.jsonl:{n}:" for n in (2, 3, 4, 5, 6)]
    assert "split" in reading.invalid[1]
    assert "workload" in reading.invalid[2]
    assert "was there before" in reading.invalid[3]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"nope\n", b"\x1f\x8bgarbage"])
def test_a_file_without_a_valid_line_is_one_clear_error(tmp_path: Path, content: bytes):
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jsonl"):
        read_tasks([file])


def test_a_limit_keeps_the_first_lines_of_each_split(tmp_path: Path):
    file = tmp_path / "x.jsonl"
    file.write_text("\n".join([*(line(n) for n in range(9)), *(line(n, "test") for n in range(9, 20))]))
    workload = read_tasks([file], limit=3).workloads[0]
    assert ([task.id for task in workload.train], [task.id for task in workload.test]) == (
        ["t0", "t1", "t2"],
        ["t9", "t10", "t11"],
    )
