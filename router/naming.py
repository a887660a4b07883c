"""What a model name asks for: tools send vendors' names, which mean "route it"; a few names ask for a place.

A name that is nearly one of those few is refused, as what it says was to go elsewhere than to the cloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from registry.entities import Lane
from registry.errors import UnknownModelError
from registry.settings import LocalSettings, UpstreamSettings, is_private
from router.hints import NAME_PATTERN
from router.name_slips import meant_by, meant_here
from router.problems import InvalidRequestError

_PLACES = {"auto": None, "local": Lane.LOCAL_FAST, "cloud": Lane.CLOUD_ESCALATION}
_SPECIALIST = re.compile(rf"{NAME_PATTERN.pattern}@[0-9]{{1,9}}")
_OUR_VERSION = re.compile(rf"{NAME_PATTERN.pattern}@[1-9][0-9]{{0,4}}")
"""As ours are numbered; vendors date theirs or pad them, as in claude-opus@20250514 and text-bison@001."""
_SHOWN_CHARS, _NAMED = 100, 20
_LIST_IT = "If a vendor has a model of this name, list it in models of its upstream"


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
    workflows: Callable[[], Collection[str]] = tuple,
    local: LocalSettings | None = None,
) -> Place:
    """Say what a model name asks for.

    Args:
        model: the name as the client sent it.
        upstreams: the configured upstreams by name.
        cloud: the policy's cloud, UPSTREAM/MODEL.
        is_specialist: whether the registry knows a specialist by this name.
        specialists_of: the specialists of a workflow, None where it is not known.
        workflows: the known workflows.
        local: where the general local base is, the defaults where it is left out.

    Raises:
        UnknownModelError: it names a specialist that there is not, or is nearly the name of a place.
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
    local = local or LocalSettings()
    listed = {name for upstream in upstreams.values() for name in upstream.models}
    if model not in listed:
        if model == local.base and local.general_upstream is not None:
            return Place(Target(local.general_upstream, model), Lane.LOCAL_PRIVATE)
        if default is None or model != default.model:
            _check_is_a_vendors(model, specialists_of, workflows)
            vendors = {name.partition("/")[0] for name in (*listed, default.model if default else "")}
            _check_is_no_slip(model, upstreams, vendors, local.base)
    return Place(_offering(model, upstreams, default))


def _check_is_a_vendors(
    model: str, specialists_of: Callable[[str], Collection[str] | None], workflows: Callable[[], Collection[str]]
) -> None:
    head, sign, _ = model.partition("@")
    if sign:
        _check_specialist(model, head, specialists_of(head), workflows)
    elif model in workflows():
        raise UnknownModelError(f"{model!r} is a workflow; did you mean 'workflow:{model}'? {_LIST_IT}")


def _check_is_no_slip(
    model: str, upstreams: Mapping[str, UpstreamSettings], vendors: Collection[str], base: str
) -> None:
    private = [name for name, upstream in upstreams.items() if upstream.trust == "private"]
    if meant := meant_here(model, private, base) or meant_by(model, upstreams, vendors):
        raise UnknownModelError(f"nobody is called {model[:_SHOWN_CHARS]!r}; did you mean {meant!r}? {_LIST_IT}")


def _check_specialist(
    model: str, workflow: str, others: Collection[str] | None, workflows: Callable[[], Collection[str]]
) -> None:
    """Refuse the name of a specialist that there is not; vendors call models nearly so, as in claude@20240620."""
    if others is not None:
        known = f"name one of {', '.join(others)}, or workflow:{workflow}" if others else "it has none yet"
        raise UnknownModelError(f"workflow {workflow!r} has no specialist {model[:_SHOWN_CHARS]!r}; {known}")
    if _OUR_VERSION.fullmatch(model):
        names = sorted(workflows())
        near = get_close_matches(workflow, names, n=1)
        known = f"known are {', '.join(names[:_NAMED]) or 'none yet'}."
        known = f"did you mean workflow {near[0]!r}?" if near else known
        raise UnknownModelError(f"there is no workflow {workflow!r} to have specialist {model!r}; {known} {_LIST_IT}")


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
