"""What upstreams' errors mean, in the shapes that vendors give them."""

from __future__ import annotations

import pytest

from registry.errors import ConfigError, ModelBreederError, UpstreamError
from router.failures import PASSING, FailureKind, kind_of, kind_of_status
from router.upstream import NotAskedError, UnreachableError, UpstreamProblem, UpstreamStatusError, UpstreamTimeoutError


def status_error(status: int, message: str = "no", kind: str | None = None, code: str | None = None) -> UpstreamError:
    return UpstreamStatusError("vendor", status, b"", None, UpstreamProblem(message, kind, code))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnreachableError("refused"), FailureKind.UNREACHABLE),
        (UpstreamTimeoutError("silent"), FailureKind.TIMEOUT),
        (NotAskedError("rests", 429, 3.0), FailureKind.RATE_LIMITED),
        (NotAskedError("rests", 503, 3.0), FailureKind.OVERLOADED),
        (ConfigError("no key"), FailureKind.AUTH),
        (UpstreamError("broke off"), FailureKind.TRUNCATED),
        (status_error(500), FailureKind.SERVER),
        (status_error(401), FailureKind.AUTH),
    ],
)
def test_each_error_of_asking_has_its_kind(error: ModelBreederError, kind: FailureKind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (307, FailureKind.REQUEST),
        (400, FailureKind.REQUEST),
        (401, FailureKind.AUTH),
        (402, FailureKind.AUTH),
        (403, FailureKind.AUTH),
        (404, FailureKind.REQUEST),
        (408, FailureKind.TIMEOUT),
        (413, FailureKind.REQUEST),
        (422, FailureKind.REQUEST),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER),
        (502, FailureKind.SERVER),
        (503, FailureKind.OVERLOADED),
        (504, FailureKind.SERVER),
        (529, FailureKind.OVERLOADED),
    ],
)
def test_a_status_alone_has_its_kind(status: int, kind: FailureKind) -> None:
    assert kind_of_status(status) is kind
    assert kind_of_status(status, UpstreamProblem("no")) is kind


@pytest.mark.parametrize(
    ("status", "message", "kind", "code"),
    [
        (400, "Your input exceeds the context window of this model.", "invalid_request_error", None),
        (400, "no", "invalid_request_error", "context_length_exceeded"),
        (400, "This model's maximum context length is 8192 tokens. However, your messages have 9000", None, None),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error", None),
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", None, None),
        (400, "request (9000 tokens) exceeds the available context size (8192 tokens)", None, "400"),
        (400, "no", "exceed_context_size_error", "400"),
        (500, "the request exceeds the available context size. try increasing it", "exceed_context_size_error", "500"),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192.", None, "400"),
    ],
)  # fmt: skip
def test_r06_a_prompt_that_is_too_long_is_known_by_each_vendors_words(
    status: int, message: str, kind: str | None, code: str | None
) -> None:
    assert kind_of(status_error(status, message, kind, code)) is FailureKind.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("status", "message", "kind", "code"),
    [
        (400, "no", "invalid_request_error", "content_policy_violation"),
        (400, "The response was filtered by the content management policy.", None, "content_filter"),
        (400, "Invalid prompt: it was flagged as potentially violating our usage policy.", None, "invalid_prompt"),
        (400, "Output blocked by content filtering policy", "invalid_request_error", None),
    ],
)  # fmt: skip
def test_a_prompt_that_is_not_wanted_is_known_by_each_vendors_words(
    status: int, message: str, kind: str | None, code: str | None
) -> None:
    assert kind_of(status_error(status, message, kind, code)) is FailureKind.CONTENT_POLICY


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Unsupported value: 'temperature'"),
        (400, "max_tokens: 10000 > 8192, which is the maximum allowed number of output tokens"),
        (413, "Request exceeds the maximum size"),
        (422, "messages: field required"),
    ],
)
def test_other_refusals_are_about_the_request(status: int, message: str) -> None:
    assert kind_of(status_error(status, message)) is FailureKind.REQUEST


def test_what_limits_and_outages_say_of_prompts_does_not_matter() -> None:
    assert kind_of(status_error(429, "maximum context length")) is FailureKind.RATE_LIMITED
    assert kind_of(status_error(503, "exceeds the context")) is FailureKind.OVERLOADED


def test_only_what_may_pass_by_itself_is_passing() -> None:
    assert {kind for kind in FailureKind if kind not in PASSING} == {
        FailureKind.AUTH,
        FailureKind.REQUEST,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.CONTENT_POLICY,
    }


def test_the_wait_for_who_was_not_asked_is_whole_seconds_and_never_none() -> None:
    assert NotAskedError("x", 429, 2.1).retry_after == "3"
    assert NotAskedError("x", 429, 0.0).retry_after == "1"
