"""Values, fakes and an open router for tests; the fakes implement the router's own Protocols."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.entities import (
    Evaluation,
    Interaction,
    PromotionAction,
    Specialist,
    SpecialistKind,
    TaskEnvelope,
    Verdict,
    Workflow,
)
from registry.errors import UpstreamError
from registry.home import Home
from registry.ids import new_id
from registry.prompting import Prompt, fingerprint
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.deps import Deps, Outside, open_deps
from router.dialects.chat import Chat
from router.engine.protocol import Done, FinishReason, GenerateRequest, Piece
from router.exchange import CollectingWire, Incoming
from router.hints import parse_hints
from router.upstream import CloudReply, CloudRequest

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def envelope(**changes: Any) -> TaskEnvelope:
    return replace(TaskEnvelope("t1", "a task", workflow="commit-type", match_score=1.0), **changes)


def specialist(**changes: Any) -> Specialist:
    made = Specialist("commit-type", 1, SpecialistKind.LORA, "b" * 64, NOON, adapter_sha256="a" * 64, threshold=-0.5)
    return replace(made, **changes)


def evaluation(**changes: Any) -> Evaluation:
    made = Evaluation(
        evaluation_id="e1",
        specialist="commit-type@1",
        at_utc=NOON - timedelta(days=2),
        expires_at_utc=NOON + timedelta(days=28),
        verdict=Verdict.PASS,
        reason="margin reached",
        n=200,
        served=180,
        coverage=0.9,
        specialist_score=0.96,
        cloud_score=0.95,
        mean_difference=0.01,
        margin_lower=-0.01,
        alpha_spent=0.05,
        threshold=-0.5,
        holdout_digest="h1",
        cloud_model="gpt-5.4",
        engine_build="b1",
    )
    return replace(made, **changes)


def settings(**changes: Any) -> Settings:
    """Return settings with a cloud called vendor and a private server called mine."""
    upstreams = {
        "vendor": UpstreamSettings(
            base_url="https://vendor.test/v1", models=("gpt-5.4",), usd_per_million_input=2, usd_per_million_output=10
        ),
        "mine": UpstreamSettings(base_url="http://127.0.0.1:9/v1", models=("llama",), trust="private"),
    }
    given: dict[str, Any] = {"upstreams": upstreams, "policy": PolicySettings(cloud="vendor/gpt-5.4"), **changes}
    return Settings(**given)


def answered(text: str, **more: Any) -> bytes:
    """Return the body of a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps(
        {"id": "u1", "object": "chat.completion", "model": "gpt-5.4-0101", "choices": [choice], "usage": usage, **more}
    ).encode()


async def hang(reached: asyncio.Event) -> None:
    """Say that this point is reached, and stay there."""
    reached.set()
    await asyncio.Event().wait()


@dataclass
class FakeReply:
    """An answer in memory; `breaks` is raised where the chunks end."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    breaks: UpstreamError | None = None
    hangs: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.hangs:
            await hang(self.hanging)
        if self.breaks:
            raise self.breaks

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeCloud:
    """Answers from a script; by default it echoes the last user message."""

    script: list[FakeReply | Exception] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    async def open(self, request: CloudRequest) -> CloudReply:
        self.limits.append(request.timeout_s)
        body = json.loads(request.body)
        self.requests.append(body)
        self.headers.append(request.headers)
        if not self.script:
            return FakeReply(pieces=[answered(f"echo {body['messages'][-1]['content']}")])
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class FakeEngine:
    """Says what `say` gives for the last message, one word a piece, as confidently as told."""

    say: Callable[[str], str] = lambda text: f"local {text}"
    confidence: float = -0.1
    finish: FinishReason = FinishReason.STOP
    fails: Exception | None = None
    fails_after: int = 0
    hangs: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[GenerateRequest] = field(default_factory=list)
    cancelled: int = 0
    deaths: int = 0

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece | Done, None]:
        self.requests.append(request)
        words = self.say(request.messages[-1].content).split(" ")
        try:
            for number, word in enumerate(words):
                if self.fails and number >= self.fails_after:
                    raise self.fails
                yield Piece(word if number == 0 else f" {word}", self.confidence)
            if self.hangs:
                await hang(self.hanging)
            yield Done(self.finish, 20, len(words), self.confidence)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise

    async def stop(self) -> None:
        """Nothing runs."""


@dataclass
class World:
    """An open router with fakes outside."""

    deps: Deps
    home: Home
    cloud: FakeCloud
    private: FakeCloud
    engine: FakeEngine

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.deps.database)

    def interactions(self) -> list[Interaction]:
        """Return what the ledger has, oldest first."""
        return list(self.deps.ledger.interactions())

    async def ask(self, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> CollectingWire:
        """Serve one request and return what the client got."""
        wire = CollectingWire()
        await self.deps.turns.respond(incoming(body, headers), wire)
        return wire

    def promote(
        self,
        *,
        trim: Any = None,
        verdict: Verdict = Verdict.PASS,
        by: str = "gate",
        reason: str = "passed",
        evaluated: bool = True,
        **changes: Any,
    ) -> Specialist:
        """Add a specialist with an evaluation and make it champion of its workflow."""
        store = ArtifactStore(self.home.artifacts)
        made = enrol(self.catalog, store, self.home.data, **({"trim": trim} if trim else {}), **changes)
        judged = evaluation(evaluation_id=new_id(), specialist=made.name, verdict=verdict) if evaluated else None
        if judged:
            self.catalog.add_evaluation(judged)
        move(self.catalog, made, judged.evaluation_id if judged else None, by=by, reason=reason)
        return made


def enrol(catalog: Catalog, store: ArtifactStore, folder: Path, **changes: Any) -> Specialist:
    """Add a workflow and its next specialist, with files that only look like models."""
    base, adapter = folder / "base.bin", folder / "adapter.bin"
    base.write_bytes(b"a base")
    adapter.write_bytes(b"an adapter")
    name = changes.pop("workflow", "commit-type")
    marks = changes.pop("fingerprints", (fingerprint(Prompt("", "Classify this commit.\nx")),))
    catalog.put_workflow(Workflow(name, marks, "exact", NOON))
    version = catalog.next_version(name)
    files = {"base_sha256": store.add(base), "adapter_sha256": store.add(adapter)}
    made = specialist(**{"workflow": name, "version": version, **files, **changes})
    catalog.add_specialist(made)
    return made


def move(catalog: Catalog, made: Specialist, evaluation_id: str | None, *, by: str, reason: str) -> None:
    """Make a specialist the champion of its workflow."""
    history = catalog.promotions(made.workflow)
    catalog.move_champion(
        made.workflow,
        PromotionAction.PROMOTE,
        made.name,
        expected_sequence=history[-1].sequence if history else None,
        by=by,
        reason=reason,
        evaluation_id=evaluation_id,
        at=NOON,
    )


def incoming(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Incoming:
    """Return a request as the surface reads it."""
    request = Chat().read(json.dumps(body).encode())
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    return Incoming(Chat(), request, parse_hints(lowered.items(), request.body.get("metadata")), lowered)


@asynccontextmanager
async def world(root: Path, given: Settings | None = None, **outside: Any) -> AsyncIterator[World]:
    """Give an open router on a real database in `root`, at noon."""
    cloud, private, engine = FakeCloud(), FakeCloud(), FakeEngine()
    home = Home.at(root)
    fakes: dict[str, Any] = {
        "make_cloud": lambda _, upstream: private if upstream.trust == "private" else cloud,
        "make_engine": lambda _: engine,
        "clock": lambda: NOON,
    }
    made = Outside(**{**fakes, **outside})
    async with open_deps(home, given or settings(), made) as deps:
        yield World(deps, home, cloud, private, engine)


def task(text: str = "Classify this commit.\nfix typo", **more: Any) -> dict[str, Any]:
    """Return a chat request of one turn, by default of the workflow that `promote` enrols."""
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more}


def frames(wire: CollectingWire) -> list[Any]:
    """Return the parsed data of a stream's frames; [DONE] stays text."""
    assert all(frame.endswith(b"\n\n") for frame in wire.frames if frame)
    found = []
    for frame in b"".join(wire.frames).split(b"\n\n")[:-1]:
        assert frame.startswith(b"data: ")
        data = frame[6:]
        found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return found


def streamed_text(wire: CollectingWire) -> str:
    """Return the text of a stream's first choice."""
    chunks = [frame for frame in frames(wire) if frame != "[DONE]" and frame.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def sse(*payloads: Any, done: bool = True) -> list[bytes]:
    """Return an upstream's stream, one piece an event."""
    events = [b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads]
    return [*events, b"data: [DONE]\n\n"] if done else events


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one upstream chunk."""
    body = {**({} if content is None else {"content": content}), **more}
    choice = {"index": 0, "delta": body, "finish_reason": finish}
    return {"id": "u1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.4-0101", "choices": [choice]}
