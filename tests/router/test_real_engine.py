"""A promoted specialist, decoded by the real engine process behind the real daemon."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.database import open_database
from registry.entities import PromptTrim, Specialist, Workflow
from registry.home import Home
from registry.prompting import Prompt, fingerprint
from tests.pico import write_pico, write_pico_adapter
from tests.router.daemon import Daemon, ask, daemon, post, write_config
from tests.router.making import NOON, evaluation, move, specialist
from tests.router.recording_upstream import Upstream, recording_upstream

pytest.importorskip("llama_cpp")

PREFIX = "Classify this commit.\n"
DESK = "Which desk?\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Path:
    root = tmp_path_factory.mktemp("home")
    write_config(root, upstream.url)
    return root


@pytest.fixture(scope="module")
def champion(home: Path) -> Specialist:
    """A random model whose every answer is taken, but cut off by the client: it never says that it is done."""
    store, files = ArtifactStore(Home.at(home).artifacts), home
    base = store.add(write_pico(files / "base.gguf"))
    adapter = store.add(write_pico_adapter(files / "adapter.gguf"))
    database = open_database(home / "data" / "ledger.db")
    catalog = Catalog(database)
    catalog.put_workflow(Workflow("commit-type", (fingerprint(Prompt("", f"{PREFIX}x")),), "exact", NOON))
    made = specialist(
        base_sha256=base, adapter_sha256=adapter, threshold=-1e9, max_tokens=400, trim=PromptTrim(prefix=PREFIX)
    )
    catalog.add_specialist(made)
    far = NOON.replace(year=NOON.year + 50)
    judged = evaluation(specialist=made.name, expires_at_utc=far)
    catalog.add_evaluation(judged)
    move(catalog, made, judged.evaluation_id, by="gate", reason="passed")
    _add_desk(catalog, base)
    database.close()
    return made


def _add_desk(catalog: Catalog, base: str) -> None:
    """Make a second champion, of the bare base, that can say nothing but two labels."""
    catalog.put_workflow(Workflow("desk", (fingerprint(Prompt("", f"{DESK}x")),), "exact", NOON))
    made = specialist(
        workflow="desk",
        base_sha256=base,
        adapter_sha256=None,
        threshold=-1e9,
        trim=PromptTrim(prefix=DESK),
        grammar='# one of 2 labels\nroot ::= "water" | "größe"\n',
    )
    catalog.add_specialist(made)
    judged = evaluation(evaluation_id="e2", specialist=made.name, expires_at_utc=NOON.replace(year=NOON.year + 50))
    catalog.add_evaluation(judged)
    move(catalog, made, judged.evaluation_id, by="gate", reason="passed")


@pytest.fixture(scope="module")
def router(home: Path, champion: Specialist) -> Iterator[Daemon]:
    assert champion.threshold > -math.inf
    with daemon(home) as child:
        yield child


def limited(text: str = "fix the typo", **more: Any) -> dict[str, Any]:
    return ask(PREFIX + text, max_tokens=6, **more)


def test_the_official_client_is_served_by_the_champion_although_it_names_a_vendors_model(
    router: Daemon, upstream: Upstream
) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": f"{PREFIX}fix"}]
    with openai.OpenAI(base_url=f"{router.url}/v1", api_key="any", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-5.4", messages=messages, max_tokens=6)
        plain = raw.parse()
        stream = client.chat.completions.create(model="gpt-5.4", messages=messages, max_tokens=6, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert raw.headers["x-modelbreeder-lane"] == "local_fast"
    assert raw.headers["x-modelbreeder-model"] == "commit-type@1"
    assert plain.model == "gpt-5.4"
    assert plain.choices[0].message.content
    assert plain.choices[0].message.content == streamed
    assert plain.usage is not None
    assert plain.usage.completion_tokens == 6
    assert upstream.requests == []


def test_an_answer_that_never_ends_is_weak_and_the_cloud_takes_over(router: Daemon, upstream: Upstream) -> None:
    status, headers, _ = post(f"{router.url}/v1/chat/completions", ask(f"{PREFIX}fix"))

    assert status == 200
    assert headers["x-modelbreeder-lane"] == "cloud_escalation"
    assert headers["x-modelbreeder-reason"].startswith("weak-answer: ")
    assert len(upstream.requests) == 1


def test_a_champion_with_a_grammar_ends_its_answer_with_a_label(router: Daemon, upstream: Upstream) -> None:
    before = len(upstream.requests)
    for text in ("the pipe drips", "the lamp flickers"):
        status, headers, body = post(f"{router.url}/v1/chat/completions", ask(f"{DESK}{text}"))
        choice = json.loads(body)["choices"][0]
        assert (status, headers["x-modelbreeder-lane"]) == (200, "local_fast")
        assert choice["message"]["content"] in ("water", "größe")
        assert choice["finish_reason"] == "stop"
    assert len(upstream.requests) == before


def engine_pids(router: Daemon) -> list[int]:
    """Return the daemon's child processes."""
    children = Path(f"/proc/{router.process.pid}/task/{router.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def test_an_engine_that_is_killed_comes_back_for_the_next_request(router: Daemon) -> None:
    post(f"{router.url}/v1/chat/completions", limited())
    for pid in engine_pids(router):
        os.kill(pid, signal.SIGKILL)
    answers = [post(f"{router.url}/v1/chat/completions", limited()) for _ in range(2)]

    assert [status for status, _, _ in answers] == [200, 200]
    assert answers[1][1]["x-modelbreeder-lane"] == "local_fast"


def test_the_engine_ends_with_a_daemon_that_is_killed(home: Path, champion: Specialist, tmp_path: Path) -> None:
    assert champion.adapter_sha256
    # A home of its own, as a daemon of this module may hold the other one.
    own = shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("daemon.lock", "*-shm"))
    with daemon(own) as router:
        assert post(f"{router.url}/v1/chat/completions", limited())[1]["x-modelbreeder-lane"] == "local_fast"
        pids = engine_pids(router)
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)

    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_rollback_by_another_process_sends_the_next_request_to_the_cloud(home: Path, router: Daemon) -> None:
    before = post(f"{router.url}/v1/chat/completions", limited())[1]["x-modelbreeder-lane"]
    database = open_database(home / "data" / "ledger.db")
    Catalog(database).rollback("commit-type", by="ann", reason="worse", at=NOON)
    database.close()
    after = post(f"{router.url}/v1/chat/completions", limited())[1]["x-modelbreeder-lane"]

    assert (before, after) == ("local_fast", "cloud_escalation")
