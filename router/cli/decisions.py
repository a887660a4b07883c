"""An explained decision in lines for people, of the very JSON that `--json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from router.cli.frame import short

if TYPE_CHECKING:
    from router.chat import JsonObject


COLUMNS = ("candidate", "lane", "margin", "coverage", "days", "usd/M", "why not")


def told_lines(told: JsonObject) -> list[str]:
    """Return all that `explain` prints, as it does where no terminal is there to draw a table on."""
    rows = ("\t".join(row) for row in (COLUMNS, *candidate_rows(told)))
    return [str(told["sentence"]), *(f"{name:9} {fact}" for name, fact in facts(told)), *rows]


def facts(told: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield what `explain` tells beside its sentence, as name and fact."""
    from router.budgets import usd
    from router.explaining import counted

    found: dict[str, Any] = dict(told)
    decision, leaves, context = found["decision"], found["leaves"], found["context"]
    yield "lane", decision["lane"]
    yield "model", decision["selected_model_or_stack"]
    yield "rule", decision["rule"]
    yield "reason", decision["local_reason"]
    yield "fallback", _listed([decision["fallback_target"], *(leaves["fallbacks"] if leaves else [])])
    yield "workflow", found["envelope"]["workflow"] or "-"
    yield "masked", counted(found["redactions"]) or "nothing"
    yield from (("at", _place(one)) for one in found["places"])
    yield "leaves", f"to {leaves['upstream']} as {leaves['dialect']}, {leaves['when']}" if leaves else "nothing"
    yield "verified", _listed(found["verification"])
    for one in found["budgets"]:
        unknown = f", {one['unpriced_calls']} calls at no known price" if one["unpriced_calls"] else ""
        yield "budget", f"{one['name']}: {usd(max(0.0, one['left_usd']))} of {usd(one['limit_usd'])} left{unknown}"
    if context:
        before, after = context["tokens_before"], context["tokens_after"]
        yield "context", f"{before:,} -> {after:,} tokens, {context['messages']} old messages folded"
        yield from (("left out", path) for path in context["left_out"])


def candidate_rows(told: JsonObject) -> Iterator[Sequence[str]]:
    """Yield a row for each model that could have served."""
    found: dict[str, Any] = dict(told)
    for one in found["decision"]["candidates"]:
        numbers = (one["margin"], one["coverage"], one["age_days"], one["usd_per_million_tokens"])
        yield one["model"], one["lane"], *map(short, numbers), one["why_not"] or "chosen"


def _place(one: Mapping[str, Any]) -> str:
    """Return where a value stood and what stands there instead, the value itself never."""
    where = f"{one['path']}, {'in the key, ' if one['in_key'] else ''}characters {one['start']} to {one['end']}"
    return f"{one['placeholder']}: {one['type']} in {where}"


def _listed(names: Sequence[str | None]) -> str:
    return ", ".join(name for name in names if name) or "-"
