"""Find the constant part of a workflow's prompts, and what the router knows them by: fingerprints, likeness. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from registry.entities import PromptTrim
from registry.prompting import Prompt, fingerprint
from router.gathering import templates
from router.likeness import BUCKETS, RANKS, Centroid, Likeness, Marks, marks

_MINIMUM_SHARE = 0.01
_MINIMUM_ROWS = 5
_MOST_FINGERPRINTS = 64

_LEAST_TO_LEARN, _MOST_TO_LEARN = 20, 500
_LEAST_TO_CALIBRATE = 10
_MOST_TEMPLATES = 8
# Sentences that fewer of a workflow's prompts have are no part of its template: one weekday of seven, say.
_TELLING_SHARE = 0.2
_LEAST_CONSTANTS = 32
_MOST_TYPICAL = 1_024
_LEFT_OUT = 0.01


def constant_trim(prompts: Sequence[Prompt]) -> PromptTrim:
    """Return what all prompts share: the system text, and the user text's beginning and end.

    Both are cut back to a white-space boundary, so that no word of the varying part loses letters.
    """
    users = [prompt.user for prompt in prompts]
    prefix = _to_boundary(_common_start(users))
    tails = [user[len(prefix) :][::-1] for user in users]
    suffix = _to_boundary(_common_start(tails))[::-1]
    systems = {prompt.system for prompt in prompts}
    return PromptTrim(system=systems.pop() if len(systems) == 1 else None, prefix=prefix, suffix=suffix)


def known_fingerprints(prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """Return the template fingerprints that recur among the prompts, most frequent first."""
    counts = Counter(fingerprint(prompt) for prompt in prompts)
    floor = max(_MINIMUM_ROWS, _MINIMUM_SHARE * len(prompts))
    return tuple(digest for digest, n in counts.most_common(_MOST_FINGERPRINTS) if n >= floor)


def likenesses(
    learnt: Sequence[Prompt], calibration: Sequence[Prompt], strangers: Sequence[Prompt] = ()
) -> list[Likeness]:
    """Return how the router tells prompts of a workflow's templates from all others, the most frequent first.

    A template without enough constant text, or with too few prompts, has none: rather no match than a wrong one.

    Args:
        learnt: what centroids are made of, oldest first.
        calibration: later prompts, of which each threshold leaves out about one in a hundred.
        strangers: prompts of other workflows, none of which may match.

    """
    prompts = [*learnt, *calibration]
    groups = templates(prompts, _LEAST_TO_LEARN, _TELLING_SHARE)
    groups.sort(key=lambda one: (-len(one.places), one.system, one.line))
    found = []
    for group in groups[:_MOST_TEMPLATES]:
        first = [prompts[place] for place in group.places if place < len(learnt)]
        later = [prompts[place] for place in group.places if place >= len(learnt)]
        likeness = _likeness(first[-_MOST_TO_LEARN:], later[-_MOST_TO_LEARN:], strangers)
        if likeness is not None:
            found.append(likeness)
    return found


def _likeness(learnt: Sequence[Prompt], calibration: Sequence[Prompt], strangers: Sequence[Prompt]) -> Likeness | None:
    if len(learnt) < _LEAST_TO_LEARN or len(calibration) < _LEAST_TO_CALIBRATE:
        return None
    first, later = (np.array([marks(prompt) for prompt in each]) for each in (learnt, calibration))
    constant = _in_nearly_all(first) & _in_nearly_all(later)
    if np.count_nonzero(constant) < _LEAST_CONSTANTS:
        return None
    rest = first & ~constant
    made = Likeness(
        np.flatnonzero(constant).astype(np.uint16), _centroid(rest[:, :BUCKETS]), _centroid(rest[:, BUCKETS:])
    )
    own = np.array([made.similarities(present) for present in later if present[constant].all()])
    # One at a time: the marks of a prompt take 64 KB, and there may be thousands of strangers.
    outside = (marks(prompt) for prompt in strangers)
    foreign = np.array([made.similarities(present) for present in outside if present[constant].all()])
    return _calibrated(made, own, foreign.reshape(-1, 2))


def _in_nearly_all(present: Marks) -> Marks:
    """Return the marks that all prompts have but one in a hundred, and one at least: a stray must not cost them all."""
    strays = max(1, len(present) // 100)
    nearly: Marks = present.sum(axis=0) >= len(present) - strays
    return nearly


def _centroid(rest: Marks) -> Centroid:
    """Return the centroid of one part's varying marks, its weights rounded as the registry has them; no levels yet."""
    mean: NDArray[np.float64] = np.zeros(BUCKETS)
    for row in rest:
        mean[row] += 1 / math.sqrt(max(int(np.count_nonzero(row)), 1))
    ids = np.argsort(-mean, kind="stable")[: min(_MOST_TYPICAL, np.count_nonzero(mean))]
    weights = (mean[ids] / max(float(np.linalg.norm(mean[ids])), 1e-9)).astype(np.float16)
    return Centroid(ids.astype(np.uint16), weights.astype(np.float32), ())


def _calibrated(made: Likeness, own: NDArray[np.float64], foreign: NDArray[np.float64]) -> Likeness | None:
    """Set the thresholds; None where strangers are as much alike as half of the template's own prompts."""
    if not len(own):
        return None
    # The k-th smallest of n leaves out a share of at most k/(n + 1) of what comes (split conformal prediction).
    place = max(int(_LEFT_OUT * (len(own) + 1)), 1) - 1
    floor = np.sort(own, axis=0)[place]
    inside = foreign[(foreign >= floor).all(axis=1)]
    if len(inside):
        floor[1] = np.nextafter(inside[:, 1].max(), 2.0)
    levels = np.maximum(np.quantile(own, RANKS, axis=0), floor)
    if len(inside) and floor[1] >= np.median(own[:, 1]):
        return None
    system, user = (
        Centroid(each.ids, each.weights, tuple(levels[:, part].tolist()))
        for part, each in enumerate((made.system, made.user))
    )
    return Likeness(made.constants, system, user)


def _common_start(texts: Sequence[str]) -> str:
    """Return what all texts begin with: the first and last in order differ where any two do."""
    first, last = min(texts), max(texts)
    same = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _to_boundary(text: str) -> str:
    """Return the text up to and including its last white space; all of it when there is none to lose."""
    cut = max(text.rfind(" "), text.rfind("\n"))
    return text[: cut + 1]
