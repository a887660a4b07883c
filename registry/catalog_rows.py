"""Catalog entities as rows and back, one pair of functions per table."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from sqlalchemy import RowMapping

from registry.columns import Scalar, canonical_json, parse_json, utc_text, utc_time
from registry.entities import (
    Evaluation,
    Promotion,
    PromotionAction,
    PromptTrim,
    Specialist,
    SpecialistKind,
    Verdict,
    Workflow,
)

_MEASURED = ("specialist_score", "cloud_score", "mean_difference", "margin_lower")


def encode_workflow(workflow: Workflow) -> dict[str, Scalar]:
    """Return a row of `workflows`."""
    return {
        "name": workflow.name,
        "fingerprints": canonical_json(workflow.fingerprints),
        "scorer": workflow.scorer,
        "created_at_utc": utc_text(workflow.created_at_utc),
        "likeness": workflow.likeness,
        "rebreed": workflow.rebreed,
    }


def decode_workflow(row: RowMapping) -> Workflow:
    """Return the workflow of a row."""
    return Workflow(
        row["name"],
        tuple(parse_json(row["fingerprints"])),
        row["scorer"],
        utc_time(row["created_at_utc"]),
        row["likeness"],
        row["rebreed"],
    )


def encode_specialist(specialist: Specialist) -> dict[str, Scalar]:
    """Return a row of `specialists`."""
    return asdict(specialist) | {
        "name": specialist.name,
        "kind": specialist.kind.value,
        "examples": canonical_json(specialist.examples),
        "trim": canonical_json(specialist.trim),
        "parents": canonical_json(specialist.parents),
        "created_at_utc": utc_text(specialist.created_at_utc),
    }


def decode_specialist(row: RowMapping) -> Specialist:
    """Return the specialist of a row."""
    values: dict[str, Any] = dict(row) | {
        "kind": SpecialistKind(row["kind"]),
        "examples": tuple((question, answer) for question, answer in parse_json(row["examples"])),
        "trim": PromptTrim(**parse_json(row["trim"])),
        "parents": tuple(parse_json(row["parents"])),
        "created_at_utc": utc_time(row["created_at_utc"]),
    }
    del values["name"]
    return Specialist(**values)


def encode_evaluation(evaluation: Evaluation) -> dict[str, Scalar]:
    """Return a row of `evaluations`; what was not measured, NaN, becomes NULL."""
    values: dict[str, Any] = asdict(evaluation)
    return values | {
        "at_utc": utc_text(evaluation.at_utc),
        "expires_at_utc": utc_text(evaluation.expires_at_utc),
        "verdict": evaluation.verdict.value,
        **{name: None if math.isnan(values[name]) else values[name] for name in _MEASURED},
    }


def decode_evaluation(row: RowMapping) -> Evaluation:
    """Return the evaluation of a row."""
    values: dict[str, Any] = dict(row) | {
        "at_utc": utc_time(row["at_utc"]),
        "expires_at_utc": utc_time(row["expires_at_utc"]),
        "verdict": Verdict(row["verdict"]),
        **{name: math.nan if row[name] is None else row[name] for name in _MEASURED},
    }
    return Evaluation(**values)


def encode_promotion(promotion: Promotion) -> dict[str, Scalar]:
    """Return a row of `promotions`."""
    values: dict[str, Any] = asdict(promotion)
    return values | {"action": promotion.action.value, "at_utc": utc_text(promotion.at_utc)}


def decode_promotion(row: RowMapping) -> Promotion:
    """Return the promotion of a row."""
    values: dict[str, Any] = dict(row) | {
        "action": PromotionAction(row["action"]),
        "at_utc": utc_time(row["at_utc"]),
    }
    return Promotion(**values)
