"""Specialists simpler than a language model: a table of tasks seen before, a linear classifier. They need no engine."""

from registry.entities import SpecialistKind

KINDS = (SpecialistKind.TABLE, SpecialistKind.LINEAR)
