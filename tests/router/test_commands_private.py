"""What every command does before its work: its files are its user's, it leaves no core, it quotes nobody in a bug."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.router.daemon import environment

SECRET = "bob@example.org"
SCRIPT = f"""
import asyncio, os, resource
from pathlib import Path
import typer
from router.cli.frame import new_app, run

os.umask(0)
app = new_app("x")

async def lose():
    async def fails():
        raise ValueError("{SECRET}")
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

@app.command()
def writes(file: Path):
    file.write_text("x")
    print(oct(file.stat().st_mode), resource.getrlimit(resource.RLIMIT_CORE))

@app.command()
def breaks():
    asyncio.run(lose())
    try:
        raise KeyError("{SECRET}")
    except KeyError as error:
        raise RuntimeError("of {SECRET}") from error

run(app)
"""


def called(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def test_new_files_are_private_and_there_is_no_core(tmp_path: Path) -> None:
    assert called("writes", str(tmp_path / "file")).stdout == "0o100600 (0, 0)\n"


def test_a_bug_is_told_by_types_and_places_without_its_words() -> None:
    done = called("breaks")
    assert done.returncode == 1
    assert "RuntimeError from KeyError" in done.stderr
    assert "in breaks" in done.stderr
    # A task whose exception nobody asked for: asyncio's own log would show it.
    assert "ERROR asyncio: at " in done.stderr
    assert SECRET not in done.stderr
