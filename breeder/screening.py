"""Screen mined rows before they are frozen: caps on whoever gives them, and what looks made is no target. Pure."""

from __future__ import annotations

from dataclasses import replace

from breeder.anomalies import quarantined
from breeder.capping import capped
from breeder.mining import Mined, Tier
from breeder.recipe import DataPart


def screened(mined: Mined, plan: DataPart) -> Mined:
    """Return the rows within the caps; one in quarantine is measured as all tasks are, and never trained on."""
    kept, over = capped(mined.rows, plan)
    held = quarantined(kept)
    rows = tuple(replace(row, tier=Tier.OPEN) if row.interaction_id in held else row for row in kept)
    return Mined(rows, {**mined.dropped, **over}, mined.repeats, held)
