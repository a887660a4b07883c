"""Checkpoints that neither a crash nor anybody else can fake: resume is only from folders that this home sealed whole.

To go on from a folder runs what its pickled parts say, so its manifest, written last, holds size and sha256 of every
file and is authenticated with a key of the home. Transformers' own look-up takes half-written folders (transformers
issue 35782), so it is not used.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import orjson

from breeder.dataset import write_atomically
from breeder.progress import Report
from registry.home import Home
from registry.own_secrets import secret_in

MANIFEST = "complete.json"


def sealing_key(home: Home) -> str:
    """Return the key of a home's seals."""
    return secret_in(home.data / "checkpoint.key")


def seal(folder: Path, key: str) -> None:
    """Declare a folder complete by writing its manifest."""
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    manifest = {"files": files, "mac": _mac(folder, files, key)}
    write_atomically(folder / MANIFEST, orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS))


def is_sealed(folder: Path, key: str) -> bool:
    """Say whether a folder holds what its manifest tells and nothing else, and the manifest is of this key."""
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        files, mac = dict(manifest["files"]), str(manifest["mac"])
        # First of all: what it says before that is anybody's.
        if not hmac.compare_digest(mac.encode(), _mac(folder, files, key).encode()):
            return False
        found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        names = {path.relative_to(folder).as_posix() for path in found} - {MANIFEST}
        return names == files.keys() and all(
            not (folder / name).is_symlink()
            and (folder / name).stat().st_size == entry["size"]
            and _sha256(folder / name) == entry["sha256"]
            for name, entry in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def latest_sealed(parent: Path, key: str, report: Report) -> Path | None:
    """Return the newest sealed `checkpoint-STEP` folder, or None; others are left alone, and said."""
    numbered = [path for path in parent.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]
    for folder in sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if is_sealed(folder, key):
            return folder
        report(f"  {folder} is no whole checkpoint of this home, so nothing of it is read")
    return None


def _mac(folder: Path, files: Mapping[str, object], key: str) -> str:
    told = orjson.dumps([folder.name, files], option=orjson.OPT_SORT_KEYS)
    return hmac.new(key.encode(), told, hashlib.sha256).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
