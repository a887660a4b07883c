"""The list of pretraining task families with their shares, and the draw of one example."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Self

from breeder.seedling import labels, quantities, records, sentences, textforms
from breeder.seedling.passages import Passages
from breeder.seedling.readings import READINGS, able
from breeder.seedling.rules import Example, Family, make_example

FAMILIES: Final[dict[str, tuple[Family, float]]] = {
    "fields-to-record": (sentences.fields_to_record, 3.0),
    "slot": (sentences.slot, 1.5),
    "optional-slots": (sentences.optional_slots, 1.5),
    "sql-query": (sentences.sql_query, 1.0),
    "command": (sentences.command, 1.0),
    "csv-to-json": (records.csv_to_json, 1.0),
    "json-to-lines": (records.json_to_lines, 1.0),
    "lines-to-json": (records.lines_to_json, 1.0),
    "record-to-record": (records.record_to_record, 1.5),
    "values-to-json": (records.values_to_json, 1.0),
    "pick-field": (records.pick_field, 1.5),
    "edit-record": (records.edit_record, 1.0),
    "log-template": (textforms.log_template, 3.0),
    "case-convert": (textforms.case_convert, 1.0),
    "copy-text": (textforms.copy_text, 1.5),
    "edit-text": (textforms.edit_text, 1.5),
    "list-order": (textforms.list_order, 1.0),
    "path-part": (textforms.path_part, 0.7),
    "person-name": (textforms.person_name, 0.7),
    "mask-text": (textforms.mask_text, 0.7),
    "date-form": (quantities.date_form, 2.0),
    "clock-form": (quantities.clock_form, 0.7),
    "duration-form": (quantities.duration_form, 0.5),
    "unit-form": (quantities.unit_form, 0.5),
    "money-form": (quantities.money_form, 0.5),
    "spelled-number": (quantities.spelled_number, 0.5),
    "keyword-label": (labels.keyword_label, 1.5),
    "topic-label": (labels.topic_label, 3.0),
    "action-label": (labels.action_label, 1.5),
    "tone-label": (labels.tone_label, 1.0),
}
_NAMES: Final = list(FAMILIES)
_SHARES: Final = [share for _, share in FAMILIES.values()]


def draw_example(rng: Random, family: str | None = None) -> Example:
    """One example of the family, or of a family drawn by share."""
    name = family or rng.choices(_NAMES, _SHARES)[0]
    return make_example(rng, name, FAMILIES[name][0])


@dataclass(frozen=True, slots=True)
class Tasks:
    """What examples are drawn from: the families, and a share of reading tasks where there is text to read."""

    passages: Passages | None = None
    reading_share: float = 0.0
    names: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    @classmethod
    def reading(cls, passages: Passages, share: float) -> Self:
        """Take this share of the examples from these passages."""
        families = able(passages)
        return cls(passages, share, tuple(families), tuple(weight for _, weight in families.values()))

    def draw(self, rng: Random) -> Example:
        """One example."""
        passages = self.passages
        if passages is None or rng.random() >= self.reading_share:
            return draw_example(rng)
        name = rng.choices(self.names, self.shares)[0]
        read = READINGS[name][0]
        return make_example(rng, name, lambda rng: read(rng, passages))
