"""The example review, run as its users run it: against a daemon with a cloud and a private server behind it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.pr_review import Call, account, booked, changes_of
from tests.router.daemon import ROOT, daemon, environment, write_config
from tests.router.recording_upstream import recording_upstream

DIFF = """diff --git a/src/pay.py b/src/pay.py
--- a/src/pay.py
+++ b/src/pay.py
@@ -1 +1 @@
-def pay(amount): charge(amount)
+def pay(amount): charge(amount); charge(amount)
diff --git a/docs/pay.md b/docs/pay.md
--- a/docs/pay.md
+++ b/docs/pay.md
@@ -1 +1 @@
-Pays once.
+Pays, once.
diff --git a/old.txt b/old.txt
deleted file mode 100644
--- a/old.txt
+++ /dev/null
@@ -1 +0,0 @@
-gone
"""
BASE = """
[local]
runtime = "mine"
base = "llama"
[upstreams.mine]
base_url = "{url}"
models = ["llama"]
trust = "private"
context = 32768
"""


def says(body: dict[str, Any]) -> str:
    """Answer as the models of a review would."""
    text = str(body["messages"][-1]["content"])
    if "response_format" in body:
        deep = {"path": "src/pay.py", "depth": "deep", "why": "it moves money"}
        routine = [{"path": path, "depth": "routine", "why": "text"} for path in ("docs/pay.md", "old.txt")]
        return json.dumps({"files": [deep, *routine]})
    if text.startswith("Convert"):
        return "# Review\n" + text.split("Comments:\n")[1]
    path = re.findall(r"^--- a/(.+)$", text, re.MULTILINE)[0]
    return f"{path}:1: {'charges twice' if 'moves money' in text else 'fine'}"


def review(diff: Path, url: str, home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "pr_review.py"), str(diff), "--base-url", f"{url}/v1"]
    return subprocess.run(
        [*command, "--home", str(home)], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )


def test_four_steps_go_to_their_lanes_and_the_account_is_that_of_the_ledger(tmp_path: Path) -> None:
    file = tmp_path / "change.diff"
    file.write_text(DIFF, encoding="utf-8")
    with recording_upstream() as vendor, recording_upstream() as mine:
        vendor.answer = mine.answer = says
        write_config(tmp_path, vendor.url, more=BASE.format(url=mine.url))
        with daemon(tmp_path) as running:
            done = review(file, running.url, tmp_path)

    assert done.stderr == ""
    assert "src/pay.py:1: charges twice" in done.stdout
    assert "docs/pay.md:1: fine" in done.stdout
    steps = re.findall(
        r"^(triage|routine comments|deep review|formatting) +(\w+) +(\S+) +(\d+) +\$(\S+)$", done.stdout, re.MULTILINE
    )
    # Each answer of the scripted upstreams is 11 and 7 tokens; the cloud's cost $2 and $10 a million.
    cloud, local = (
        ("cloud_escalation", "vendor/gpt-5.4", "18", "0.000092"),
        ("local_fast", "mine/llama", "18", "0.000000"),
    )
    assert steps == [
        ("triage", *cloud),
        ("routine comments", *local),
        ("routine comments", *local),
        ("deep review", *cloud),
        ("formatting", *local),
    ]
    shares = re.findall(r"^(\w+) +(\d+) +(\d+%) +\$(\S+) +(\d+%)$", done.stdout, re.MULTILINE)
    assert shares == [
        ("cloud_escalation", "36", "40%", "0.000184", "100%"),
        ("local_fast", "54", "60%", "0.000000", "0%"),
    ]
    assert "spent $0.000184; all of it in the cloud: $0.000460" in done.stdout
    assert "Pays, once" not in str(vendor.requests[1:])


def test_a_daemon_that_is_not_there_and_a_file_without_a_diff_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "change.diff"
    file.write_text(DIFF, encoding="utf-8")
    (tmp_path / "none.diff").write_text("no diff", encoding="utf-8")
    nobody = review(file, "http://127.0.0.1:9", tmp_path)
    nothing = review(tmp_path / "none.diff", "http://127.0.0.1:9", tmp_path)

    assert nobody.returncode == nothing.returncode == 1
    assert nobody.stderr.startswith("the daemon at http://127.0.0.1:9/v1 gave no answer: ")
    assert nothing.stderr == f"{tmp_path / 'none.diff'} has no unified diff in it; give the output of git diff\n"


def test_a_weak_local_answer_before_the_clouds_is_booked_too_and_what_failed_is_not() -> None:
    def record(lane: str, parent: str | None, usage: Any) -> dict[str, Any]:
        intent = {"decision": {"lane": lane}, "parent_id": parent}
        return {"intent": intent, "outcome": {"model": lane, "usage": usage, "cost_usd": 1.0, "cloud_cost_usd": None}}

    used = {"prompt_tokens": 3, "completion_tokens": 4}
    ledger = {
        "c": record("cloud_escalation", "b", used),
        "b": record("local_fast", "a", used),
        "a": record("local_fast", None, None),
    }
    calls = booked([Call("formatting", "cloud_escalation", "m", "c", 7)], ledger.__getitem__)

    assert [(one.interaction, one.lane, one.tokens) for one in calls] == [
        ("c", "cloud_escalation", 7),
        ("b", "local_fast", 7),
    ]
    assert "all of it in the cloud: unknown" in account(calls)


def test_files_of_a_diff_are_told_apart_with_and_without_git() -> None:
    plain = "--- a.py\t2026\n+++ a.py\t2026\n@@ -1 +1 @@\n-x\n+y\n--- b.py\n+++ b.py\n@@ -1 +1 @@\n-x\n+y\n"

    assert [change.path for change in changes_of(DIFF)] == ["src/pay.py", "docs/pay.md", "old.txt"]
    assert [change.path for change in changes_of(plain)] == ["a.py", "b.py"]
    assert changes_of(DIFF)[0].outline.startswith("src/pay.py: 1 lines added, 1 removed\n-def pay")
