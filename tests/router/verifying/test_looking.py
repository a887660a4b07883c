"""A command that could not be started is found before any answer, from within every sandbox that works here."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.errors import ConfigError
from router.verifying.commands import CommandRunner
from router.verifying.looking import unreadable_arguments
from router.verifying.sandbox import Command, Sandbox


def look(sandbox: Sandbox, *argv: str, readable: tuple[Path, ...] = ()) -> list[str]:
    return asyncio.run(unreadable_arguments(CommandRunner(sandbox), Command("v", argv, readable=readable)))


@pytest.fixture
def shown() -> Iterator[Path]:
    """A folder with a program and a file in it, for all to read: nobody but root enters what is under tmp_path."""
    folder = Path(f"/tmp/checks-{uuid.uuid4().hex}")
    folder.mkdir()
    try:
        (folder / "check").write_text("#!/bin/sh\nexit 0\n")
        (folder / "check").chmod(0o755)
        (folder / "plain").write_text("text")
        yield folder
    finally:
        shutil.rmtree(folder)


def test_a_program_of_the_system_or_of_a_readable_folder_can_be_started(sandbox: Sandbox, shown: Path) -> None:
    assert look(sandbox, "sh", "-c", "exit 1") == []
    assert look(sandbox, "/bin/sh") == []
    assert look(sandbox, str(shown / "check"), readable=(shown,)) == []
    assert look(sandbox, str(shown / "check"), readable=(shown / "check",)) == []


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (
            "no-such-program",
            "its program 'no-such-program' is not in /usr/local/bin, /usr/bin or /bin; install it there",
        ),
        ("cd", "its program 'cd' is not in"),
        ("/no/such/program", "its program '/no/such/program' is not there; write the path of a program that is"),
        ("./check", "its program './check' is no whole path; write it from / on"),
        ("/usr", "its program '/usr' is no program"),
        ("tr\0ue", "its command holds a zero byte"),
    ],
)
def test_a_program_that_is_not_there_is_named_with_the_next_step(sandbox: Sandbox, program: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        look(sandbox, program, "x")

    assert str(caught.value).startswith("policy.verify 'v': ")
    assert told in str(caught.value)


def test_a_program_out_of_sight_and_one_that_is_none_are_told_apart(sandbox: Sandbox, shown: Path) -> None:
    with pytest.raises(ConfigError, match="is there, but the command may not read it; add it or its folder"):
        look(sandbox, str(shown / "check"))
    with pytest.raises(ConfigError, match="is no program; make it executable"):
        look(sandbox, str(shown / "plain"), readable=(shown,))


def test_a_readable_folder_that_is_not_there_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"readable '.*/gone' is not there"):
        look(sandbox, "true", readable=(tmp_path / "gone",))


def test_arguments_that_are_files_out_of_sight_are_named(sandbox: Sandbox, shown: Path) -> None:
    plain, check = str(shown / "plain"), str(shown / "check")

    assert look(sandbox, "true", plain, "--flag", "/usr", check, "/no/such", "/bin/sh") == [plain, check]
    assert look(sandbox, "true", plain, check, readable=(shown / "plain",)) == [check]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can own what its commands, which run as nobody, may not read")
def test_what_nobody_may_read_is_told_as_it_lies_outside(sandbox: Sandbox, shown: Path) -> None:
    shown.chmod(0o700)
    with pytest.raises(ConfigError) as caught:
        look(sandbox, str(shown / "check"), readable=(shown / "check",))

    assert "cannot be run" in str(caught.value)
    assert "/old" not in str(caught.value)


def test_a_word_that_is_also_a_file_below_our_folder_is_no_file_of_the_command(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fix").write_text("x")
    monkeypatch.chdir(tmp_path)

    assert look(sandbox, "grep", "-q", "fix") == []
    assert look(sandbox, "grep", "-q", "x", str(tmp_path / "fix")) == [str(tmp_path / "fix")]
