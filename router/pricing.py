"""What calls cost in US dollars: the user's own price for an upstream, else the public list shipped offline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from registry.entities import Usage
from registry.settings import UpstreamSettings
from router.naming import Target

_MILLION = 1_000_000
_REMEMBERED = 1024
_SAMPLE = Usage(3000, 1000, "estimate")


class Prices:
    """The prices of the configured upstreams; what has no known price costs None, never 0."""

    def __init__(self, upstreams: Mapping[str, UpstreamSettings]) -> None:
        self._upstreams = upstreams
        self._blended: dict[Target, float | None] = {}

    def prepare(self) -> None:
        """Import the public list now where it will be asked: the first request would wait 240 ms for it."""
        if any(one.trust != "private" and _own_prices(one) is None for one in self._upstreams.values()):
            import genai_prices  # noqa: F401

    def blended(self, target: Target, at: datetime) -> float | None:
        """Return dollars per million tokens at three prompt tokens to one answer token."""
        if target not in self._blended:
            cost = _cost(self._upstreams[target.upstream], target.model, _SAMPLE, 0, at)
            total = _SAMPLE.prompt_tokens + _SAMPLE.completion_tokens
            # A client names the model, so the names remembered are bounded.
            if len(self._blended) >= _REMEMBERED:
                self._blended.clear()
            self._blended[target] = None if cost is None else cost * _MILLION / total
        return self._blended[target]

    def cost(self, target: Target, usage: Usage | None, at: datetime, cached: int = 0) -> float | None:
        """Return what a call cost.

        Args:
            target: who was asked.
            usage: token counts; None costs None.
            at: when, since public prices change.
            cached: how many of the prompt's tokens the upstream read from its own cache.

        """
        if usage is None or self.blended(target, at) is None:
            return None
        return _cost(self._upstreams[target.upstream], target.model, usage, cached, at)


def _cost(upstream: UpstreamSettings, model: str, usage: Usage, cached: int, at: datetime) -> float | None:
    prices = _own_prices(upstream)
    if prices is not None:
        return (usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]) / _MILLION
    # Imported here: it takes longer to import than all else that a daemon with prices of its own needs.
    import genai_prices

    tokens = genai_prices.Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cache_read_tokens=min(cached, usage.prompt_tokens) or None,
    )
    try:
        # The public list is searched by base URL, so that a stand-in never costs what its namesake does.
        price = genai_prices.calc_price(tokens, model, provider_api_url=upstream.base_url, genai_request_timestamp=at)
    except LookupError:
        return None
    return float(price.total_price)


def _own_prices(upstream: UpstreamSettings) -> tuple[float, float] | None:
    """Return the user's own prices of a million tokens in and out, None where the public list holds."""
    into, out = upstream.usd_per_million_input, upstream.usd_per_million_output
    return None if into is None or out is None else (into, out)
