"""What forgetting does to workflows and specialists: take specialists out of service, mark workflows to be bred again.

Repeated after an interruption, each of these changes nothing that is done already.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Select, insert, select, update

from registry.catalog_rows import decode_promotion, encode_promotion
from registry.champions import champion_before, earned_by
from registry.columns import canonical_json
from registry.database import Database
from registry.entities import Promotion, PromotionAction, PromptTrim
from registry.tables import promotions, specialists, workflows


def withdraw(database: Database, names: Collection[str], *, by: str, reason: str, at: datetime) -> list[Promotion]:
    """Take specialists out of service for good, and return the moves of champions that this made.

    A champion among them gives way to the one before it that is not withdrawn, else to the cloud, in the same
    transaction.
    """
    moves = []
    with database.write() as connection:
        standing = specialists.c.name.in_(names) & (specialists.c.withdrawn == "")
        connection.execute(update(specialists).where(standing).values(withdrawn=reason))
        owners = select(specialists.c.workflow).where(specialists.c.name.in_(names)).distinct()
        for workflow in connection.scalars(owners.order_by(specialists.c.workflow)).all():
            if (move := _demotion(connection, workflow, by, reason, at)) is not None:
                connection.execute(insert(promotions).values(encode_promotion(move)))
                moves.append(move)
    return moves


def _demotion(connection: Connection, workflow: str, by: str, reason: str, at: datetime) -> Promotion | None:
    """Return the move that ends the service of a champion that is withdrawn, None where it is not."""
    query = select(promotions).where(promotions.c.workflow == workflow).order_by(promotions.c.sequence)
    history = [decode_promotion(row) for row in connection.execute(query).mappings()]
    barred = set(connection.scalars(_withdrawn(workflow)))
    if not history or history[-1].specialist not in barred:
        return None
    last, action = history[-1], PromotionAction.DEMOTE
    heir = champion_before(workflow, history, barred)
    earned = earned_by(heir, history)
    return Promotion(workflow, last.sequence + 1, action, heir, last.specialist, earned, by, reason, at)


def _withdrawn(workflow: str) -> Select[str]:
    return select(specialists.c.name).where(specialists.c.workflow == workflow, specialists.c.withdrawn != "")


def erase_quotations(database: Database, names: Collection[str]) -> int:
    """Remove from specialists' records what quotes their rows; return how many held any.

    These are examples, the constant text of prompts, and the grammar of answers.
    """
    blank = {"examples": canonical_json(()), "trim": canonical_json(PromptTrim()), "grammar": ""}
    quoting = [specialists.c[name] != value for name, value in blank.items()]
    held = quoting[0] | quoting[1] | quoting[2]
    with database.write() as connection:
        return connection.execute(update(specialists).where(specialists.c.name.in_(names), held).values(blank)).rowcount


def mark_for_rebreeding(database: Database, names: Collection[str], reason: str) -> None:
    """Say of workflows why they are to be bred again; their next breeding takes that back."""
    with database.write() as connection:
        connection.execute(update(workflows).where(workflows.c.name.in_(names)).values(rebreed=reason))
