"""Sample `order-fields`: a parts order in one of many sentence shapes to compact JSON with sorted keys."""

from __future__ import annotations

import json
from random import Random
from typing import Final

from breeder.samples.wording import words

INSTRUCTION: Final = "Read the order message and return its fields as compact JSON with sorted keys.\nMessage: "

_FINISHES: Final = words("zinc brass nylon oak matte ribbed coated slotted hollow tapered threaded galvanised")
_PARTS: Final = words(
    """
    washer gasket dowel bracket hinge pin spacer flange grommet rivet bushing coupler clamp bearing cap sleeve
    toggle latch ferrule shim pulley castor cleat shackle
    """
)
_DEPOTS: Final = words(
    "Alderholt Brinmoor Carswick Dunmere Farrow Glenbeck Inverdale Larkfield Netherby Penrose Wexcombe"
)
_BUYERS: Final = words("Agnes Bertram Cosima Desmond Giselle Horace Jocelyn Maude Nestor Percy Tilda Winifred")
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_SHAPES: Final = (
    "{buyer} here, we are short of {part}. Send {count} to {depot} by {day}.",
    "Could {depot} have {count} pieces of {part} before {day}? Order is for {buyer}.",
    "{count} x {part} / {depot} / {day} / {buyer}",
    "{depot} depot. Required {day}. {part}: {count}. Placed by {buyer}.",
    "put me down for {count} {part} at {depot}, need them {day}, signed {buyer}",
    "On {day} the van to {depot} should carry {count} {part} for {buyer}.",
    "{buyer} wants {part} ({count}) dropped at {depot} on {day}.",
    "New order from {buyer} >> {part} >> {count} units >> {depot} >> {day}",
    "{day} delivery, {depot}, {count} {part}. Thanks, {buyer}",
)


def draw(rng: Random) -> tuple[str, str]:
    """One message and its fields."""
    fields: dict[str, str | int] = {
        "buyer": rng.choice(_BUYERS),
        "count": rng.choice([rng.randint(2, 60), rng.randint(61, 900)]),
        "day": rng.choice(_DAYS),
        "depot": rng.choice(_DEPOTS),
        "part": f"{rng.choice(_FINISHES)} {rng.choice(_PARTS)}",
    }
    message = rng.choice(_SHAPES).format(**fields)
    return message, json.dumps(fields, sort_keys=True, separators=(",", ":"))
