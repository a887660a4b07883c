"""What a route decision and its parts cost on one request; `python -m tests.bench.envelope` prints it."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry.settings import DataClassSettings, PolicySettings
from router.asked_again import AskedAgain
from router.data_classes import DataClasses
from router.envelope import Match, envelope_of
from router.hints import Hints
from router.naming import Place
from router.redaction.opaque import set_aside
from tests.router.making import incoming, settings, world

SIZES = {"4 KB": 4_096, "100 KB": 102_400}
BUDGETS_MS = {"4 KB": 0.5, "100 KB": 10.0}
"""What a whole route decision may take."""
CALLS = 300
CLASSES = (
    DataClassSettings(
        name="client", paths=("clients/**", "**/contracts/*.docx"), patterns=(r"(?i)\bacme (?:corp|inc)\b",)
    ),
    DataClassSettings(name="patient", paths=("charts/**",), patterns=(r"(?i)\bpatient (?:no|id)\b",)),
)


def request(characters: int) -> dict[str, Any]:
    """Return a chat request of prose, code and a diff, with a conversation before its last ask."""
    words = "Please look at the module that reads the settings and say what it does, file by file.\n"
    code = (
        "```python\ndef read(path: str) -> dict[str, int]:\n    return {line: len(line) for line in open(path)}\n```\n"
    )
    diff = "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n"
    text = (words * 4 + code + words + diff) * (characters // 600 + 1)
    turns = [
        {"role": "system", "content": "You are a careful reviewer."},
        {"role": "user", "content": text[: characters // 2]},
        {"role": "assistant", "content": "It reads settings."},
        {"role": "user", "content": text[characters // 2 : characters]},
    ]
    return {"model": "gpt-5.4", "messages": turns}


def medians_ms() -> list[tuple[str, str, float]]:
    """Return what was measured, the size of the prompt, and the median time."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measured(Path(folder)))


async def _measured(folder: Path) -> list[tuple[str, str, float]]:
    policy = PolicySettings(cloud="vendor/gpt-5.4", classes=CLASSES)
    found = []
    async with world(folder, settings(policy=policy)) as made:
        router, now = made.deps.router, datetime.now(UTC)
        for size, characters in SIZES.items():
            body = request(characters)
            asked = incoming(body)
            parts: dict[str, Callable[[], object]] = {
                "route decision": lambda asked=asked: router.route(asked, "i", now),  # type: ignore[misc]
                **_parts(body, policy),
            }
            found += [(name, size, _median_ms(part)) for name, part in parts.items()]
    return found


def _parts(body: dict[str, Any], policy: PolicySettings) -> dict[str, Callable[[], object]]:
    classes, memory = DataClasses(policy, ()), AskedAgain(time.monotonic, b"k" * 32)
    given: dict[str, Any] = {"task_id": "t", "minimum_margin": -0.05, "redactions": {}, "customer_types": ()}
    return {
        "envelope": lambda: envelope_of(body, Hints(), Place(None), Match(), **given),
        "data class, five globs and patterns": lambda: classes.narrowest(None, body, body, {}),
        "asked again": lambda: memory.count(memory.ask_of(body, "local", "", {})),
        "setting images aside": lambda: set_aside(body),
    }


def _median_ms(part: Callable[[], object]) -> float:
    spent = []
    for _ in range(CALLS):
        started = time.perf_counter()
        part()
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def main() -> None:
    """Print each as a row of the table of benchmarks."""
    for name, size, spent in medians_ms():
        sys.stdout.write(f"| {name}, {size} prompt | {spent:.3f} ms |\n")


if __name__ == "__main__":
    main()
