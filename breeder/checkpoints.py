"""Checkpoints that a crash cannot fake: a manifest of sizes and sha256 written last, and resume only from those.

Transformers' own look-up takes half-written folders (transformers issue 35782), so it is not used.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from breeder.dataset import write_atomically

MANIFEST = "complete.json"


def seal(folder: Path) -> None:
    """Declare a folder complete by writing its manifest."""
    entries = {
        str(path.relative_to(folder)): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    write_atomically(folder / MANIFEST, orjson.dumps(entries, option=orjson.OPT_SORT_KEYS))


def is_sealed(folder: Path) -> bool:
    """Say whether every file of a folder is there as its manifest tells."""
    try:
        entries: dict[str, dict[str, object]] = orjson.loads((folder / MANIFEST).read_bytes())
        return all(
            (folder / name).stat().st_size == entry["size"] and _sha256(folder / name) == entry["sha256"]
            for name, entry in entries.items()
        )
    except (OSError, orjson.JSONDecodeError):
        return False


def latest_sealed(parent: Path) -> Path | None:
    """Return the newest complete `checkpoint-STEP` folder, or None."""
    folders = sorted(parent.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((folder for folder in folders if is_sealed(folder)), None)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
