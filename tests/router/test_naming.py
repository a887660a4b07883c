from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from registry.entities import Lane
from registry.errors import UnknownModelError
from registry.settings import LocalSettings, UpstreamSettings
from router.naming import Place, Target, read_place
from router.problems import InvalidRequestError, problem_of
from tests.router.making import run, task, world

UPSTREAMS = {
    "openai": UpstreamSettings(base_url="https://a.test/v1", models=("gpt-5.4",)),
    "other": UpstreamSettings(
        base_url="https://b.test/v1", models=("big", "gpt-5.4", "ticket-route@7", "mistra/x", "Local", "plans@2")
    ),
    "mine": UpstreamSettings(base_url="http://127.0.0.1:1/v1", models=("llama",), trust="private"),
    "mistral": UpstreamSettings(base_url="https://c.test/v1"),
}
CLOUD = Target("openai", "gpt-5.4")
OPEN = Place(CLOUD, leaves_choice=True)
OF_WORKFLOW = replace(OPEN, lane=Lane.LOCAL_FAST, workflow="commit-type")


def place(model: str, cloud: str | None = "openai/gpt-5.4") -> Place:
    others = {"commit-type": ["commit-type@3"], "ticket-route": []}
    return read_place(model, UPSTREAMS, cloud, lambda name: name == "commit-type@3", others.get, lambda: [*others])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("auto", OPEN),
        ("local", replace(OPEN, lane=Lane.LOCAL_FAST)),
        ("cloud", Place(CLOUD, Lane.CLOUD_ESCALATION)),
        ("workflow:commit-type", OF_WORKFLOW),
        ("commit-type@3", replace(OF_WORKFLOW, specialist="commit-type@3")),
        ("other/gpt-5.4", Place(Target("other", "gpt-5.4"), Lane.CLOUD_ESCALATION)),
        ("mine/llama", Place(Target("mine", "llama"), Lane.LOCAL_PRIVATE)),
        ("mine/gpt-oss:120b-Cloud", Place(Target("mine", "gpt-oss:120b-Cloud"), Lane.CLOUD_ESCALATION)),
    ],
)
def test_some_names_ask_for_a_place(model: str, expected: Place) -> None:
    assert place(model) == expected


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("gpt-5.4", CLOUD),
        ("big", Target("other", "big")),
        ("gpt-6", Target("openai", "gpt-6")),
        ("meta/llama-3", Target("openai", "meta/llama-3")),
        ("claude@20240620", Target("openai", "claude@20240620")),
        ("other-route@listed", Target("openai", "other-route@listed")),
        ("ticket-route@7", Target("other", "ticket-route@7")),
        ("plans@2", Target("other", "plans@2")),
        ("Local", Target("other", "Local")),
        ("mistra/y", Target("openai", "mistra/y")),
        *(
            (name, Target("openai", name))
            for name in (
                "meta-llama/llama-3",
                "models/gemini-3-pro",
                "ft:gpt-4o:acme::AbC1",
                "claude-3@20240229",
                "text-bison@001",
                "acme/llama@3",
                "mistralai/mixtral-8x7b",
                "accounts/fireworks/models/llama-v3p1-405b",
                "qwen3:8b",
                "mistral3:24b",
                "@cf/x/y",
                "anthropic.claude-3-5-sonnet-20241022-v2:0",
                "publishers/google/models/x",
                "hf.co/bartowski/y:Q4",
                "gpt-5.4:x",
                "google/gemini-3",
                "claude-opus-5",
                "auto-gpt",
                "o3",
                "openrouter/auto",
                "ollama-qwen3",
                "privately",
                "minerals-7b",
                "lo",
                "minerva",
                "",
            )
        ),
    ],
)
def test_a_vendors_name_asks_for_no_place_but_is_the_cloud_target(model: str, target: Target) -> None:
    assert place(model) == Place(target)


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("mien/llama", "mine/llama"),
        ("Mine/llama", "mine/llama"),
        ("mine:llama", "mine/llama"),
        ("minee/llama", "mine/llama"),
        ("opneai/gpt-5.4", "openai/gpt-5.4"),
        ("openia/meta/llama", "openai/meta/llama"),
        ("lokal", "local"),
        ("Local ", "local"),
        ("LOCAL", "local"),
        ("modelbreeder/lokal", "local"),
        ("modelbreeder/gpt-5.4", "gpt-5.4"),
        ("modelbreder/local", "local"),
        ("local/llama", "local"),
        ("local:llama", "local"),
        ("worklow:commit-type", "workflow:commit-type"),
        ("Workflow:commit-type", "workflow:commit-type"),
        ("workflow/commit-type", "workflow:commit-type"),
        ("wf:nope", "workflow:nope"),
        *((name, "local") for name in ("local_private", "local-private", "LocalFast", "locally", "local-model")),
        *((name, "local") for name in ("private", "on-prem", "On_Prem", "self-hosted", "no_op", "mine")),
        ("cloud-escalation", "cloud"),
        ("openai", "openai/MODEL"),
        ("mine-llama-3", "mine/llama-3"),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_refused_with_the_one_that_was_meant(model: str, meant: str) -> None:
    with pytest.raises(UnknownModelError, match="list it in models") as caught:
        place(model)

    assert f"did you mean '{meant}'?" in str(caught.value)


OWN_BASE = LocalSettings(runtime="mine", base="qwen3:8b")


def of_own_base(model: str, cloud: str = "openai/gpt-oss:120b") -> Place:
    return read_place(model, UPSTREAMS, cloud, lambda _: False, local=OWN_BASE)


def test_the_general_local_base_is_served_here_by_its_bare_name() -> None:
    assert of_own_base("qwen3:8b") == Place(Target("mine", "qwen3:8b"), Lane.LOCAL_PRIVATE)
    assert of_own_base("qwen3:8b", "openai/qwen3:8b").target == Target("mine", "qwen3:8b")


@pytest.mark.parametrize("model", ["qwen3", "Qwen3:8B", "qwen3:14b", "QWEN-3:8b-q4_K_M"])
def test_another_size_or_spelling_of_the_general_local_base_is_refused(model: str) -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'local'"):
        of_own_base(model)


@pytest.mark.parametrize("model", ["gpt-oss:120b", "qwen/qwen3-8b", "qwen3-max"])
def test_the_model_of_the_policys_cloud_and_vendors_like_names_leave_beside_a_general_base(model: str) -> None:
    assert of_own_base(model) == Place(Target("openai", model))


@pytest.mark.parametrize(
    ("model", "told"),
    [("nope@3", "known are commit-type, ticket-route"), ("comit-type@3", "mean workflow 'commit-type'")],
)
def test_a_specialist_of_a_workflow_that_there_is_not_is_refused_with_what_there_is(model: str, told: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        place(model)

    assert told in str(caught.value)


def test_without_a_cloud_only_a_listed_name_has_a_target() -> None:
    assert place("big", cloud=None) == Place(Target("other", "big"))
    assert place("gpt-6", cloud=None) == Place(None)
    assert place("auto", cloud=None) == Place(None, leaves_choice=True)


def test_a_workflow_name_must_be_a_name() -> None:
    with pytest.raises(InvalidRequestError, match="workflow:NAME"):
        place("workflow: x")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("commit-type@4", "has no specialist 'commit-type@4'; name one of commit-type@3, or workflow:commit-type"),
        ("commit-type@20250514", "has no specialist 'commit-type@20250514'"),
        ("commit-type@latest", "has no specialist 'commit-type@latest'; name one of commit-type@3"),
        ("commit-type@v3", "has no specialist 'commit-type@v3'; name one of commit-type@3"),
        ("commit-type", "'commit-type' is a workflow; did you mean 'workflow:commit-type'?"),
        ("ticket-route@9", "workflow 'ticket-route' has no specialist 'ticket-route@9'; it has none yet"),
    ],
)
def test_a_specialist_that_a_known_workflow_does_not_have_is_refused_with_those_that_it_has(
    model: str, told: str
) -> None:
    with pytest.raises(UnknownModelError) as caught:
        place(model)

    assert told in str(caught.value)


def test_a_specialist_that_there_is_not_is_asked_of_no_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.promote()
            with pytest.raises(UnknownModelError, match="one of commit-type@1, commit-type@2, or workflow") as caught:
                await made.ask(task(model="commit-type@9"))
            with pytest.raises(UnknownModelError, match="did you mean 'workflow:commit-type'"):
                await made.ask(task(model="commit-type"))
            await made.ask(task("hello", model="claude-opus@20250514"))

            problem = problem_of(caught.value)
            assert (problem.status, problem.code) == (404, "model_not_found")
            assert [request["model"] for request in made.cloud.requests] == ["claude-opus@20250514"]

    run(scene())
