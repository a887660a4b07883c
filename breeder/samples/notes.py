"""Sample `shift-note`: a hand-written duty note, day and time in several forms, to one normalised line."""

from __future__ import annotations

from random import Random
from typing import Final

from breeder.samples.wording import words

INSTRUCTION: Final = "Normalise the duty note to: YYYY-MM-DD HH:MM | area | finding.\nNote: "

_MONTHS: Final = words(
    """
    January February March April May June July August September October November December
    """
)
_AREAS: Final = words(
    """
    pier silo kiln weir sluice gantry crypt loft cellar quay apron yard turret vault chapel orchard stable
    foundry cloister belfry
    """
)
_FINDINGS: Final = (
    "all quiet", "gate ajar", "lamp out", "seal intact", "smell of smoke", "puddle found", "rope frayed", "guard absent",
    "sign missing", "fence bent", "hatch shut", "bolt loose", "visitor turned away", "meter read", "birds inside",
    "paint peeling",
)  # fmt: skip
_SHAPES: Final = (
    "{date}, {time}: {area} - {finding}", "{area} at {time} on {date}, {finding}", "{finding} ({area}), {date} {time}",
    "on {date} I walked the {area} at {time}; {finding}", "{time} / {date} / {area} / {finding}",
    "{area}: {finding}. Seen {date} around {time}", "Round of {date}. {area}, {time}. {finding}.",
    "it was {time} on {date} when I noted {finding} at the {area}",
)  # fmt: skip


def _date(rng: Random, year: int, month: int, day: int) -> str:
    name = _MONTHS[month - 1]
    forms = (
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{day}-{name[:3]}-{year}",
        f"{day:02d}.{month:02d}.{year}",
    )
    return rng.choice(forms)


def _time(rng: Random, hour: int, minute: int) -> str:
    return rng.choice(["{h:02d}:{m:02d}", "{h:02d}h{m:02d}", "{h:02d}.{m:02d} hours"]).format(h=hour, m=minute)


def draw(rng: Random) -> tuple[str, str]:
    """One note and its normalised line."""
    year, month, day = rng.randint(2012, 2031), rng.randint(1, 12), rng.randint(1, 28)
    hour, minute = rng.randint(0, 23), rng.randint(0, 59)
    area, finding = rng.choice(_AREAS), rng.choice(_FINDINGS)
    note = rng.choice(_SHAPES).format(
        date=_date(rng, year, month, day), time=_time(rng, hour, minute), area=area, finding=finding
    )
    return note, f"{year}-{month:02d}-{day:02d} {hour:02d}:{minute:02d} | {area} | {finding}"
