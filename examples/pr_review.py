"""Review a diff in four steps through a running ModelBreeder daemon, each in the lane where it belongs.

The cloud says which files need a close look; the local lane comments on the rest; the cloud reviews the few; the local
lane makes one review of it all. Then it prints what share of tokens and money each lane had, by the daemon's ledger.

    modelbreeder serve &
    git diff main | python examples/pr_review.py -
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai

CLOUD, LOCAL = "cloud", "local"
SHOWN_LINES = 12
TRIAGE = """You triage a pull request. For each file below you see how much changed and how its change begins. Say for
each whether a small model can review it by itself ("routine": renames, texts, tests, formatting, simple code) or
whether it needs a close look ("deep": concurrency, security, money, data loss, interfaces), and why in one sentence."""
ROUTINE = """Review this change of one file. Give at most three short comments on what a reviewer must know, one a line,
each as `path:line: comment`. Write `nothing to say` where there is nothing.

Change:
"""
DEEP = """Review this change closely. It was flagged because: {why}
Name bugs, risks and missing tests, one a line, each as `path:line: comment`.

Change:
"""
FORMATTING = """Convert these review comments to Markdown: a heading for each file, most important first, a list of its
comments below. Change no comment, add none.

Comments:
"""
VERDICTS = {
    "type": "object",
    "properties": {
        "files": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "depth": {"type": "string", "enum": ["routine", "deep"]},
                    "why": {"type": "string"},
                },
                "required": ["path", "depth", "why"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["files"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Change:
    """One file of a diff."""

    path: str
    text: str

    @property
    def outline(self) -> str:
        """How much changed, and how the change begins."""
        changed = [line for line in self.text.split("\n") if re.match(r"[+-](?![+-]{2} )", line)]
        added = sum(line.startswith("+") for line in changed)
        head = [f"{self.path}: {added} lines added, {len(changed) - added} removed", *changed[:SHOWN_LINES]]
        return "\n".join(head)


@dataclass(frozen=True)
class Call:
    """One step's request, and what the daemon says of it."""

    step: str
    lane: str
    model: str
    interaction: str
    tokens: int
    cost_usd: float | None = None
    cloud_cost_usd: float | None = None


class Reviewer:
    """Asks the daemon, and keeps the account."""

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client
        self.calls: list[Call] = []

    def ask(self, step: str, model: str, text: str, **more: Any) -> str:
        """Return the answer to one request."""
        messages = [{"role": "user", "content": text}]
        raw = self._client.chat.completions.with_raw_response.create(model=model, messages=messages, **more)  # type: ignore[arg-type]  # plain messages
        completion = raw.parse()
        lane, answered, interaction = (
            raw.headers[f"x-modelbreeder-{name}"] for name in ("lane", "model", "interaction")
        )
        tokens = completion.usage.total_tokens if completion.usage else 0
        self.calls.append(Call(step, lane, answered, interaction, tokens))
        return completion.choices[0].message.content or ""


def changes_of(diff: str) -> list[Change]:
    """Return the files of a unified diff, as git or diff -u writes it."""
    mark = r"^diff --git " if re.search(r"^diff --git ", diff, re.MULTILINE) else r"^--- [^\n]*\n\+\+\+ "
    starts = [found.start() for found in re.finditer(mark, diff, re.MULTILINE)]
    pieces = [diff[start:end] for start, end in pairwise([*starts, len(diff)])]
    return [Change(_path(piece), piece) for piece in pieces]


def _path(piece: str) -> str:
    for pattern in (r"^\+\+\+ (?:b/)?([^\t\n]+)", r"^--- (?:a/)?([^\t\n]+)", r"^diff --git a/.* b/(.+)$"):
        found = re.search(pattern, piece, re.MULTILINE)
        if found and found[1] != "/dev/null":
            return found[1]
    return "unknown"


def triage(reviewer: Reviewer, changes: Sequence[Change]) -> dict[str, str]:
    """Return why a file needs a close look, for each that does; what the cloud says nothing of does too."""
    schema = {"type": "json_schema", "json_schema": {"name": "triage", "strict": True, "schema": VERDICTS}}
    outlines = "\n\n".join(change.outline for change in changes)
    said = json.loads(reviewer.ask("triage", CLOUD, f"{TRIAGE}\n\n{outlines}", response_format=schema))
    verdicts = {one["path"]: one for one in said["files"]}
    unsaid = {"depth": "deep", "why": "triage said nothing of it"}
    found = {change.path: verdicts.get(change.path, unsaid) for change in changes}
    return {path: verdict["why"] for path, verdict in found.items() if verdict["depth"] == "deep"}


def review(reviewer: Reviewer, changes: Sequence[Change]) -> str:
    """Return the whole review of a diff."""
    deep = triage(reviewer, changes)
    comments = [
        reviewer.ask("routine comments", LOCAL, ROUTINE + change.text) for change in changes if change.path not in deep
    ]
    comments += [
        reviewer.ask("deep review", CLOUD, DEEP.format(why=deep[change.path]) + change.text)
        for change in changes
        if change.path in deep
    ]
    return reviewer.ask("formatting", LOCAL, FORMATTING + "\n".join(comments))


def booked(calls: Iterable[Call], read: Callable[[str], dict[str, Any]]) -> list[Call]:
    """Return calls with tokens and costs as the ledger has them; a weak local answer before one is a call too."""
    found: list[Call] = []
    for call in calls:
        name: str | None = call.interaction
        while name:
            record = read(name)
            intent, outcome = record["intent"], record["outcome"]
            # What failed before it answered has used nothing.
            if outcome["usage"]:
                found.append(_as_booked(call, name, intent["decision"]["lane"], outcome))
            name = intent["parent_id"]
    return found


def _as_booked(call: Call, interaction: str, lane: str, outcome: dict[str, Any]) -> Call:
    return replace(
        call,
        lane=lane,
        model=outcome["model"],
        interaction=interaction,
        tokens=outcome["usage"]["prompt_tokens"] + outcome["usage"]["completion_tokens"],
        cost_usd=outcome["cost_usd"],
        cloud_cost_usd=outcome["cloud_cost_usd"],
    )


def read_ledger(home: str | None, interaction: str) -> dict[str, Any]:
    """Return one interaction of the daemon's ledger."""
    place = ["--home", home] if home else []
    command = [sys.executable, "-m", "router.cli", *place, "ledger", "show", interaction, "--json"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if shown.returncode:
        raise SystemExit(f"the ledger cannot be read: {shown.stderr.strip()}; name the daemon's home with --home")
    record: dict[str, Any] = json.loads(shown.stdout)
    return record


def account(calls: Sequence[Call]) -> str:
    """Return what each step and each lane had, as a text."""
    lines = [f"{'step':18}{'lane':18}{'model':28}{'tokens':>8}{'cost':>12}"]
    lines += [f"{one.step:18}{one.lane:18}{one.model:28}{one.tokens:8,}{_money(one.cost_usd):>12}" for one in calls]
    by_lane: dict[str, list[Call]] = defaultdict(list)
    for one in calls:
        by_lane[one.lane].append(one)
    tokens, spent = sum(one.tokens for one in calls), _sum(one.cost_usd for one in calls)
    lines += ["", f"{'lane':18}{'tokens':>8}{'share':>8}{'cost':>12}{'share':>8}"]
    for lane, own in sorted(by_lane.items()):
        count, cost = sum(one.tokens for one in own), _sum(one.cost_usd for one in own)
        lines.append(f"{lane:18}{count:8,}{_share(count, tokens):>8}{_money(cost):>12}{_share(cost, spent):>8}")
    in_cloud = _sum(one.cloud_cost_usd for one in calls)
    return "\n".join([*lines, "", f"spent {_money(spent)}; all of it in the cloud: {_money(in_cloud)}"])


def _sum(costs: Iterable[float | None]) -> float | None:
    """Return the sum, None where one is not known: it is not nothing."""
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


def _share(part: float | None, whole: float | None) -> str:
    return "-" if part is None or not whole else f"{part / whole:.0%}"


def _money(cost: float | None) -> str:
    return "unknown" if cost is None else f"${cost:.6f}"


def main() -> None:
    """Review the diff that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("diff", help="a file with a unified diff, or - for standard input")
    parser.add_argument("--base-url", default="http://127.0.0.1:8484/v1", help="the daemon's address (%(default)s)")
    parser.add_argument("--home", help="the daemon's home, if it is not the usual one")
    given = parser.parse_args()
    diff = sys.stdin.read() if given.diff == "-" else Path(given.diff).read_text(encoding="utf-8")
    changes = changes_of(diff)
    if not changes:
        raise SystemExit(f"{given.diff} has no unified diff in it; give the output of git diff")
    reviewer = Reviewer(openai.OpenAI(base_url=given.base_url, api_key="any"))
    try:
        text = review(reviewer, changes)
    except openai.APIError as error:
        raise SystemExit(f"the daemon at {given.base_url} gave no answer: {error.message}") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise SystemExit(
            f"the triage is not the JSON that was asked for ({error!r}); name another cloud model"
        ) from error
    calls = booked(reviewer.calls, lambda name: read_ledger(given.home, name))
    sys.stdout.write(f"{text}\n\n{account(calls)}\n")


if __name__ == "__main__":
    main()
