"""What descended from some rows, and what becomes of it: which specialists keep serving, and which keep their files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from breeder.copies import FrozenRows, texts_of
from breeder.deps import Deps
from registry.artifacts import ArtifactStore
from registry.entities import Interaction, Purpose, Specialist, SpecialistKind
from registry.errors import NotFoundError
from registry.prompting import Prompt, prompt_of, trimmed
from registry.quotation import Quotation
from router.dialects.known import dialect_of

_OWN_FILE = (SpecialistKind.MERGED, SpecialistKind.TABLE, SpecialistKind.LINEAR)
_CALLS = frozenset({Purpose.EVALUATION, Purpose.TEACHER, Purpose.SHADOW})


@dataclass(frozen=True, slots=True)
class Family:
    """The specialists that descended from some rows, those of them that may not serve, and those that are emptied.

    `artifacts` are the files of the emptied ones that no other specialist has.
    """

    specialists: tuple[Specialist, ...]
    withdrawn: tuple[Specialist, ...]
    emptied: tuple[Specialist, ...]
    artifacts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Descent:
    """What becomes of descendants.

    A table and a few-shot specialist with an example of the rows hold the very text: they are copies, so they are
    withdrawn and emptied in any case, but where all are spared. `withdraws` takes the others out of service too, and
    `empties` their files and what their records quote. `quoting` finds what is to be in no record.
    """

    withdraws: bool = False
    empties: bool = False
    spares: bool = False
    quoting: Quotation | None = None

    def among(self, specialists: Sequence[Specialist], made: Sequence[FrozenRows], ids: Collection[str]) -> Family:
        """Return the family of some interactions, by the datasets that were made of them."""
        family = _family(specialists, {one.name for one in specialists if self._descends(one, made)})
        if self.spares:
            return Family(tuple(family), (), (), frozenset())
        examples = _examples(family, made, ids)
        emptied = [one for one in family if self.empties or self._is_copy(one, made, examples)]
        withdrawn = family if self.withdraws or self.empties else emptied
        names = {one.name for one in emptied}
        kept = {digest for one in specialists if one.name not in names for digest in (*_files(one), one.base_sha256)}
        artifacts = frozenset(digest for one in emptied for digest in _files(one)) - kept
        return Family(tuple(family), tuple(withdrawn), tuple(emptied), artifacts)

    def _descends(self, one: Specialist, made: Iterable[FrozenRows]) -> bool:
        return self._quotes(one) or any(dataset.made(one.dataset_digest) for dataset in made)

    def _quotes(self, one: Specialist) -> bool:
        texts = (*(text for pair in one.examples for text in pair), *_constant(one), one.grammar)
        return self.quoting is not None and any(map(self.quoting.search, texts))

    def _is_copy(self, one: Specialist, made: Sequence[FrozenRows], examples: set[tuple[str, str]]) -> bool:
        if one.kind is SpecialistKind.TABLE or self._quotes(one):
            return True
        # Nobody knows any more whose examples they are.
        lost = any(dataset.forgotten and dataset.made(one.dataset_digest) for dataset in made)
        return bool(one.examples) and (lost or not examples.isdisjoint(one.examples))


def breeder_calls(deps: Deps, ids: Collection[str], made: Iterable[FrozenRows]) -> set[str]:
    """Return the calls by which a breeding asked what some interactions asked: they quote the same prompt."""
    calls = list(deps.ledger.interactions(purposes=_CALLS)) if deps.ledger.count(purposes=_CALLS) else []
    if not calls:
        return set()
    prompts = {prompt for dataset in made for prompt, _ in texts_of(dataset.folder, ids)}
    prompts |= {found for one in ids if (found := _prompt(deps, one)) is not None}
    return {one.intent.interaction_id for one in calls if _asked(one) in prompts}


def _family(specialists: Sequence[Specialist], names: set[str]) -> list[Specialist]:
    """Return the specialists of these names, and all whose parents are among them."""
    while True:
        further = {one.name for one in specialists if not names.isdisjoint(one.parents)} - names
        if not further:
            return [one for one in specialists if one.name in names]
        names = names | further


def _examples(family: Sequence[Specialist], made: Sequence[FrozenRows], ids: Collection[str]) -> set[tuple[str, str]]:
    """Return what the rows of some interactions look like as examples in prompts of these specialists."""
    found = set()
    for one in family:
        for dataset in made if one.examples else ():
            if dataset.made(one.dataset_digest):
                rows = texts_of(dataset.folder, ids)
                found |= {(trimmed(prompt, one.trim).user, answer) for prompt, answer in rows}
    return found


def keeps_what_it_learnt(one: Specialist, store: ArtifactStore) -> bool:
    """Say whether anything is left of a specialist that its rows made: its own files, or examples in its record."""
    return bool(one.examples) or any(store.holds(digest) for digest in _files(one))


def _files(one: Specialist) -> list[str]:
    """Return a specialist's own files; its base is one only where it shares none."""
    own = (one.base_sha256 if one.kind in _OWN_FILE else None, one.adapter_sha256, one.adapter_source_sha256)
    return [digest for digest in own if digest]


def _constant(one: Specialist) -> tuple[str, ...]:
    return one.trim.system or "", one.trim.prefix, one.trim.suffix


def _prompt(deps: Deps, interaction_id: str) -> Prompt | None:
    try:
        return _asked(deps.ledger.interaction(interaction_id))
    except NotFoundError:
        # Rows may come from another home.
        return None


def _asked(one: Interaction) -> Prompt | None:
    received = one.intent.request_received
    if not isinstance(received, dict):
        return None
    return prompt_of(dialect_of(one.intent.surface).to_chat(received).get("messages"))
