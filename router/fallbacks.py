"""Who is asked next where an upstream failed before its answer began. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from registry.settings import PolicySettings, UpstreamSettings, is_private
from router.failures import PASSING, FailureKind
from router.naming import Target, qualified


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request asks of a model; `tokens` are its own and those of its answer."""

    tokens: int = 0
    tools: bool = False
    vision: bool = False
    json_schema: bool = False


def lacking(upstream: UpstreamSettings, needs: Needs) -> str:
    """Say what a request needs that an upstream has not, empty where it has all of it as far as is known."""
    # Of a cloud nothing is held against it that is not stated; a private server has what is stated.
    unstated = upstream.trust == "cloud"
    if upstream.context is not None and needs.tokens > upstream.context:
        return f"it needs about {needs.tokens:,} tokens with its answer, the context has {upstream.context:,}"
    if needs.tools and not (unstated if upstream.tools is None else upstream.tools):
        return "the request has tools, and the upstream is not listed as able to call them"
    if needs.vision and not (unstated if upstream.vision is None else upstream.vision):
        return "the request has images, and the upstream is not listed as able to see them"
    if needs.json_schema and upstream.json_schema is False:
        return "the request has a JSON schema, and the upstream is listed as unable to keep to one"
    return ""


def able_target(
    target: Target, fallbacks: Sequence[str], upstreams: Mapping[str, UpstreamSettings], needs: Needs
) -> Target:
    """Return the first of a model and its fallbacks that has what a request needs; the model itself where none has."""
    listed = [target, *(other for name in fallbacks if (other := qualified(name, upstreams)))]
    return next((one for one in listed if not lacking(upstreams[one.upstream], needs)), target)


def next_targets(
    failure: FailureKind,
    asked: Sequence[Target],
    policy: PolicySettings,
    upstreams: Mapping[str, UpstreamSettings],
    needs: Needs,
    *,
    may_leave: bool,
    rests: Callable[[str], object],
) -> list[Target]:
    """Return whom to ask after a failure, best first; empty where the failure is the client's to hear.

    Args:
        failure: what became of the latest request.
        asked: who has been asked for this task, the latest last; nobody is asked twice.
        policy: names the fallbacks.
        upstreams: the configured upstreams.
        needs: what the request asks of a model.
        may_leave: whether policy lets the task leave the user's own machines; else only private models are named.
        rests: whether a model, by its qualified name, is at rest: something true where it is.

    """
    listed = [target for name in _listed(failure, policy) if (target := qualified(name, upstreams))]
    failed = upstreams[asked[-1].upstream]
    return [
        target
        for target in dict.fromkeys(listed)
        if target not in asked
        and (may_leave or is_private(upstreams[target.upstream], target.model))
        and not lacking(upstreams[target.upstream], needs)
        and (failure is not FailureKind.CONTEXT_LENGTH or _is_larger(upstreams[target.upstream], failed))
        and not rests(target.name)
    ]


def _listed(failure: FailureKind, policy: PolicySettings) -> tuple[str, ...]:
    if failure is FailureKind.CONTENT_POLICY:
        return policy.content_policy_fallbacks
    return policy.fallbacks if failure in PASSING or failure is FailureKind.CONTEXT_LENGTH else ()


def _is_larger(upstream: UpstreamSettings, failed: UpstreamSettings) -> bool:
    """Say whether an upstream's context is known to be larger; it is not where it is not stated."""
    return upstream.context is not None and upstream.context > (failed.context or 0)
