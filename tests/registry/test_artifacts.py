"""The content-addressed store: whole, private, and checked before use."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import tarfile
from pathlib import Path

import pytest
from typing_extensions import override

from registry.artifacts import ArtifactStore
from registry.errors import ArtifactError, ConflictError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    file = tmp_path / "adapter.gguf"
    file.write_bytes(os.urandom(100_000))
    return file


def flip_a_bit(path: Path) -> None:
    """Change one bit and put the old times back, as a bad disk would."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(5_000)
        (byte,) = file.read(1)
        file.seek(5_000)
        file.write(bytes([byte ^ 4]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_is_kept_under_the_digest_of_its_bytes(store, adapter):
    sha256 = store.add(adapter)
    assert sha256 == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert store.path(sha256).read_bytes() == adapter.read_bytes()
    assert store.verify(sha256) == store.verified_path(sha256) == store.path(sha256)


def test_the_store_is_private_and_holds_no_leftovers(store, adapter, tmp_path):
    path = store.path(store.add(adapter))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one for one in (tmp_path / "artifacts").rglob("*") if one.is_file()] == [path]


def test_a_later_change_of_the_source_leaves_the_artifact_alone(store, adapter):
    sha256 = store.add(adapter)
    flip_a_bit(adapter)
    assert store.verify(sha256)


def test_the_same_bytes_are_kept_once(store, adapter, tmp_path):
    twin = tmp_path / "twin"
    twin.write_bytes(adapter.read_bytes())
    assert store.add(adapter) == store.add(twin)
    assert len([one for one in (tmp_path / "artifacts").rglob("*") if one.is_file()]) == 1


def test_a_flipped_bit_is_found_even_after_an_earlier_verification(store, adapter):
    sha256 = store.add(adapter)
    store.verified_path(sha256)
    flip_a_bit(store.path(sha256))
    for check in (store.verified_path, store.verify, ArtifactStore(store.path(sha256).parents[1]).verified_path):
        with pytest.raises(ArtifactError, match=f"{sha256} is damaged"):
            check(sha256)


def test_adding_again_mends_a_damaged_artifact(store, adapter):
    sha256 = store.add(adapter)
    flip_a_bit(store.path(sha256))
    store.add(adapter)
    assert store.verified_path(sha256)


class CountingStore(ArtifactStore):
    """Counts how often an artifact is read whole."""

    reads = 0

    @override
    def verify(self, sha256: str) -> Path:
        self.reads += 1
        return super().verify(sha256)


def test_an_artifact_is_read_whole_once_and_again_when_its_file_changed(adapter, tmp_path):
    store = CountingStore(tmp_path / "artifacts")
    sha256 = store.add(adapter)
    assert [store.verified_path(sha256) for _ in range(3)] == [store.path(sha256)] * 3
    assert store.reads == 1
    store.add(adapter)
    store.verified_path(sha256)
    assert store.reads == 2


def test_a_missing_artifact_is_named(store, adapter):
    sha256 = store.add(adapter)
    store.path(sha256).unlink()
    for ask in (store.path, store.verify, store.verified_path):
        with pytest.raises(ArtifactError, match=f"{sha256} is not in"):
            ask(sha256)


@pytest.mark.parametrize("name", ["", "abc", "../../etc/passwd", "A" * 64, "g" * 64, "a" * 65, "a" * 64 + "\n"])
def test_what_is_no_digest_reaches_no_file(store, name):
    with pytest.raises(ArtifactError, match="is no artifact digest"):
        store.path(name)


def test_a_missing_source_is_an_artifact_error(store, tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot store .*nowhere"):
        store.add(tmp_path / "nowhere")
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_a_disk_that_takes_no_more_changes_nothing(store, adapter, tmp_path):
    kept = store.add(adapter)
    adapter.write_bytes(b"larger" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(ArtifactError, match=f"cannot store .*{os.strerror(errno.EFBIG)}"):
            store.add(adapter)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in (tmp_path / "artifacts").rglob("*") if one.is_file()] == [kept]


def test_what_a_killed_process_left_is_removed_a_day_later(store, adapter, tmp_path):
    store.add(adapter)
    for name, age_s in ((".incoming-old", 100_000), (".incoming-new", 1_000)):
        left = tmp_path / "artifacts" / name
        left.write_bytes(b"half")
        os.utime(left, (left.stat().st_mtime - age_s,) * 2)
    store.add(adapter)
    assert [one.name for one in (tmp_path / "artifacts").glob(".incoming-*")] == [".incoming-new"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    (folder / "inner" / "empty").mkdir(parents=True)
    (folder / "adapter.safetensors").write_bytes(b"weights" * 1_000)
    (folder / "inner" / "config.json").write_text("{}")
    (folder / "linked.json").symlink_to(folder / "inner" / "config.json")
    return folder


def test_a_folder_comes_back_as_it_was(store, checkpoint, tmp_path):
    out = store.extract(store.add(checkpoint), tmp_path / "runs" / "out")
    assert {one.relative_to(out).as_posix() for one in out.rglob("*")} == {
        "adapter.safetensors",
        "inner",
        "inner/config.json",
        "inner/empty",
        "linked.json",
    }
    assert (out / "adapter.safetensors").read_bytes() == b"weights" * 1_000
    assert (out / "linked.json").read_text() == "{}"
    assert not (out / "linked.json").is_symlink()


def test_a_folders_digest_depends_on_names_and_contents_alone(store, checkpoint, tmp_path):
    twin = tmp_path / "elsewhere"
    (twin / "inner" / "empty").mkdir(parents=True)
    for name, content in (("linked.json", "{}"), ("inner/config.json", "{}")):
        (twin / name).write_text(content)
    (twin / "adapter.safetensors").write_bytes(b"weights" * 1_000)
    (twin / "adapter.safetensors").chmod(0o640)
    os.utime(twin / "linked.json", (1, 1))
    assert store.add(checkpoint) == store.add(twin)
    with tarfile.open(store.path(store.add(twin))) as tar:
        assert tar.getnames() == sorted(tar.getnames())
    (twin / "linked.json").rename(twin / "renamed.json")
    assert store.add(checkpoint) != store.add(twin)


def test_extracting_never_writes_over_anything(store, checkpoint, tmp_path):
    sha256 = store.add(checkpoint)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConflictError, match="out exists already"):
        store.extract(sha256, tmp_path / "out")


def test_what_is_no_folder_cannot_be_extracted(store, adapter, tmp_path):
    with pytest.raises(ArtifactError, match="cannot unpack"):
        store.extract(store.add(adapter), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_a_socket_or_a_link_to_a_folder_is_refused(store, checkpoint):
    (checkpoint / "loop").symlink_to(checkpoint)
    with pytest.raises(ArtifactError, match="loop: neither a file nor a folder"):
        store.add(checkpoint)


def test_a_damaged_folder_is_not_extracted(store, checkpoint, tmp_path):
    sha256 = store.add(checkpoint)
    flip_a_bit(store.path(sha256))
    with pytest.raises(ArtifactError, match="is damaged"):
        store.extract(sha256, tmp_path / "out")
    assert not (tmp_path / "out").exists()
