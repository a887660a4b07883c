from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from registry.entities import Lane
from registry.errors import UnknownModelError
from registry.settings import UpstreamSettings
from router.naming import Place, Target, read_place
from router.problems import InvalidRequestError, problem_of
from tests.router.making import run, task, world

UPSTREAMS = {
    "openai": UpstreamSettings(base_url="https://a.test/v1", models=("gpt-5.4",)),
    "other": UpstreamSettings(base_url="https://b.test/v1", models=("big", "gpt-5.4", "ticket-route@7")),
    "mine": UpstreamSettings(base_url="http://127.0.0.1:1/v1", models=("llama",), trust="private"),
}
CLOUD = Target("openai", "gpt-5.4")
OPEN = Place(CLOUD, leaves_choice=True)
OF_WORKFLOW = replace(OPEN, lane=Lane.LOCAL_FAST, workflow="commit-type")


def place(model: str, cloud: str | None = "openai/gpt-5.4") -> Place:
    others = {"commit-type": ["commit-type@3"], "ticket-route": []}
    return read_place(model, UPSTREAMS, cloud, lambda name: name == "commit-type@3", others.get)


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
        ("ticket-route@listed", Target("openai", "ticket-route@listed")),
        ("ticket-route@7", Target("other", "ticket-route@7")),
    ],
)
def test_a_vendors_name_asks_for_no_place_but_is_the_cloud_target(model: str, target: Target) -> None:
    assert place(model) == Place(target)


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
            await made.ask(task("hello", model="claude-opus@20250514"))

            problem = problem_of(caught.value)
            assert (problem.status, problem.code) == (404, "model_not_found")
            assert [request["model"] for request in made.cloud.requests] == ["claude-opus@20250514"]

    run(scene())
