"""docs/policy.md, checked and written: its examples run through `explain`, its tables made of the router's own words.

`python -P -m tests.docs.policy_page` writes the page anew.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.entities import TaskEnvelope
from registry.home import Home
from registry.prompting import Prompt, fingerprint
from registry.settings import Settings
from router.chat import JsonObject
from router.cli.asking import incoming_of
from router.cli.decisions import told_lines
from router.conditions import FEATURES
from router.deps import Outside, open_deps
from router.exchange import Incoming
from router.explaining import explain
from router.policy_notes import FEATURE_NOTES, rule_notes
from tests.router.making import NOON, FakeCloud, FakeEngine, enrol, evaluation, move

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
COMMAND = "modelbreeder explain "
_BLOCK = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NUMBER = re.compile(r"^### \d+\. ", re.MULTILINE)
_CHAMPION = re.compile(r"\| `([\w-]+)@1` \| `(.+?)` \| (\S+) \| (\S+) \| (\d+) days ago \| (in )?(\d+) days")


@dataclass(frozen=True, slots=True)
class Example:
    """One worked example of the page; `start` and `end` are where its printed text stands."""

    title: str
    change: Mapping[str, Any]
    incoming: Incoming
    whole: bool
    """Whether the page shows all that is printed, and not the sentence alone."""
    start: int
    end: int

    def shown(self, told: JsonObject) -> str:
        """Return what the page shows of an explanation."""
        lines = [str(told["sentence"])]
        return "".join(f"{line}\n" for line in (told_lines(told) if self.whole else lines))


def examples(page: str) -> list[Example]:
    """Return the examples of a page in their order."""
    heads = [*re.finditer(r"^### (.+)$", page, re.MULTILINE)]
    ends = [head.start() for head in heads[1:]] + [len(page)]
    return [_example(head[1], page, head.end(), end) for head, end in zip(heads, ends, strict=True)]


def _example(title: str, page: str, start: int, end: int) -> Example:
    change: Mapping[str, Any] = {}
    incoming: Incoming | None = None
    for block in _BLOCK.finditer(page, start, end):
        kind, more, text = block.groups()
        if kind == "toml":
            change = tomllib.loads(text)
        elif kind == "sh":
            incoming = incoming_of(shlex.split(text.removeprefix(COMMAND))[0], None, None)
        elif kind == "json":
            incoming = incoming_of(text, None, None, more)
        elif kind == "text":
            assert incoming is not None, f"{title}: no request before what is printed"
            return Example(title, change, incoming, more == "all", block.start(3), block.end(3))
    raise AssertionError(f"{title}: nothing is printed")


def merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with another laid over it."""
    result = dict(values)
    for key, value in change.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def base_of(page: str) -> dict[str, Any]:
    """Return the configuration that all examples share."""
    start = page.index("They share this home:")
    block = _BLOCK.search(page, start)
    assert block is not None
    return tomllib.loads(block[3])


def explained(page: str, folder: Path) -> Iterator[tuple[Example, str]]:
    """Yield each example with what `explain` prints for it, in a home with the page's champions at the page's time."""
    home, base = Home.at(folder), base_of(page)
    asyncio.run(_enrol(home, _CHAMPION.findall(page)))
    for example in examples(page):
        settings = Settings(**merged(base, example.change))
        yield example, example.shown(asyncio.run(_explain(home, settings, example.incoming)))


async def _enrol(home: Home, champions: Sequence[tuple[str, ...]]) -> None:
    async with open_deps(home, Settings(), _outside()) as deps:
        catalog, store = Catalog(deps.database), ArtifactStore(home.artifacts)
        for name, first_line, margin, coverage, measured, still, expires in champions:
            marks = (fingerprint(Prompt("", f"{first_line}\n")),)
            made = enrol(catalog, store, home.data, workflow=name, fingerprints=marks)
            judged = evaluation(
                evaluation_id=name,
                specialist=made.name,
                margin_lower=float(margin),
                coverage=float(coverage),
                at_utc=NOON - timedelta(days=int(measured)),
                expires_at_utc=NOON + timedelta(days=int(expires) * (1 if still else -1)),
            )
            catalog.add_evaluation(judged)
            move(catalog, made, judged.evaluation_id, by="gate", reason="passed")


async def _explain(home: Home, settings: Settings, incoming: Incoming) -> JsonObject:
    async with open_deps(home, settings, _outside()) as deps:
        return explain(deps.router, incoming, "0", NOON)


def _outside() -> Outside:
    return Outside(lambda _, upstream: FakeCloud(), lambda _: FakeEngine(), clock=lambda: NOON)


def written(page: str, folder: Path) -> str:
    """Return a page with its tables and the printed texts made anew, its examples numbered."""
    numbers = count(1)
    page = _NUMBER.sub(lambda _: f"### {next(numbers)}. ", page)
    page = _GENERATED.sub(lambda found: f"{found[1]}{_TABLES[found[2]]()}{found[3]}", page)
    for example, said in reversed([*explained(page, folder)]):
        page = page[: example.start] + said + page[example.end :]
    return page


def _rules() -> str:
    rows = [
        f"| {number} | `{note.name}` | {note.what} | {', '.join(f'`{key}`' for key in note.keys)} |\n"
        for number, note in enumerate(rule_notes(), 1)
    ]
    return "".join(["| | rule | what it does | keys |\n|---|---|---|---|\n", *rows])


def _features() -> str:
    kinds = TaskEnvelope.__annotations__
    rows = [f"| `{name}` | {kinds[name].replace('|', 'or')} | {FEATURE_NOTES[name]} |\n" for name in FEATURES]
    return "".join(["| feature | is | says |\n|---|---|---|\n", *rows])


_TABLES = {"rules": _rules, "features": _features}


def main() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
