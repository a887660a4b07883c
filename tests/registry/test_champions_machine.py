"""Promotions and rollbacks in any order agree with a stack, and the history only grows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from registry.catalog import Catalog
from registry.entities import PromotionAction
from registry.errors import ConflictError, NotFoundError
from tests.registry.making import at, fresh_database, specialist, workflow

_VERSIONS = st.integers(1, 4)


class ChampionMachine(RuleBasedStateMachine):
    """The stack holds who served and was not taken back; its top serves now."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="modelbreeder-tests-"))
        self.database = fresh_database(self.folder)
        self.catalog = Catalog(self.database)
        self.stack: list[str | None] = [None]
        self.history = []

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @initialize()
    def stock(self):
        self.catalog.put_workflow(workflow())
        for version in range(1, 5):
            self.catalog.add_specialist(specialist(version))

    @rule(version=_VERSIONS)
    def promote(self, version):
        self._move(PromotionAction.PROMOTE, f"commit-type@{version}")

    @rule()
    def demote(self):
        self._move(PromotionAction.DEMOTE, None)

    @rule(version=_VERSIONS, late_by=st.integers(1, 3))
    def promote_too_late(self, version, late_by):
        expected = len(self.history) - late_by
        with pytest.raises(ConflictError):
            self._move(PromotionAction.PROMOTE, f"commit-type@{version}", expected or -1)

    @rule()
    def rollback(self):
        def go():
            return self.catalog.rollback("commit-type", by="p", reason="r", at=at(0))

        if len(self.stack) == 1:
            with pytest.raises(NotFoundError):
                go()
            return
        left = self.stack.pop()
        moved = go()
        assert (moved.previous, moved.specialist) == (left, self.stack[-1])
        self.history.append(moved)

    @rule()
    def reopen(self):
        self.catalog = Catalog(self.database)

    @invariant()
    def the_top_serves(self):
        champion = self.catalog.champion("commit-type")
        assert (champion.specialist.name if champion else None) == self.stack[-1]

    @invariant()
    def history_only_grows(self):
        assert self.catalog.promotions("commit-type") == self.history
        assert [one.sequence for one in self.history] == list(range(1, len(self.history) + 1))
        assert self.catalog.champion_sequence() == len(self.history)

    def _move(self, action, name, expected=None):
        now = self.history[-1].sequence if self.history else None
        moved = self.catalog.move_champion(
            "commit-type",
            action,
            name,
            expected_sequence=now if expected is None else expected,
            by="p",
            reason="r",
            evaluation_id=None,
            at=at(0),
        )
        self.history.append(moved)
        if self.stack[-1] != name:
            self.stack.append(name)


TestChampions = ChampionMachine.TestCase
TestChampions.settings = settings(max_examples=20, stateful_step_count=20, suppress_health_check=list(HealthCheck))
