"""Images, files and sound: what cannot be masked stays, unless policy lets it leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from registry.entities import Lane, Status
from registry.errors import RefusedError
from registry.settings import LocalSettings, PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.exchange import TurnError
from router.naming import Target
from router.offers import BaseOffer, CloudOffer, PolicyInput
from router.policy import Route, compile_policy, decide
from tests.router.daemon import admin_of, daemon, post, write_config
from tests.router.making import NOON, FakeReply, World, answered, envelope, run, world
from tests.router.recording_upstream import recording_upstream

PICTURE = "iVBORw0KGgoAAAANSUhEUgAA" * 8
URL = f"data:image/png;base64,{PICTURE}"
SECRET = "bob@example.org"
CLOUD = CloudOffer(Target("openai", "gpt-5.4"))
BASE = BaseOffer(CloudOffer(Target("mine", "llava"), private=True))


def look(text: str = "what is this?", url: str = URL, **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": parts}], **more}


PLAIN = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "hi"}]}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", look()),
    "messages": (
        "/v1/messages",
        {
            "model": "gpt-5.4",
            "max_tokens": 9,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                        {"type": "text", "text": "what is this?"},
                    ],
                }
            ],
        },
    ),
    "a tool's result": (
        "/v1/messages",
        {
            "model": "gpt-5.4",
            "max_tokens": 9,
            "messages": [
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "shot", "input": {}}]},
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "t1",
                            "content": [
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": PICTURE},
                                }
                            ],
                        }
                    ],
                },
            ],
        },
    ),
    "responses": (
        "/v1/responses",
        {
            "model": "gpt-5.4",
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}],
        },
    ),
    "text": ("/v1/chat/completions", {"model": "gpt-5.4", "messages": [{"role": "user", "content": f"see {URL}"}]}),
    "completions": ("/v1/completions", {"model": "gpt-5.4", "prompt": f"see {URL}"}),
    "embeddings": ("/v1/embeddings", {"model": "gpt-5.4", "input": [f"see {URL}"]}),
}


def given(*, images: str = "refuse", vision: bool | None = None, base: dict[str, Any] | None = None) -> Settings:
    """Return settings with a cloud, another that sees, and perhaps a general base called llava."""
    upstreams = {
        "vendor": UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",), vision=vision),
        "other": UpstreamSettings(base_url="https://other.test/v1", models=("seer",), vision=True),
    }
    if base is not None:
        upstreams["mine"] = UpstreamSettings(
            base_url="http://127.0.0.1:9/v1", models=("llava",), trust="private", context=32_768, **base
        )
    local = LocalSettings(runtime="mine", base="llava") if base is not None else LocalSettings()
    policy: Any = {"cloud": "vendor/gpt-5.4", "fallbacks": ("other/seer",), "images": images}
    return Settings(upstreams=upstreams, local=local, policy=PolicySettings(**policy))


def decided(policy: PolicySettings, *, base: BaseOffer | None = None, cloud: CloudOffer = CLOUD, **more: Any) -> Route:
    asked = PolicyInput(envelope(multimodal=True, **more), policy, NOON, cloud=cloud, base=base)
    return decide(compile_policy(policy), asked, "digest")


async def failure(made: World, body: dict[str, Any]) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await made.ask(body)
    return caught.value


@pytest.mark.parametrize("asked", ASKED)
def test_no_surface_lets_a_picture_out_by_default(tmp_path: Path, asked: str) -> None:
    path, body = ASKED[asked]

    async def scene() -> None:
        async with world(tmp_path, given()) as made:
            app = make_app(made.deps, InFlight(8, 8, 5.0))
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                answer = await client.post(path, json=body)
            (one,) = made.interactions()

            assert answer.status_code == 403
            assert 'policy.images = \\"allow\\"' in answer.text
            assert made.cloud.requests == []
            assert one.outcome is not None
            assert one.outcome.status is Status.REFUSED
            assert one.intent.decision.rule == "images"
            assert PICTURE not in str(one)

    run(scene())


def test_a_real_upstream_never_hears_of_it(tmp_path: Path) -> None:
    with recording_upstream() as upstream:
        write_config(tmp_path, upstream.url)
        with daemon(tmp_path) as running:
            url = f"{running.url}/v1/chat/completions"
            refused, _, said = post(url, look())
            taken, _, _ = post(url, PLAIN)

        assert (refused, taken) == (403, 200)
        assert b"cannot be searched for secrets" in said
        assert len(upstream.requests) == 1
        assert PICTURE not in upstream.everything


def test_where_policy_allows_it_the_picture_leaves_and_text_is_masked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(images="allow")) as made:
            made.cloud.script = [FakeReply(pieces=[answered("a cat")])]
            await made.ask(look(f"who is {SECRET}?"))
            (one,) = made.interactions()
            content = made.cloud.requests[0]["messages"][0]["content"]

            assert content[1] == {"type": "image_url", "image_url": {"url": URL}}
            assert content[0]["text"] == "who is PIIEMAIL1@masked.invalid?"
            assert one.intent.envelope.multimodal
            assert PICTURE not in str(one)
            assert "data:image/png;base64,opaque-1" in json.dumps(one.intent.request_sent)

    run(scene())


def test_where_policy_allows_it_another_dialect_gets_the_picture_too(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = Settings(
            upstreams={"anth": UpstreamSettings(base_url="https://a.test/v1", dialect="anthropic", models=("claude",))},
            policy=PolicySettings(cloud="anth/claude", images="allow"),
        )
        async with world(tmp_path, settings) as made:
            with pytest.raises(TurnError):
                # The stand-in answers in the chat form, which is no answer of this dialect.
                await made.ask(look())
            block = made.cloud.requests[0]["messages"][0]["content"][1]

            assert block["source"] == {"type": "base64", "media_type": "image/png", "data": PICTURE}

    run(scene())


def test_the_users_own_server_that_sees_gets_the_picture(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(base={"vision": True})) as made:
            made.private.script = [FakeReply(pieces=[answered("a cat")])]
            wire = await made.ask(look(f"who is {SECRET}?"))
            (one,) = made.interactions()

            assert made.private.requests[0]["messages"] == look(f"who is {SECRET}?")["messages"]
            assert made.cloud.requests == []
            assert wire.headers["x-modelbreeder-lane"] == "local_private"
            assert PICTURE not in str(one)
            assert one.intent.decision.fallback_target == "human_review"

    run(scene())


def test_a_server_of_ones_own_that_fails_does_not_hand_the_picture_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(base={"vision": True})) as made:
            made.private.script = [FakeReply(500, headers={"retry-after": "60"}, pieces=[b"{}"])]
            await failure(made, look())

            assert made.cloud.requests == []

    run(scene())


def test_a_private_cloud_that_fails_does_not_hand_the_picture_to_a_real_one(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = given(base={"vision": True})
        policy = settings.policy.model_copy(update={"cloud": "mine/llava"})
        changed = settings.model_copy(update={"policy": policy, "local": LocalSettings()})
        async with world(tmp_path, changed) as made:
            made.private.script = [FakeReply(500, headers={"retry-after": "60"}, pieces=[b"{}"])]
            await failure(made, {**look(), "model": "auto"})

            assert len(made.private.requests) == 1
            assert made.cloud.requests == []

    run(scene())


def test_a_server_of_ones_own_that_cannot_see_is_not_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(base={})) as made:
            error = await failure(made, look())

            assert isinstance(error.cause, RefusedError)
            assert "not listed as able to see images" in str(error.cause)
            assert made.private.requests == []

    run(scene())


def test_a_picture_is_routed_to_a_model_that_sees(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(images="allow", vision=False)) as made:
            await made.ask(look())
            await made.ask(PLAIN)
            seen, plain = made.interactions()

            assert seen.intent.decision.selected_model_or_stack == "other/seer"
            assert plain.intent.decision.selected_model_or_stack == "vendor/gpt-5.4"

            error = await failure(made, {**look(), "model": "vendor/gpt-5.4"})
            assert "not listed as able to see" in str(error.cause)

    run(scene())


def test_sound_and_files_are_not_for_a_base_that_sees(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given(base={"vision": True})) as made:
            sound = [{"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}}]
            error = await failure(made, {**look(), "messages": [{"role": "user", "content": sound}]})

            assert "more than text and images" in str(error.cause)
            assert made.private.requests == []

    run(scene())


def test_rules_in_their_order() -> None:
    refuse, allow = PolicySettings(), PolicySettings(images="allow")
    private = CloudOffer(Target("mine", "llava"), private=True)

    refused = decided(refuse)
    assert (refused.decision.lane, refused.decision.rule, refused.forbidden) == (Lane.NO_OP, "images", True)
    assert decided(refuse, base=BASE).decision.lane is Lane.LOCAL_PRIVATE
    assert decided(refuse, data_class="client").decision.rule == "local-only"
    asked = decided(refuse, requested_lane=Lane.CLOUD_ESCALATION)
    assert (asked.decision.lane, asked.forbidden) == (Lane.NO_OP, True)
    assert decided(refuse, cloud=private).decision.lane is Lane.CLOUD_ESCALATION
    assert decided(allow).decision.lane is Lane.CLOUD_ESCALATION
    assert decided(allow, cloud=CloudOffer(CLOUD.target, unfit="it is blind")).decision.lane is Lane.NO_OP
    blind = CloudOffer(private.target, private=True, unfit="it is blind")
    stays = decided(refuse, cloud=blind, requested_lane=Lane.LOCAL_PRIVATE)
    assert (stays.decision.lane, "it is blind" in stays.decision.local_reason) == (Lane.NO_OP, True)


def test_feedback_with_a_picture_is_refused_not_mangled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, given()) as made:
            await made.ask(PLAIN)
            (one,) = made.interactions()
            app = make_app(made.deps, InFlight(8, 8, 5.0))
            transport = httpx2.ASGITransport(app=app)
            body = {"interaction_id": one.intent.interaction_id, "verdict": "corrected", "corrected": f"see {URL}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                answer = await client.post("/v1/feedback", json=body, headers=admin_of(tmp_path))

            assert answer.status_code >= 400
            assert made.interactions()[0].feedback is None

    run(scene())
