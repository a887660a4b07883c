"""Sample `log-template`: a line of a greenhouse controller to its template, variable parts written `<*>`."""

from __future__ import annotations

from random import Random
from typing import Final

from breeder.samples.wording import words

INSTRUCTION: Final = "Turn the controller log line into its template: every variable part becomes <*>.\nLine: "

_PARTS: Final = ("mistd", "ventctl", "irrigator", "lampbank", "co2mix", "shaded", "tankwatch", "rowbot")
_LEVELS: Final = ("INFO", "WARN", "FAIL", "TRACE")
_MAIN: Final = (
    "damper {n} opened to {n} percent", "nozzle row {w} clogged, flow {f} l/min", "dose of {f} ml given to bed {w}",
    "calibration {h} loaded from slot {n}", "tank level fell to {f} cm", "lamp group {w} dimmed to {n}",
    "no answer from probe {h}", "door {w} left open for {n} s", "blind motor {n} stalled at {n} degrees",
    "recipe {w} switched to step {n}", "pH {f} outside band {f} to {f}", "frost guard armed by {w}",
    "fan {n} spinning at {n} rpm", "leak sensor {h} is wet", "harvest cart {n} reached dock {w}",
    "schedule {h} skipped, rain expected in {n} h", "gas mix corrected by {f} points", "operator {w} muted siren {n}",
)  # fmt: skip
_MORE: Final = (
    "", ", retry {n} of {n}", ", ticket {h} raised", " (bay {w})", " after {f} s", ", next check in {n} min",
    ", previous value {f}", " on line {n}", ", handed over to {w}", ", firmware {h}", " while {w} was paused",
    ", load {f}",
    " [trace {h}]", ", queue holds {n} items",
)  # fmt: skip
_NAMES: Final = words(
    """
    basil cress dill endive fennel kale leek mint orache parsley radish sage sorrel thyme tomato chard borage
    lovage
    """
)


def _value(rng: Random, kind: str) -> str:
    if kind == "n":
        return str(rng.choice([rng.randint(1, 99), rng.randint(100, 9999)]))
    if kind == "f":
        return f"{rng.randint(0, 99)}.{rng.randint(0, 9)}"
    if kind == "h":
        return "".join(rng.choices("abcdef0123456789", k=rng.choice([4, 6, 8])))
    return f"{rng.choice(_NAMES)}{rng.choice(['', '', f'-{rng.randint(1, 20)}'])}"


def draw(rng: Random) -> tuple[str, str]:
    """One log line and its template."""
    shape = f"{rng.choice(_LEVELS)} {rng.choice(_PARTS)}[{{n}}]: {rng.choice(_MAIN)}{rng.choice(_MORE)}"
    pieces = shape.replace("}", "{").split("{")
    line = "".join(_value(rng, piece) if index % 2 else piece for index, piece in enumerate(pieces))
    return line, "<*>".join(pieces[::2])
