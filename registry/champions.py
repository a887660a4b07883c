"""Which specialist serves a workflow, read from the history of its champion pointer. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from registry.entities import Promotion, PromotionAction
from registry.errors import NotFoundError


def champion_before(workflow: str, history: Sequence[Promotion], barred: Collection[str] = ()) -> str | None:
    """Return who served before the present champion; None is the cloud.

    `history` is the workflow's promotions, oldest first. A rollback takes back the move that it answers, so the next
    one reaches further back; a retired specialist is passed over, and so are those that are `barred`.

    Raises:
        NotFoundError: nothing came before.
    """
    served = _without_repeats([name for name in _served(history) if name is None or name not in barred])
    present = history[-1].specialist if history else None
    if served[-1] == present:
        served.pop()
    if not served:
        raise NotFoundError(
            f"{workflow} cannot be rolled back: no champion came before the present one; the cloud serves it"
        )
    return served[-1]


def earned_by(specialist: str | None, history: Sequence[Promotion]) -> str | None:
    """Return the evaluation that last earned a specialist its place, None where none did."""
    earned = [move.evaluation_id for move in history if specialist and move.specialist == specialist]
    return next(filter(None, reversed(earned)), None)


def _served(history: Sequence[Promotion]) -> list[str | None]:
    """Return those who served up to now, without what was taken back; the cloud comes first."""
    served: list[str | None] = [None]
    for move in history:
        if move.action is PromotionAction.RETIRE:
            served = _without_repeats([name for name in served if name is None or name != move.previous])
        if move.action is PromotionAction.ROLLBACK and move.specialist in served:
            last = max(place for place, name in enumerate(served) if name == move.specialist)
            served = served[: last + 1]
        elif served[-1] != move.specialist:
            served.append(move.specialist)
    return served


def _without_repeats(names: Sequence[str | None]) -> list[str | None]:
    return [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]
