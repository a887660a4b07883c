"""What settings outside of `[policy.rules]` do not do though somebody may think so: masking, paths and prices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from registry.settings import RedactionSettings, Settings, is_private
from router.naming import Target, qualified
from router.policy_check import Problem
from router.pricing import Prices

_WORD = re.compile(r"[^\W_]")
_ESCAPED = re.compile(r"\\[pPx]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""In a pattern what has no braces of its own: escaped characters and classes."""
_OPEN_COUNT = re.compile(r"\{(?=[0-9])(?![0-9]+(?:,[0-9]*)?\})[0-9,]*")


def redaction_problems(redaction: RedactionSettings) -> Iterator[Problem]:
    """Yield what lets every value leave unmasked."""
    for glob in redaction.allow:
        if "*" in glob and not _WORD.search(glob):
            what = f"redaction.allow {glob!r} fits values of every kind, which leave unmasked; write whole values"
            yield Problem(None, f"{what}, or globs such as '*.ours.com'")


def setting_notes(settings: Settings, at: datetime) -> list[str]:
    """Return what paths, patterns and budgets leave out, in words; it may be meant so."""
    return [*_open_counts(settings.redaction), *_whole_paths(settings), *_unpriced(settings, at)]


def _open_counts(redaction: RedactionSettings) -> Iterator[str]:
    for name, pattern in redaction.rules.items():
        if found := _OPEN_COUNT.search(_ESCAPED.sub("-", pattern)):
            yield (
                f"redaction.rules.{name} has {found[0]!r} without a closing brace, which is looked for as it stands; "
                f"did you mean {found[0] + '}'!r}?"
            )


def _whole_paths(settings: Settings) -> Iterator[str]:
    given = [("redaction.paths", glob) for glob in settings.redaction.paths]
    given += [(f"policy.classes {one.name!r}: path", glob) for one in settings.policy.classes for glob in one.paths]
    for where, glob in given:
        if glob.startswith("/"):
            bare = glob.lstrip("/")
            yield f"{where} {glob!r} fits no relative path, as diffs and tools name them; did you mean {bare!r}?"


def _unpriced(settings: Settings, at: datetime) -> Iterator[str]:
    """Name the configured models of clouds that no budget counts, as nobody knows what they cost."""
    policy, upstreams = settings.policy, settings.upstreams
    if policy.budget.day_usd is None and policy.budget.session_usd is None:
        return
    named = (policy.cloud or "", *policy.fallbacks, *policy.content_policy_fallbacks)
    targets = [target for name in named if (target := qualified(name, upstreams))]
    targets += [Target(name, model) for name, one in upstreams.items() for model in one.models]
    prices = Prices(upstreams)
    paid = {one.name: one for one in targets if not is_private(upstreams[one.upstream], one.model)}
    if unknown := sorted(name for name, one in paid.items() if prices.blended(one, at) is None):
        yield (
            f"policy.budget counts what calls cost, and no price is known of {', '.join(unknown)}, whose calls are "
            "free to it; set usd_per_million_input and usd_per_million_output of their upstreams"
        )
