"""Files by the SHA-256 of their bytes: written once, complete or not at all, and checked before they are served.

A folder is kept as a tar archive whose bytes depend on nothing but its files' names and contents.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from typing import TypeAlias

from registry.errors import ArtifactError, ConflictError

_CHUNK_BYTES = 4 * 2**20
_INCOMING = ".incoming-"
_ABANDONED_S = 24 * 3600
_DIGEST = re.compile(r"[0-9a-f]{64}")
_Stamp: TypeAlias = tuple[int, int, int, int]


class ArtifactStore:
    """A content-addressed store in one private folder; nothing is created before the first `add`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: dict[str, _Stamp] = {}

    def add(self, source: Path) -> str:
        """Copy a file or folder into the store and return its digest.

        What is already there under that digest is replaced by the same bytes, so a damaged copy is mended.

        Raises:
            ArtifactError: the source cannot be read or is of no storable kind, or the store cannot be written.
        """
        try:
            with self._temporary() as (file, path):
                if source.is_dir():
                    _pack(source, file)
                else:
                    with source.open("rb") as original:
                        shutil.copyfileobj(original, file, _CHUNK_BYTES)
                return self._keep(file, path)
        except OSError as error:
            raise ArtifactError(
                f"cannot store {source}: {error}; check the path and the space in {self._root}"
            ) from error

    def path(self, sha256: str) -> Path:
        """Return where an artifact lies; ArtifactError where it is missing."""
        path = self._place(sha256)
        if not path.is_file():
            raise ArtifactError(f"artifact {sha256} is not in {self._root}; pull it again or breed it again")
        return path

    def holds(self, sha256: str) -> bool:
        """Say whether an artifact is in the store; its content is not checked."""
        return self._place(sha256).exists()

    def remove(self, sha256: str) -> bool:
        """Remove an artifact for good, where it is there, and say whether it was."""
        path = self._place(sha256)
        self._verified.pop(sha256, None)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ArtifactError(f"cannot remove artifact {path}: {error.strerror}; check its folder") from error
        _sync(path.parent)
        return True

    def verify(self, sha256: str) -> Path:
        """Read an artifact whole and return its path; ArtifactError where its bytes are not those of its digest."""
        path = self.path(sha256)
        stamp = _stamp(path)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"cannot read artifact {path}: {error}; check the disk") from error
        if found != sha256:
            self._verified.pop(sha256, None)
            raise ArtifactError(f"artifact {path} is damaged: its digest is {found}; delete it and pull it again")
        self._verified[sha256] = stamp
        return path

    def verified_path(self, sha256: str) -> Path:
        """Return an artifact's path, reading it whole only if the file changed since the last time."""
        path = self.path(sha256)
        return path if self._verified.get(sha256) == _stamp(path) else self.verify(sha256)

    def extract(self, sha256: str, folder: Path) -> Path:
        """Unpack a stored folder as `folder`, which appears complete or not at all, and return it.

        Raises:
            ArtifactError: the artifact is missing, damaged or no folder.
            ConflictError: something lies at `folder` already.
        """
        if folder.exists():
            raise ConflictError(f"{folder} exists already; name a folder that does not")
        archive = self.verified_path(sha256)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with tarfile.open(archive, "r:") as tar:
                tar.extractall(partial, filter="data")
            partial.rename(folder)
        except (tarfile.TarError, OSError) as error:
            raise ArtifactError(f"cannot unpack artifact {sha256} as {folder}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return folder

    def _place(self, sha256: str) -> Path:
        if not _DIGEST.fullmatch(sha256):
            raise ArtifactError(f"{sha256!r} is no artifact digest; it takes 64 hexadecimal digits")
        return self._root / sha256[:2] / sha256

    @contextmanager
    def _temporary(self) -> Iterator[tuple[BufferedRandom, Path]]:
        """Give a private new file beside the artifacts, and remove it if it was not kept."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_INCOMING, dir=self._root)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                self._remove_abandoned(Path(name).stat().st_mtime - _ABANDONED_S)
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _remove_abandoned(self, before: float) -> None:
        """Remove what processes that were killed while adding left behind."""
        for incoming in self._root.glob(f"{_INCOMING}*"):
            if incoming.stat().st_mtime < before:
                incoming.unlink(missing_ok=True)

    def _keep(self, file: BufferedRandom, path: Path) -> str:
        """Make a written file durable under its digest."""
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        final = self._place(sha256)
        final.parent.mkdir(mode=0o700, exist_ok=True)
        path.replace(final)
        for folder in (final.parent, self._root):
            _sync(folder)
        return sha256


def _stamp(path: Path) -> _Stamp:
    """Return what changes when a file does; the change time tells of a write that put the old mtime back."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pack(folder: Path, file: BufferedRandom) -> None:
    """Write a folder as tar: files by name, links to files as files, no times, owners or modes."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                member = tarfile.TarInfo(name)
                member.type, member.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(member)
            elif path.is_file():
                with path.open("rb") as content:
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = os.fstat(content.fileno()).st_size, 0o600
                    tar.addfile(member, content)
            else:
                raise ArtifactError(f"cannot store {path}: neither a file nor a folder; remove it first")
