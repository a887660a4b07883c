"""Names that clients give, of which none may hold a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.settings import RedactionSettings, UpstreamSettings
from router.dialects.chat import Chat
from router.dialects.protocol import Request
from router.exchange import Incoming
from router.given_names import NAMES_FILE, with_kept_names, with_plain_names
from router.hints import Hints
from router.problems import InvalidRequestError
from router.redaction.redactor import default_redactor
from tests.router.making import run, settings, task, world

KEY = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"
REDACTOR = default_redactor(RedactionSettings().rules)
PLAIN = Hints(session="0192f6a0-7a3c-7000-8000-000000000001", task_id="TASK-7", workflow="commit-type", retry_count=1)


def asked(hints: Hints, model: str = "gpt-5.4") -> Incoming:
    return Incoming(
        Chat(), Request({"model": model, "messages": []}, model, stream=False, wants_usage=False), hints, {}
    )


def test_usual_names_stay() -> None:
    given = asked(PLAIN)
    assert with_plain_names(given, REDACTOR, b"k") is given
    nothing = asked(Hints())
    assert with_plain_names(nothing, REDACTOR, b"k") is nothing


@pytest.mark.parametrize("name", ["session", "task_id", "workflow"])
@pytest.mark.parametrize("value", [KEY, "ann.example77@corp-y.io"])
def test_a_name_with_a_secret_is_a_digest_of_its_own(name: str, value: str) -> None:
    one: dict[str, Any] = {name: value}
    made = with_plain_names(asked(replace(PLAIN, **one)), REDACTOR, b"k").hints
    again = with_plain_names(asked(replace(PLAIN, **one)), REDACTOR, b"k").hints
    others = {
        with_plain_names(asked(replace(PLAIN, **{**one, name: f"{before}{value}"})), REDACTOR, key).hints
        for before, key in (("x", b"k"), ("", b"another"), ("", b""))
    }
    assert replace(made, **{**one, name: getattr(PLAIN, name)}) == PLAIN
    assert getattr(made, name).startswith("masked-")
    assert made == again
    assert len({made, *others}) == 4


@pytest.mark.parametrize("model", [KEY, "vendor/" + KEY])
def test_a_model_that_is_a_key_is_refused_without_showing_it(model: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        with_plain_names(asked(Hints(), model), REDACTOR, b"k")
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5.4", "claude-sonnet-4-5-20250929", "ft:gpt-4o-mini:acme::AbC123dE", "vendor/gpt-5.4-2026-03-05", "auto",
        "accounts/fireworks/models/llama-v3p1-405b-instruct", "anthropic.claude-3-5-sonnet-20241022-v2:0", "qwen3:8b",
        "bedrock/us.meta.llama3-3-70b-instruct-v1:0", "commit-type@3", "deepseek-r1:32b-qwen-distill-q4_K_M",
    ],
)  # fmt: skip
def test_models_keep_their_names(model: str) -> None:
    assert with_plain_names(asked(Hints(), model), REDACTOR, b"k").request.model == model


@pytest.mark.parametrize(
    "model",
    [
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/" + "a1b2c3d4e5f6",
        "6f1ed002-ab5c-4f5e-9c3b-" + "2a1d4e5f6a7b",
    ],
)
def test_a_model_of_a_name_drawn_by_chance_is_asked_where_an_upstream_lists_it(tmp_path: Path, model: str) -> None:
    vendor = UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4", model))

    async def scene() -> None:
        async with world(tmp_path, settings(upstreams={"vendor": vendor})) as made:
            for name in (model, f"vendor/{model}"):
                await made.ask(task("hello", model=name))
            assert [asked["model"] for asked in made.cloud.requests] == [model, model]

    run(scene())
    with pytest.raises(InvalidRequestError, match="looks like a key"):
        with_plain_names(asked(Hints(), model), REDACTOR, b"k")


def test_what_is_kept_of_a_request_whose_model_looks_like_a_key_are_its_other_names() -> None:
    kept = with_kept_names(asked(replace(PLAIN, session=KEY), "vendor/" + KEY), REDACTOR, b"k", ())

    assert kept.request.model == ""
    assert (kept.hints.session or "").startswith("masked-")
    assert replace(kept.hints, session=PLAIN.session) == PLAIN


def test_names_are_digests_under_the_homes_own_secret_which_stays(tmp_path: Path) -> None:
    headers = {"X-ModelBreeder-Session": "ann.example77@corp-y.io"}

    async def session(root: Path) -> str | None:
        async with world(root) as made:
            await made.ask(task("hello"), headers)
            return made.interactions()[-1].intent.envelope.session

    async def scene() -> None:
        (tmp_path / "other").mkdir()
        one, again, other = [await session(root) for root in (tmp_path, tmp_path, tmp_path / "other")]
        assert one == again != other
        assert one is not None
        assert one.startswith("masked-")

    run(scene())
    assert (tmp_path / "data" / NAMES_FILE).stat().st_mode & 0o777 == 0o600
