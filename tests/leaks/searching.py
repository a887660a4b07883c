"""Looks for planted values in every byte of a folder: whole, in pieces, encoded, packed, and in SQLite's cells."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pysqlite3

_PIECE = 12
"""So many characters of a value in a row are a leak too."""
_GZIP = b"\x1f\x8b\x08"
_SQLITE = b"SQLite format 3\0"
_ZEROS = re.compile(rb"\0{64,}")
_UNPACKED_BYTES = 64 * 2**20


def leaks_below(folder: Path, planted: Mapping[str, str]) -> list[str]:
    """Return where values are found below a folder, as `FILE: PLACE`, by the place that each was planted in."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    # All bytes first: to open a database folds its log back.
    found = {path: leaks_in(path.read_bytes(), planted) for path in files}
    for path in files:
        found[path] += [place for place in leaks_in(_cells(path), planted) if place not in found[path]]
    return [f"{path.relative_to(folder)}: {place}" for path, places in found.items() for place in places]


def leaks_in(data: bytes, planted: Mapping[str, str]) -> list[str]:
    """Return the places whose values some bytes show."""
    views = [_ZEROS.sub(b"\0", data), *_unpacked(data)]
    # Without the zero bytes UTF-16 reads as ASCII; without line breaks base64 does not end.
    views += [view.translate(None, b"\0\r\n") for view in views]
    return [
        place for place, value in planted.items() if any(trace in view for trace in _traces(value) for view in views)
    ]


def _traces(value: str) -> set[bytes]:
    """Return what of a value must be nowhere."""
    raw = value.encode()
    pieces = {raw[at : at + _PIECE] for at in range(0, len(raw) - _PIECE + 1, _PIECE)} | {raw, raw[-_PIECE:]}
    spelled = {json.dumps(value)[1:-1].encode(), quote(value, safe="").encode(), raw.hex().encode()}
    return pieces | spelled | {_in_base64(raw, shift) for shift in range(3)}


def _in_base64(raw: bytes, shift: int) -> bytes:
    """Return what base64 makes of a value that begins at such a place, less what its neighbours change."""
    text = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
    return text[-(-shift * 8 // 6) : len(text) - 1]


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Yield what is in gzip members, wherever they begin."""
    at = data.find(_GZIP)
    while at >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(data[at:], _UNPACKED_BYTES)
        at = data.find(_GZIP, at + 1)


def _cells(file: Path) -> bytes:
    """Return all texts of a SQLite file in one: on its pages a long one is in parts."""
    with file.open("rb") as opened:
        if opened.read(len(_SQLITE)) != _SQLITE:
            return b""
    with closing(pysqlite3.connect(str(file))) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = (row for name in tables for row in connection.execute(f'SELECT * FROM "{name}"'))
        return "\n".join(str(cell) for row in rows for cell in row if isinstance(cell, str)).encode()
