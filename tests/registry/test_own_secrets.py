from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from registry.errors import ConfigError
from registry.own_secrets import secret_in


def test_a_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    file = tmp_path / "data" / "admin.token"
    first = secret_in(file)

    assert secret_in(file) == first != secret_in(tmp_path / "other")
    assert len(first) == 43
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["admin.token"]


@pytest.mark.parametrize("harm", ["readable", "link", "pipe", "empty", "binary", "folder"])
def test_what_others_may_have_put_there_is_no_secret(tmp_path: Path, harm: str) -> None:
    file, elsewhere = tmp_path / "admin.token", tmp_path / "elsewhere"
    secret_in(elsewhere)
    match harm:
        case "readable":
            secret_in(file)
            file.chmod(0o640)
        case "link":
            file.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(file, 0o600)
        case "empty":
            file.touch(0o600)
        case "binary":
            file.touch(0o600)
            file.write_bytes(bytes(range(256)))
        case _:
            file.mkdir()
    with pytest.raises(ConfigError, match="remove it"):
        secret_in(file)
