"""No planted value reaches an upstream, and each comes back to the client as it was.

`Leaky(NUMBER)` is the same request always, so a failure is repeated by adding its number to `FAILED_ONCE`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from router.admission import InFlight
from router.app import make_app
from tests.faults.in_memory import Got, call
from tests.faults.reading import read_stream, read_whole
from tests.faults.test_surface_pairs import every_dialect
from tests.leaks.asking import EMBEDDINGS, PATHS, Leaky
from tests.leaks.echoing import EchoingCloud, echo, leaves_of, strings, understood, undressed
from tests.leaks.planting import Planted
from tests.router.making import run, world

FAILED_ONCE: tuple[int, ...] = (3126, 4438, 51608)
AT_ONCE = 16
_WINDOW = 10
"""So many characters of a secret in a row are a leak too."""


def traces(one: Planted) -> set[str]:
    """Return what of a planted value must be nowhere."""
    value = one.value
    found = {value, quote(value, safe=""), json.dumps(value)[1:-1]}
    if one.kind in ("card", "iban", "phone", "ssn"):
        found.add("".join(character for character in value if character.isalnum()))
    elif one.kind not in ("site", "mail", "ip", "pem", "bare"):
        found |= {value[at : at + _WINDOW] for at in range(max(1, len(value) - _WINDOW + 1))}
    return found


def leaks(one: Leaky, path: str, headers: dict[str, str], body: bytes) -> list[str]:
    """Return the kinds and texts of planted values that a raw request shows, in whatever encoding."""
    raw = [path, json.dumps(headers), body.decode(), *headers.values(), *strings(json.loads(body))]
    haystack = "\n".join([*raw, *(text.replace(" ", "").replace("-", "") for text in raw)]).casefold()
    return [
        f"{planted.kind}: {planted.text!r}"
        for planted in one.planted
        if any(trace.casefold() in haystack for trace in traces(planted))
    ]


def check_restored(one: Leaky, told: dict[str, str], got: Got) -> None:
    """Check that a client understands each leaf that its upstream has repeated, with the values that it sent."""
    if one.pair[0] == EMBEDDINGS:
        return
    answer = (read_stream if one.stream else read_whole)(one.pair[0], got.body)
    expected = {number: undressed(one.leaves[number]) for number in understood(echo(one, told))}
    assert {number: undressed(text) for number, text in understood(answer).items()} == expected


async def play(root: Path, numbers: list[int]) -> int:
    """Play the requests of these numbers; return how many reached their upstream and came back whole."""
    cloud, restored = EchoingCloud(), 0
    async with world(root, every_dialect(), make_cloud=lambda *_: cloud) as made:
        app, due = make_app(made.deps, InFlight(AT_ONCE)), iter(numbers)

        async def client() -> None:
            nonlocal restored
            for number in due:
                one = Leaky(number)
                got = await call(app, PATHS[one.pair[0]], one.body, one.headers, query=one.query)
                try:
                    assert (got.status, got.ended) == (200, True), got.body
                    path, headers, body = cloud.asked[number]
                    assert leaks(one, path, dict(headers), body) == []
                    check_restored(one, leaves_of(json.loads(body)), got)
                    restored += 1
                except Exception as error:
                    error.add_note(f"repeat it: add {number} to FAILED_ONCE; surfaces {one.pair}, stream {one.stream}")
                    raise

        async with asyncio.TaskGroup() as clients:
            for _ in range(AT_ONCE):
                clients.create_task(client())

    assert len(cloud.asked) == restored
    return restored


def test_random_requests_leak_nothing_and_come_back_whole(tmp_path: Path) -> None:
    assert run(play(tmp_path, [*FAILED_ONCE, *range(300)])) == len(FAILED_ONCE) + 300


@pytest.mark.slow
def test_ten_thousand_random_requests_leak_nothing_and_come_back_whole(tmp_path: Path) -> None:
    assert run(play(tmp_path, [*range(300, 10_300)])) == 10_000
