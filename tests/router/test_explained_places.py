"""`explain` tells each redaction by type and place over all surfaces, and never a value."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from router.cli.asking import incoming_of
from router.cli.decisions import told_lines
from router.explaining import explain
from tests.router.making import NOON, run, world
from tests.router.redaction.planted import SECRETS


def planted() -> dict[str, str]:
    """Return a secret of each kind; those with line breaks are written in one line."""
    rng = random.Random(20)
    return {name: make(rng).replace("\n", " ") for name, make in SECRETS.items()}


VALUES = planted()
ALL = " and ".join(VALUES.values())
MAIL, KEY = VALUES["e-mail"], VALUES["github"]
SURFACES: Mapping[str, dict[str, Any]] = {
    "openai.chat": {
        "model": "auto",
        "messages": [
            {"role": "system", "content": f"You help {MAIL}."},
            {"role": "user", "content": [{"type": "text", "text": ALL}]},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "mail", "arguments": json.dumps({"to": MAIL, "key": KEY})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": json.dumps({MAIL: [ALL]})},
        ],
        "tools": [
            {"type": "function", "function": {"name": "mail", "description": f"as {MAIL}", "parameters": {MAIL: {}}}}
        ],
        "metadata": {"owner": MAIL},
    },
    "anthropic.messages": {
        "model": "auto",
        "max_tokens": 9,
        "system": [{"type": "text", "text": ALL}],
        "messages": [
            {"role": "user", "content": f"write to {MAIL}"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "mail", "input": {"to": MAIL}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": ALL}]},
        ],
        "tools": [{"name": "mail", "description": f"with {KEY}", "input_schema": {"type": "object"}}],
    },
    "openai.responses": {
        "model": "auto",
        "instructions": f"You help {MAIL}.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ALL}]},
            {"type": "function_call", "call_id": "c1", "name": "mail", "arguments": json.dumps({"key": KEY})},
            {"type": "function_call_output", "call_id": "c1", "output": ALL},
        ],
    },
    "openai.completions": {"model": "auto", "prompt": ALL},
}


def told(folder: Path, surface: str) -> Any:
    async def scene() -> Any:
        async with world(folder) as made:
            incoming = incoming_of(json.dumps(SURFACES[surface]), None, None, surface)
            return explain(made.deps.router, incoming, "i1", NOON)

    return run(scene())


@pytest.mark.parametrize("surface", SURFACES)
def test_no_planted_value_is_in_what_is_explained(surface: str, tmp_path: Path) -> None:
    found = told(tmp_path, surface)
    shown = json.dumps(found) + "\n".join(told_lines(found))

    assert [name for name, value in VALUES.items() if value in shown] == []
    assert len({one["placeholder"] for one in found["places"]}) == sum(found["redactions"].values()) >= len(VALUES)
    assert {one["type"] for one in found["places"]} == set(found["redactions"])


@pytest.mark.parametrize(
    ("surface", "paths"),
    [
        (
            "openai.chat",
            {
                "messages[0].content",
                "messages[1].content[0].text",
                "messages[2].tool_calls[0].function.arguments",
                "messages[3].content",
                "tools[0].function.description",
                "tools[0].function.parameters['PIIEMAIL1@masked.invalid']",
                "metadata.owner",
            },
        ),
        (
            "anthropic.messages",
            {
                "system[0].text",
                "messages[0].content",
                "messages[1].content[0].input.to",
                "messages[2].content[0].content",
                "tools[0].description",
            },
        ),
        ("openai.responses", {"instructions", "input[0].content[0].text", "input[1].arguments", "input[2].output"}),
        ("openai.completions", {"prompt"}),
    ],
)
def test_each_leaf_with_a_value_is_named(surface: str, paths: set[str], tmp_path: Path) -> None:
    assert {one["path"] for one in told(tmp_path, surface)["places"]} == paths


def test_the_lines_for_people_name_each_place(tmp_path: Path) -> None:
    lines = told_lines(told(tmp_path, "openai.chat"))
    end = len("You help ") + len(MAIL)
    assert f"at        PIIEMAIL1@masked.invalid: PIIEMAIL in messages[0].content, characters 9 to {end}" in lines
