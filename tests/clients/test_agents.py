"""Coding agents do a real task through the daemon: files are written, secrets stay home, each request has its row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.agents import (
    CLAUDE_CODE,
    CODEX,
    OPENCODE,
    OPENCODE_MESSAGES,
    PI,
    PI_MESSAGES,
    PI_RESPONSES,
    Agent,
    run_agent,
)
from tests.clients.scripting import Asked, Reply, Script
from tests.clients.stages import CHAT, LOCAL, MESSAGES, RESPONSES, stage

pytestmark = pytest.mark.clients

SECRET = "sk-proj-" + "t9Kq2LmX7vRb4NcY8wZp" * 2
TASK = f"Write the deploy key {SECRET} into the file hello.txt, copy it in the shell, and read both."
CASES = [
    (CLAUDE_CODE, MESSAGES),
    (CLAUDE_CODE, CHAT),
    (CLAUDE_CODE, LOCAL),
    (CODEX, RESPONSES),
    (CODEX, CHAT),
    (CODEX, MESSAGES),
    (CODEX, LOCAL),
    (OPENCODE, CHAT),
    (OPENCODE, MESSAGES),
    (OPENCODE, LOCAL),
    (OPENCODE_MESSAGES, MESSAGES),
    (OPENCODE_MESSAGES, CHAT),
    (PI, CHAT),
    (PI, MESSAGES),
    (PI, LOCAL),
    (PI_RESPONSES, RESPONSES),
    (PI_RESPONSES, CHAT),
    (PI_MESSAGES, MESSAGES),
    (PI_MESSAGES, CHAT),
]


def model_of(agent: Agent, work: Path) -> Script:
    """Return a model that knows of the task what it is told, and does it in three steps."""

    def script(asked: Asked) -> Reply:
        key = re.findall(r"deploy key (\S+)", asked.text)[-1]
        if not asked.tools:
            return Reply("A deploy key")
        match asked.rounds:
            case 0:
                written = agent.write(asked, work / "hello.txt", f"{key} “ö”\n")
                return Reply(
                    "Two things at once.", "What is asked?", (written, agent.shell(f"echo '{key}' > copy.txt"))
                )
            case 1:
                return Reply(calls=(agent.shell("cat hello.txt copy.txt"),))
            case _:
                return Reply(f"Both files hold {key}.")

    return script


@pytest.mark.parametrize(("agent", "kind"), CASES, ids=[f"{agent.name} to {kind}" for agent, kind in CASES])
def test_an_agent_does_its_task_and_a_secret_stays_at_home(agent: Agent, kind: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with stage(tmp_path, kind) as made:
        made.upstream.script = model_of(agent, work)
        done = run_agent(agent, work, made.url, TASK)

        assert done.returncode == 0, done.stdout + done.stderr + made.report()
        assert (work / "hello.txt").read_text(encoding="utf-8") == f"{SECRET} “ö”\n", made.report()
        assert (work / "copy.txt").read_text(encoding="utf-8") == f"{SECRET}\n"
        assert f"Both files hold {SECRET}." in done.stdout
        read_back = made.upstream.asked[-1].results
        assert len(read_back) == 3
        assert "“ö”" in read_back[-1]
        assert (SECRET in made.upstream.everything) == (kind == LOCAL)
        assert not made.keeps(SECRET)
        made.is_clean()
