"""The search finds what it is to find; else its silence would say nothing."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import closing
from pathlib import Path

import pysqlite3
import pytest

from tests.leaks.searching import leaks_below, leaks_in

VALUE = "k9Xw72LmPq40ZtRb81Vc"
PLANTED = {"prompt": VALUE, "answer": "hJ55sNd02WxYe7Gg63Ba"}


@pytest.mark.parametrize(
    "data",
    [
        f"a {VALUE} b".encode(),
        f"a {VALUE[-14:]} b".encode(),
        f"a {VALUE}".encode("utf-16-le"),
        f"a {VALUE}".encode("utf-16-be"),
        base64.b64encode(f"{VALUE} and so on".encode()),
        base64.b64encode(f"a{VALUE} and so on".encode()),
        base64.encodebytes(f"ab{VALUE} and so on {'x' * 90}{VALUE}".encode()),
        VALUE.encode().hex().encode(),
        b"junk" + gzip.compress(json.dumps({"said": VALUE}).encode()) + b"junk",
        b"\x1f\x8b\x08" + gzip.compress(VALUE.encode()),
    ],
)
def test_a_value_is_found_however_it_is_written(data: bytes) -> None:
    assert leaks_in(data, PLANTED) == ["prompt"]


def test_a_value_that_is_not_there_is_not_found() -> None:
    assert leaks_in(f"{VALUE[:11]} {VALUE[9:]}"[:20].encode() + gzip.compress(b"nothing"), PLANTED) == []


def test_a_long_text_of_a_database_is_read_over_its_pages(tmp_path: Path) -> None:
    with closing(pysqlite3.connect(str(tmp_path / "x.db"))) as connection:
        connection.execute("CREATE TABLE t (a TEXT)")
        # Wherever pages break, each of these is whole in one cell only.
        connection.executemany(
            "INSERT INTO t VALUES (?)", [("y" * size + VALUE + "y" * 9000,) for size in range(4000, 4096)]
        )
        connection.commit()
    assert leaks_below(tmp_path, PLANTED) == ["x.db: prompt"]
