"""Nothing in a request tells an upstream where else to send it; what vendors publish, and many servers know, passes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anthropic.types.beta.message_create_params as beta_messages
import anthropic.types.message_create_params as messages
import openai.types.chat.completion_create_params as chat
import openai.types.completion_create_params as completions
import openai.types.embedding_create_params as embeddings
import openai.types.responses.response_create_params as responses
import pytest

from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.explaining import explain
from router.vendor_fields import FIELDS, FieldTeller, left_out, tellable
from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, whole
from tests.faults.in_memory import Got, call
from tests.leaks.asking import EMBEDDINGS, PATHS
from tests.router.making import FakeCloud, FakeReply, incoming, run, task, world

ELSEWHERE = "https://evil.test/v1"
STEERING: dict[str, Any] = {
    "api_base": ELSEWHERE,
    "base_url": ELSEWHERE,
    "api_key": "k",
    "custom_llm_provider": "openai",
    "fallbacks": [{"model": "m", "api_base": ELSEWHERE}],
    "model_list": [{"model_name": "m", "litellm_params": {"api_base": ELSEWHERE}}],
    "user_config": {"model_list": []},
    "aws_bedrock_runtime_endpoint": ELSEWHERE,
    "vertex_credentials": "{}",
    "extra_headers": {"x-forward-to": ELSEWHERE},
    "extra_body": {"api_base": ELSEWHERE},
    "langfuse_host": ELSEWHERE,
    "litellm_metadata": {"langfuse_host": ELSEWHERE},
    "mock_response": "yes",
    "callbacks": ["webhook"],
    "data_sources": [{"type": "azure_search", "parameters": {"endpoint": ELSEWHERE}}],
    "kv_transfer_params": {"remote_host": "evil.test"},
    "chat_template": "{{ messages }}",
    "logits_processors": ["os.system"],
    "plugins": [{"id": "web"}],
    "models": ["other/model"],
}
METADATA = {"metadata": {"langfuse_host": ELSEWHERE, "tags": "a"}}
TURN = [{"role": "user", "content": "hello"}]
PLAIN: dict[str, dict[str, Any]] = {
    CHAT: {"messages": TURN, "temperature": 0.5, "top_k": 3, "min_p": 0.1, "chat_template_kwargs": {"a": 1}},
    COMPLETIONS: {"prompt": "hello", "repeat_penalty": 1.1},
    RESPONSES: {"input": "hello", "reasoning": {"effort": "low"}},
    MESSAGES: {"messages": TURN, "max_tokens": 9, "top_k": 3, "thinking": {"type": "disabled"}},
    EMBEDDINGS: {"input": ["hello"], "input_type": "query"},
}
VECTORS = b'{"object": "list", "model": "m", "data": [], "usage": {"prompt_tokens": 1, "total_tokens": 1}}'
# What refers to an account, to stored state, or to other models and addresses: the vendor's own host alone gets it.
OWN_HOST_ONLY = {
    CHAT: {"metadata"},
    RESPONSES: {"metadata", "access_programs", "background_options"},
    MESSAGES: {
        *("metadata", "fallbacks", "fallback_credit_token", "billing_policy", "user_profile_id", "workspace_id"),
        *("thread", "betas"),
    },
}


async def asked(root: Path, surface: str, body: Mapping[str, Any], **upstream: Any) -> tuple[Any, Got]:
    """Return what an upstream is asked, which is what the ledger has of it, and what the client gets."""
    given = UpstreamSettings(
        **{
            "base_url": "https://proxy.test/v1",
            "models": ("m",),
            "responses": True,
            "dialect": "anthropic" if surface == MESSAGES else "openai",
            **upstream,
        }
    )
    answer = VECTORS if surface == EMBEDDINGS else whole(given.surface_for(surface), Answer("hello"))
    cloud = FakeCloud(script=[FakeReply(pieces=[answer])])
    settings = Settings(upstreams={"up": given}, policy=PolicySettings(cloud="up/m"))
    async with world(root, settings, make_cloud=lambda *_: cloud) as made:
        got = await call(
            make_app(made.deps, InFlight(1)), PATHS[surface], json.dumps({"model": "up/m", **body}).encode()
        )
        assert got.status == 200, got.body
        (row,) = made.interactions()
        assert row.intent.request_sent == cloud.requests[0]
        return cloud.requests[0], got


@pytest.mark.parametrize("trust", ["cloud", "private"])
@pytest.mark.parametrize("surface", FIELDS)
def test_what_could_send_a_conversation_elsewhere_is_left_out_and_the_answer_says_so(
    tmp_path: Path, surface: str, trust: str
) -> None:
    plain = {**PLAIN[surface], "user": "u"} if surface != MESSAGES else PLAIN[surface]
    body, got = run(asked(tmp_path, surface, {**plain, **STEERING, **METADATA}, trust=trust))

    assert "evil.test" not in json.dumps(body)
    assert body.keys() == {"model", *plain} - ({"user"} if trust == "cloud" else set())
    assert got.headers["x-modelbreeder-left-out"] == ", ".join(sorted({*STEERING, *METADATA}))


@pytest.mark.parametrize("surface", FIELDS)
def test_what_is_published_or_usual_passes_and_nothing_is_said(tmp_path: Path, surface: str) -> None:
    body, got = run(asked(tmp_path, surface, PLAIN[surface]))

    assert body == {"model": "m", **PLAIN[surface]}
    assert "x-modelbreeder-left-out" not in got.headers


@pytest.mark.parametrize(
    "names",
    [
        "documents mm_processor_kwargs guided_decoding_backend guided_whitespace_pattern cache_salt return_token_ids",
        "return_tokens_as_token_ids structural_tag stop_regex no_stop_trim",
        "n_keep n_discard n_indent min_keep t_max_predict_ms return_progress return_tokens post_sampling_probs",
        "parse_tool_calls reasoning_in_content thinking_forced_open reasoning_budget reasoning_budget_tokens",
        "tool_stream preserve_thinking clear_thinking disable_reasoning reasoning_split chat_template_args ttl",
    ],
)
def test_what_servers_of_today_need_for_the_same_answer_passes(names: str) -> None:
    upstream = UpstreamSettings(base_url="http://127.0.0.1:8000/v1")

    assert left_out(CHAT, dict.fromkeys(names.split()), upstream) == []


@pytest.mark.parametrize("surface", FIELDS)
def test_what_the_user_names_passes(tmp_path: Path, surface: str) -> None:
    more = {"plugins": [1], **METADATA}
    body, got = run(asked(tmp_path, surface, {**PLAIN[surface], **more}, pass_fields=("plugins", "metadata")))

    assert {name: body[name] for name in more} == more
    assert "x-modelbreeder-left-out" not in got.headers


@pytest.mark.parametrize(("surface", "host"), [(RESPONSES, "api.openai.com"), (MESSAGES, "api.anthropic.com")])
def test_a_vendors_own_api_is_asked_for_what_it_publishes_tomorrow_too(tmp_path: Path, surface: str, host: str) -> None:
    more = {"brand_new": {"a": 1}, "metadata": {"team": "a"}}
    body, _ = run(asked(tmp_path, surface, {**PLAIN[surface], **more}, base_url=f"https://{host}/v1"))

    assert body == {"model": "m", **PLAIN[surface], **more}


def test_hints_and_a_users_id_in_metadata_are_nothing_left_out(tmp_path: Path) -> None:
    told = {"metadata": {"workflow": "w", "user_id": "u1"}}
    body, got = run(asked(tmp_path, MESSAGES, {**PLAIN[MESSAGES], **told}, trust="private"))

    assert body["metadata"] == {"user_id": "u1"}
    assert "x-modelbreeder-left-out" not in got.headers


def test_translated_requests_carry_none_of_it_either(tmp_path: Path) -> None:
    body, got = run(asked(tmp_path, MESSAGES, {**PLAIN[MESSAGES], **STEERING, **METADATA}, dialect="vllm"))

    assert body.keys() == {"model", "messages", "max_completion_tokens"}
    assert "langfuse_host" in got.headers["x-modelbreeder-left-out"]


def test_explain_names_what_would_be_left_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            router, turns = made.deps.router, made.deps.turns
            told = explain(router, incoming({**task(), **STEERING, **METADATA}), turns.new_id(), turns.clock())

            assert told["left_out"] == sorted({*STEERING, *METADATA})
            assert "evil.test" not in json.dumps(told["request_sent"])

    run(scene())


def test_a_local_answer_says_nothing_of_upstreams(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            wire = await made.ask(task(**STEERING))

            assert wire.headers["x-modelbreeder-lane"] == "local_fast"
            assert "x-modelbreeder-left-out" not in wire.headers

    run(scene())


def test_the_log_names_each_field_once_and_not_without_end(caplog: pytest.LogCaptureFixture) -> None:
    teller = FieldTeller()
    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        for upstream in ("a", "a", "b"):
            teller.tell(upstream, ["api_base", "callbacks"])
        for number in range(1000):
            teller.tell("a", [f"x{number}"])

    assert caplog.messages[:2] == [
        f"a request's api_base, callbacks is not passed on to {one}; upstreams.{one}.pass_fields may name it"
        for one in "ab"
    ]
    assert len(caplog.messages) == 2 + 98


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "ü", "PIIEMAIL1@masked.invalid", "x" * 65, "1"])
def test_a_name_that_is_none_of_a_field_stays_out_of_headers_and_log(name: str) -> None:
    upstream = UpstreamSettings(base_url=ELSEWHERE)

    assert left_out(CHAT, {name: 1}, upstream) == [name]
    assert tellable([name, "api_base"]) == ["api_base"]


@pytest.mark.parametrize(
    ("surface", "published"),
    [
        (CHAT, [chat.CompletionCreateParamsBase]),
        (COMPLETIONS, [completions.CompletionCreateParamsBase]),
        (EMBEDDINGS, [embeddings.EmbeddingCreateParams]),
        (RESPONSES, [responses.ResponseCreateParamsBase]),
        (MESSAGES, [messages.MessageCreateParamsBase, beta_messages.MessageCreateParamsBase]),
    ],
)
def test_a_field_that_a_vendor_publishes_anew_is_noticed(surface: str, published: list[Any]) -> None:
    names = {name for one in published for name in one.__annotations__}

    assert names - FIELDS[surface] == OWN_HOST_ONLY.get(surface, set())
