"""Workflows, specialists, their evaluations and the champion pointer of each workflow.

Only workflows change. Specialists and evaluations are added once (`withdrawing` tells what forgetting does to them); a
champion moves by one more row in `promotions`, whose key lets only one of two rivals in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, Select, Table, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from registry.catalog_rows import (
    decode_evaluation,
    decode_promotion,
    decode_specialist,
    decode_workflow,
    encode_evaluation,
    encode_promotion,
    encode_specialist,
    encode_workflow,
)
from registry.champions import champion_before, earned_by
from registry.columns import Scalar
from registry.database import Database
from registry.entities import Champion, Evaluation, Promotion, PromotionAction, Specialist, Workflow
from registry.errors import ConflictError, DataError, NotFoundError, RefusedError
from registry.tables import evaluations, promotions, specialists, workflows

_Choice: TypeAlias = Callable[[list[Promotion]], tuple[str | None, str | None]]


class Catalog:
    """What is known of workflows and specialists in one database; usable from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_workflow(self, workflow: Workflow) -> None:
        """Add a workflow, or bring the fingerprints, likeness and scorer of a known one up to date."""
        row = encode_workflow(workflow)
        changes = {name: row[name] for name in ("fingerprints", "likeness", "scorer")}
        with self._database.write() as connection:
            known = update(workflows).where(workflows.c.name == workflow.name).values(changes)
            if connection.execute(known).rowcount == 0:
                connection.execute(insert(workflows).values(row))

    def bred(self, name: str) -> None:
        """Note that a workflow was bred again, where that was due."""
        with self._database.write() as connection:
            connection.execute(update(workflows).where(workflows.c.name == name).values(rebreed=""))

    def workflow(self, name: str) -> Workflow:
        """Return a workflow; NotFoundError where there is none of this name."""
        with self._database.read() as connection:
            return _workflow(connection, name)

    def workflows(self) -> list[Workflow]:
        """Return all workflows by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(workflows).order_by(workflows.c.name)).mappings()
            return [decode_workflow(row) for row in rows]

    def add_specialist(self, specialist: Specialist) -> None:
        """Add a specialist, which never changes again.

        Raises:
            NotFoundError: its workflow is unknown.
            ConflictError: its version exists.
        """
        with self._database.write() as connection:
            _workflow(connection, specialist.workflow)
            _add(connection, specialists, encode_specialist(specialist), f"specialist {specialist.name}")

    def next_version(self, workflow: str) -> int:
        """Return the version that a workflow's next specialist should have, from 1."""
        newest = select(func.max(specialists.c.version)).where(specialists.c.workflow == workflow)
        with self._database.read() as connection:
            return (connection.scalar(newest) or 0) + 1

    def specialist(self, name: str) -> Specialist:
        """Return a specialist by its public name; NotFoundError where there is none."""
        with self._database.read() as connection:
            return _specialist(connection, name)

    def specialists(self, workflow: str | None = None) -> list[Specialist]:
        """Return the specialists of one workflow or of all, by workflow and version."""
        query = select(specialists).order_by(specialists.c.workflow, specialists.c.version)
        with self._database.read() as connection:
            return _specialists(
                connection, query if workflow is None else query.where(specialists.c.workflow == workflow)
            )

    def lineage(self, name: str) -> list[Specialist]:
        """Return a specialist's ancestors, oldest generation first, and itself last.

        Parents that were never brought to this database are left out.
        """
        with self._database.read() as connection:
            family = {name: _specialist(connection, name)}
            unseen = set(family[name].parents)
            while unseen:
                found = _specialists(connection, select(specialists).where(specialists.c.name.in_(unseen)))
                family |= {one.name: one for one in found}
                unseen = {parent for one in found for parent in one.parents} - family.keys()
        elders = [one for one in family.values() if one.name != name]
        return [*sorted(elders, key=lambda one: (one.generation, one.created_at_utc, one.name)), family[name]]

    def add_evaluation(self, evaluation: Evaluation) -> None:
        """Add an evaluation; NotFoundError without its specialist, ConflictError where its id exists."""
        with self._database.write() as connection:
            _specialist(connection, evaluation.specialist)
            _add(connection, evaluations, encode_evaluation(evaluation), f"evaluation {evaluation.evaluation_id}")

    def evaluations(self, specialist: str) -> list[Evaluation]:
        """Return a specialist's evaluations, oldest first."""
        query = select(evaluations).where(evaluations.c.specialist == specialist)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(evaluations.c.at_utc, evaluations.c.evaluation_id)).mappings()
            return [decode_evaluation(row) for row in rows]

    def looks(self, workflow: str, holdout_digest: str | None = None) -> int:
        """Return how many evaluations of a workflow's specialists have spent alpha, on one holdout or on any."""
        query = (
            select(func.count())
            .select_from(evaluations.join(specialists))
            .where(specialists.c.workflow == workflow, evaluations.c.alpha_spent > 0)
        )
        if holdout_digest is not None:
            query = query.where(evaluations.c.holdout_digest == holdout_digest)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def promotions(self, workflow: str) -> list[Promotion]:
        """Return the moves of a workflow's champion pointer, oldest first."""
        with self._database.read() as connection:
            return _history(connection, workflow)

    def champion(self, workflow: str) -> Champion | None:
        """Return who serves a workflow; None means the cloud does."""
        return next((one for one in self.champions() if one.workflow.name == workflow), None)

    def champions(self) -> tuple[Champion, ...]:
        """Return the champion of every workflow that has one, by workflow."""
        newest = (
            select(promotions.c.workflow, func.max(promotions.c.sequence).label("sequence"))
            .group_by(promotions.c.workflow)
            .subquery()
        )
        moves = select(promotions).join(
            newest,
            and_(promotions.c.workflow == newest.c.workflow, promotions.c.sequence == newest.c.sequence),
        )
        serving = moves.where(promotions.c.specialist.is_not(None)).order_by(promotions.c.workflow)
        with self._database.read() as connection:
            found = [decode_promotion(row) for row in connection.execute(serving).mappings()]
            return tuple(_champion(connection, move, move.specialist) for move in found if move.specialist is not None)

    def champion_sequence(self) -> int:
        """Return a number that grows with every move of any champion; one tiny query, to be asked often."""
        # Counting, not the largest key: on PostgreSQL an earlier key may become visible after a later one.
        return self._database.ask("SELECT count(*) FROM promotions")

    def move_champion(
        self,
        workflow: str,
        action: PromotionAction,
        specialist: str | None,
        *,
        expected_sequence: int | None,
        by: str,
        reason: str,
        evaluation_id: str | None,
        at: datetime,
    ) -> Promotion:
        """Move a workflow's champion to a specialist, or to the cloud with None.

        `expected_sequence` is that of the last move that the caller knows of, None where it knows of none.

        Raises:
            NotFoundError: workflow, specialist or evaluation is unknown.
            DataError: the specialist or the evaluation is another's, or a `promote` names none.
            RefusedError: the specialist was withdrawn.
            ConflictError: somebody moved it since; the message says who, and whereto.
        """

        def choose(history: list[Promotion]) -> tuple[str | None, str | None]:
            last = history[-1] if history else None
            if (last.sequence if last else None) != expected_sequence:
                raise _lost(workflow, last)
            return specialist, evaluation_id

        return self._move(workflow, action, choose, by=by, reason=reason, at=at)

    def rollback(self, workflow: str, *, by: str, reason: str, at: datetime) -> Promotion:
        """Move a workflow's champion back to the one before the present one; again, and it goes further back.

        Those that were withdrawn are passed over.

        Raises:
            NotFoundError: the workflow is unknown, or no champion came before.
        """
        withdrawn = {one.name for one in self.specialists(workflow) if one.withdrawn}

        def choose(history: list[Promotion]) -> tuple[str | None, str | None]:
            before = champion_before(workflow, history, withdrawn)
            return before, earned_by(before, history)

        return self._move(workflow, PromotionAction.ROLLBACK, choose, by=by, reason=reason, at=at)

    def _move(
        self, workflow: str, action: PromotionAction, choose: _Choice, *, by: str, reason: str, at: datetime
    ) -> Promotion:
        try:
            with self._database.write() as connection:
                _workflow(connection, workflow)
                history = _history(connection, workflow)
                specialist, evaluation_id = choose(history)
                previous = history[-1].specialist if history else None
                sequence = history[-1].sequence + 1 if history else 1
                move = Promotion(workflow, sequence, action, specialist, previous, evaluation_id, by, reason, at)
                _require_servable(connection, move)
                connection.execute(insert(promotions).values(encode_promotion(move)))
        except IntegrityError as error:
            raise _lost(workflow, self.promotions(workflow)[-1]) from error
        return move


def _require_servable(connection: Connection, move: Promotion) -> None:
    """Refuse a move to a specialist of another workflow, or on another's evaluation."""
    if move.action is PromotionAction.PROMOTE and move.specialist is None:
        raise DataError(f"a promotion in {move.workflow} names no specialist; roll back or retire to go to the cloud")
    if move.specialist is not None:
        specialist = _specialist(connection, move.specialist)
        if specialist.workflow != move.workflow:
            raise DataError(
                f"specialist {move.specialist} does not serve workflow {move.workflow}; promote one of its own"
            )
        if specialist.withdrawn:
            raise RefusedError(
                f"specialist {move.specialist} was withdrawn: {specialist.withdrawn}; breed {move.workflow} again"
            )
    if move.evaluation_id is not None:
        evaluation = _evaluation(connection, move.evaluation_id)
        if evaluation.specialist != move.specialist:
            raise DataError(f"evaluation {move.evaluation_id} is of {evaluation.specialist}, not of {move.specialist}")


def _lost(workflow: str, last: Promotion | None) -> ConflictError:
    if last is None:
        return ConflictError(f"{workflow} has no promotion yet, but one was expected; look again and repeat")
    winner = f"{last.by} moved {workflow} to {last.specialist or 'the cloud'} ({last.action}, move {last.sequence})"
    return ConflictError(f"{winner} in the meantime: {last.reason}; look again and repeat")


def _add(connection: Connection, table: Table, row: dict[str, Scalar], what: str) -> None:
    try:
        connection.execute(insert(table).values(row))
    except IntegrityError as error:
        raise ConflictError(f"{what} exists already ({error.orig}); it never changes, so take another name") from error


def _workflow(connection: Connection, name: str) -> Workflow:
    row = connection.execute(select(workflows).where(workflows.c.name == name)).mappings().first()
    if row is None:
        raise NotFoundError(f"no workflow is called {name!r}; `modelbreeder specialists ls` shows those there are")
    return decode_workflow(row)


def _specialist(connection: Connection, name: str) -> Specialist:
    found = _specialists(connection, select(specialists).where(specialists.c.name == name))
    if not found:
        raise NotFoundError(f"no specialist is called {name!r}; `modelbreeder specialists ls` shows those there are")
    return found[0]


def _specialists(connection: Connection, query: Select[tuple[object, ...]]) -> list[Specialist]:
    return [decode_specialist(row) for row in connection.execute(query).mappings()]


def _evaluation(connection: Connection, evaluation_id: str) -> Evaluation:
    query = select(evaluations).where(evaluations.c.evaluation_id == evaluation_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(f"no evaluation has the id {evaluation_id!r}; evaluate the specialist first")
    return decode_evaluation(row)


def _history(connection: Connection, workflow: str) -> list[Promotion]:
    query = select(promotions).where(promotions.c.workflow == workflow).order_by(promotions.c.sequence)
    return [decode_promotion(row) for row in connection.execute(query).mappings()]


def _champion(connection: Connection, move: Promotion, specialist: str) -> Champion:
    evaluation = _evaluation(connection, move.evaluation_id) if move.evaluation_id else None
    return Champion(_workflow(connection, move.workflow), _specialist(connection, specialist), evaluation)
