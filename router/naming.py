"""What a model name asks for: tools send vendors' names, which mean "route it"; a few names ask for a place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from registry.entities import Lane
from registry.errors import UnknownModelError
from registry.settings import UpstreamSettings, is_private
from router.hints import NAME_PATTERN
from router.problems import InvalidRequestError

_PLACES = {"auto": None, "local": Lane.LOCAL_FAST, "cloud": Lane.CLOUD_ESCALATION}
_SPECIALIST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}@[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a configured upstream."""

    upstream: str
    model: str

    @property
    def name(self) -> str:
        """The qualified name, `openai/gpt-5.4`."""
        return f"{self.upstream}/{self.model}"


@dataclass(frozen=True, slots=True)
class Place:
    """What a request's model name asks for; `target` is the upstream model that it would escalate to."""

    target: Target | None
    lane: Lane | None = None
    workflow: str | None = None
    specialist: str | None = None
    leaves_choice: bool = False
    """Whether it names no cloud model at all, and so leaves it to the router."""


def read_place(
    model: str,
    upstreams: Mapping[str, UpstreamSettings],
    cloud: str | None,
    is_specialist: Callable[[str], bool],
    specialists_of: Callable[[str], Collection[str] | None] = lambda _: None,
) -> Place:
    """Say what a model name asks for.

    Args:
        model: the name as the client sent it.
        upstreams: the configured upstreams by name.
        cloud: the policy's cloud, UPSTREAM/MODEL.
        is_specialist: whether the registry knows a specialist by this name.
        specialists_of: the specialists of a workflow, None where it is not known.

    Raises:
        UnknownModelError: it names a specialist that a known workflow does not have.
        InvalidRequestError: `workflow:` is followed by something that is no name.

    """
    default = qualified(cloud, upstreams) if cloud else None
    if model in _PLACES:
        return Place(default, _PLACES[model], leaves_choice=model != "cloud")
    if model.startswith("workflow:"):
        return Place(default, Lane.LOCAL_FAST, workflow=_workflow_name(model), leaves_choice=True)
    workflow = model.split("@", maxsplit=1)[0] if _SPECIALIST.fullmatch(model) else None
    if workflow and is_specialist(model):
        return Place(default, Lane.LOCAL_FAST, workflow=workflow, specialist=model, leaves_choice=True)
    target = qualified(model, upstreams)
    if target is not None:
        private = is_private(upstreams[target.upstream], target.model)
        return Place(target, Lane.LOCAL_PRIVATE if private else Lane.CLOUD_ESCALATION)
    others = specialists_of(workflow) if workflow and not _is_listed(model, upstreams) else None
    if others is not None:
        # Vendors call models so too, as in claude@20240620: none of our workflows is called as theirs are.
        known = f"name one of {', '.join(others)}, or workflow:{workflow}" if others else "it has none yet"
        raise UnknownModelError(f"workflow {workflow!r} has no specialist {model!r}; {known}")
    return Place(_offering(model, upstreams, default))


def _is_listed(model: str, upstreams: Mapping[str, UpstreamSettings]) -> bool:
    return any(model in upstream.models for upstream in upstreams.values())


def _workflow_name(model: str) -> str:
    name = model.removeprefix("workflow:")
    if not NAME_PATTERN.fullmatch(name):
        raise InvalidRequestError(f"model {model!r} names no workflow; write workflow:NAME", "model")
    return name


def qualified(name: str, upstreams: Mapping[str, UpstreamSettings]) -> Target | None:
    """Return the target that UPSTREAM/MODEL names, None where no upstream is called so."""
    upstream, _, model = name.partition("/")
    return Target(upstream, model) if upstream in upstreams and model else None


def _offering(model: str, upstreams: Mapping[str, UpstreamSettings], default: Target | None) -> Target | None:
    """Return the upstream that lists a vendor's model; a name that none lists goes to the policy's cloud."""
    offering = [name for name, upstream in upstreams.items() if model in upstream.models]
    if default is not None and (default.upstream in offering or not offering):
        return Target(default.upstream, model)
    return Target(offering[0], model) if offering else None
