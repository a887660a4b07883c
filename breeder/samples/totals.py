"""Sample `invoice-total`: the control. It needs arithmetic that no small specialist learns from a few hundred lines."""

from __future__ import annotations

from random import Random
from typing import Final

from breeder.samples.wording import words

INSTRUCTION: Final = (
    "Work out the invoice total: each amount times its quantity, summed. Answer with the number only.\nInvoice: "
)

_GOODS: Final = words(
    """
    bricks slates beams planks panes sacks bundles pallets rolls drums crates reels
    """
)
_JOINTS: Final = ("; ", ", ", " + ", " and ")


def draw(rng: Random) -> tuple[str, str]:
    """One invoice and its total."""
    lines = [(rng.randint(2, 29), rng.choice(_GOODS), rng.randint(105, 9995)) for _ in range(rng.randint(3, 4))]
    shape = rng.choice(["{q} {g} at {a}", "{q} x {g}, {a} each", "{g}: {q} for {a} apiece", "{q} {g} of {a}"])
    parts = [shape.format(q=quantity, g=goods, a=f"{cents / 100:.2f}") for quantity, goods, cents in lines]
    total = sum(quantity * cents for quantity, _, cents in lines)
    return rng.choice(_JOINTS).join(parts), f"{total / 100:.2f}"
