"""`modelbreeder spec`, as a person runs it: a private server answers, and a cloud listens that must hear nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.token_estimate import estimate_tokens
from tests.router.daemon import run_command, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

DRAFT = """Please write a rate limiter for customer_77, mail bob@example.org.
It allows 20 requests a second and asks load_plan.
Never allow more than 10 requests a second.
"""
ANSWER = {
    "goal": "A rate limiter for customer_77, mail bob@example.org.",
    "inputs": ["requests"],
    "outputs": [],
    "constraints": ["asks load_plan"],
    "acceptance": [],
    "open_questions": ["20 or 10 requests a second?"],
    "contradictions": [
        {"first": "allows 20 requests a second", "second": "Never allow more than 10 requests", "why": "20 > 10"},
        {"first": "allows 20 requests a second", "second": "five requests", "why": "made up"},
    ],
    "undefined_names": [],
}
BASE = """
[local]
runtime = "mine"
base = "llama"
[upstreams.mine]
base_url = "{url}"
models = ["llama"]
trust = "private"
context = {context}
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Upstream, Upstream]]:
    """Give a cloud and a private server, and a home that knows both."""
    with recording_upstream() as vendor, recording_upstream() as mine:
        mine.answer = lambda _: json.dumps(ANSWER)
        write_config(tmp_path, vendor.url, more=BASE.format(url=mine.url, context=32_768))
        (tmp_path / "draft.md").write_text(DRAFT, encoding="utf-8")
        yield vendor, mine


def test_a_data_class_that_there_is_not_is_named_and_nobody_is_asked(
    tmp_path: Path, servers: tuple[Upstream, Upstream]
) -> None:
    ended = spec(tmp_path, "--data-class", "nonsense")

    assert ended.returncode == 2
    assert "--data-class is 'nonsense'; it must be one of biometric, client" in ended.stderr
    assert [len(server.requests) for server in servers] == [0, 0]


def spec(home: Path, *more: str) -> Any:
    return run_command(home, "spec", str(home / "draft.md"), *more)


def test_a_draft_becomes_a_file_to_check_and_its_flaws_are_told(
    tmp_path: Path, servers: tuple[Upstream, Upstream]
) -> None:
    vendor, mine = servers
    done = spec(tmp_path, "-o", str(tmp_path / "spec.md"))

    assert done.returncode == 0, done.stderr
    assert (
        (tmp_path / "spec.md")
        .read_text(encoding="utf-8")
        .startswith("# Goal\n\nA rate limiter for customer_77, mail bob@")
    )
    assert (
        '- line 2 "allows 20 requests a second" against line 3 "Never allow more than 10 requests": 20 > 10'
        in done.stdout
    )
    assert "- `load_plan` (line 2)" in done.stdout
    assert "1 findings of the model are not in the draft" in done.stdout
    assert "tokens, " in done.stdout
    assert f"by mine/llama; check {tmp_path / 'spec.md'} before you send it" in done.stdout
    assert vendor.requests == []
    assert mine.requests[0]["response_format"]["json_schema"]["strict"] is True
    assert mine.requests[0]["messages"][1]["content"] == DRAFT


def test_it_is_recorded_masked_and_told_as_json(tmp_path: Path, servers: tuple[Upstream, Upstream]) -> None:
    vendor, _ = servers
    told = json.loads(spec(tmp_path, "--json", "--data-class", "client").stdout)
    shown = run_command(tmp_path, "ledger", "show", told["interactions"][0], "--json").stdout

    assert told["model"] == "mine/llama"
    assert told["specification"].startswith("# Goal")
    assert told["undefined_names"] == [{"text": "customer_77", "lines": [1]}, {"text": "load_plan", "lines": [2]}]
    assert told["tokens_before"] == estimate_tokens(DRAFT)
    assert json.loads(shown)["intent"]["decision"]["lane"] == "local_private"
    assert json.loads(shown)["intent"]["envelope"]["data_class"] == "client"
    assert "bob@example.org" not in shown
    assert vendor.requests == []


def test_an_answer_of_another_form_is_asked_for_once_more(tmp_path: Path, servers: tuple[Upstream, Upstream]) -> None:
    vendor, mine = servers
    mine.answer = lambda body: json.dumps(ANSWER) if len(body["messages"]) > 2 else '{"goal": 3}'
    told = json.loads(spec(tmp_path, "--json").stdout)

    assert len(told["interactions"]) == len(mine.requests) == 2
    assert mine.requests[1]["messages"][2] == {"role": "assistant", "content": '{"goal": 3}'}
    assert "That is not as asked for" in mine.requests[1]["messages"][3]["content"]
    assert vendor.requests == []


@pytest.mark.parametrize("behaviour", ["ok", "500"])
def test_a_local_model_that_fails_is_one_line_and_no_cloud_is_asked(
    tmp_path: Path, servers: tuple[Upstream, Upstream], behaviour: str
) -> None:
    vendor, mine = servers
    # Nothing in it is private: only the command itself keeps it here.
    (tmp_path / "draft.md").write_text("Plan a rate limiter, and review the plan.", encoding="utf-8")
    mine.behaviour, mine.answer = behaviour, lambda _: "Sure! Here is your specification."
    done = spec(tmp_path, "-o", str(tmp_path / "spec.md"))

    assert done.returncode == 69
    assert done.stderr.count("\n") == 1
    assert "gave no specification when asked twice" in done.stderr or behaviour == "500"
    assert not (tmp_path / "spec.md").exists()
    assert vendor.requests == []


def test_a_draft_too_long_for_the_local_model_stays_too(tmp_path: Path, servers: tuple[Upstream, Upstream]) -> None:
    vendor, mine = servers
    write_config(tmp_path, vendor.url, more=BASE.format(url=mine.url, context=1_100))
    done = spec(tmp_path)

    assert done.returncode != 0
    assert "the context has 1,100" in done.stderr
    assert vendor.requests == mine.requests == []


def test_without_a_local_lane_the_next_step_is_told(tmp_path: Path, servers: tuple[Upstream, Upstream]) -> None:
    vendor, _ = servers
    write_config(tmp_path, vendor.url)
    done = spec(tmp_path)

    assert done.returncode == 2
    assert "set local.runtime to a private upstream" in done.stderr
    assert vendor.requests == []


def test_edits_are_never_written_over(tmp_path: Path, servers: tuple[Upstream, Upstream]) -> None:
    _, mine = servers
    (tmp_path / "spec.md").write_text("my edits", encoding="utf-8")
    done = spec(tmp_path, "-o", str(tmp_path / "spec.md"))

    assert done.returncode == 4
    assert (tmp_path / "spec.md").read_text(encoding="utf-8") == "my edits"
    assert mine.requests == []
