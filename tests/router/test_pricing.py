from __future__ import annotations

import pytest

from registry.entities import Usage
from registry.settings import UpstreamSettings
from router.naming import Target
from router.pricing import Prices
from tests.router.making import NOON

UPSTREAMS = {
    "own": UpstreamSettings(base_url="https://own.test/v1", usd_per_million_input=2, usd_per_million_output=10),
    "half": UpstreamSettings(base_url="https://own.test/v1", usd_per_million_input=2),
    "openai": UpstreamSettings(base_url="https://api.openai.com/v1"),
    "gpt-4o": UpstreamSettings(base_url="http://127.0.0.1:9/v1"),
}
USED = Usage(1_000_000, 100_000, "upstream")


def cost(upstream: str, model: str, cached: int = 0) -> float | None:
    return Prices(UPSTREAMS).cost(Target(upstream, model), USED, NOON, cached)


def test_the_users_own_price_wins() -> None:
    assert cost("own", "gpt-4o") == pytest.approx(3.0)
    assert Prices(UPSTREAMS).blended(Target("own", "x"), NOON) == pytest.approx(4.0)


def test_the_public_list_knows_vendors_by_their_address() -> None:
    known = cost("openai", "gpt-4o")

    assert known is not None
    assert known > 0
    assert cost("openai", "gpt-4o", cached=1_000_000) != known


def test_what_has_no_known_price_costs_none_never_nothing() -> None:
    assert cost("openai", "no-such-model") is None
    assert cost("gpt-4o", "gpt-4o") is None
    assert cost("half", "x") is None
    assert Prices(UPSTREAMS).cost(Target("own", "x"), None, NOON) is None


def test_more_cached_tokens_than_prompt_tokens_are_no_error() -> None:
    assert cost("openai", "gpt-4o", cached=10**9) is not None
