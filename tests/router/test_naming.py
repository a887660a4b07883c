from __future__ import annotations

from dataclasses import replace

import pytest

from registry.entities import Lane
from registry.settings import UpstreamSettings
from router.naming import Place, Target, read_place
from router.problems import InvalidRequestError

UPSTREAMS = {
    "openai": UpstreamSettings(base_url="https://a.test/v1", models=("gpt-5.4",)),
    "other": UpstreamSettings(base_url="https://b.test/v1", models=("big", "gpt-5.4")),
    "mine": UpstreamSettings(base_url="http://127.0.0.1:1/v1", models=("llama",), trust="private"),
}
CLOUD = Target("openai", "gpt-5.4")
OPEN = Place(CLOUD, leaves_choice=True)
OF_WORKFLOW = replace(OPEN, lane=Lane.LOCAL_FAST, workflow="commit-type")


def place(model: str, cloud: str | None = "openai/gpt-5.4") -> Place:
    return read_place(model, UPSTREAMS, cloud, lambda name: name == "commit-type@3")


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
