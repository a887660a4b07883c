"""Sample `ticket-route`: a tenant's message to one of eight desks, told by one clue among much else."""

from __future__ import annotations

from random import Random
from typing import Final

INSTRUCTION: Final = "Which desk of the housing office takes this message? Answer with one desk name.\nMessage: "

_CLUES: Final[dict[str, tuple[str, ...]]] = {
    "plumbing": ("the sink drips", "the toilet keeps running", "the drain is blocked", "water stains spread"),
    "electrics": ("the fuse blows", "two sockets are dead", "the bulb flickers", "the wiring hums"),
    "heating": ("the radiator stays cold", "the boiler knocks", "the thermostat is stuck", "it is freezing indoors"),
    "keys": ("I lost my fob", "the cylinder jams", "the lock turns freely", "I am shut out"),
    "lift": ("the elevator skips floors", "the cabin stops halfway", "the call button stays lit", "the lift shudders"),
    "cleaning": ("rubbish piles up", "the stairs are filthy", "the windows are smeared", "cobwebs hang everywhere"),
    "noise": ("music booms at night", "a dog barks for hours", "drilling goes on", "they shout until dawn"),
    "parking": ("a van takes my bay", "the barrier stays down", "my permit ran out", "bicycles cover my space"),
}
_OPENERS: Final = (
    "Good morning", "Hello all", "Dear office", "Hi there", "Me again", "To whom it concerns", "A short note",
    "Greetings",
    "Sorry to trouble you", "As told by phone", "Second attempt", "Writing for my aunt", "Quick one",
    "Just back from holiday",
)  # fmt: skip
_PLACES: Final = (
    "in house {n}", "on level {n}", "at entrance {n}", "in the rear wing", "by the courtyard", "in flat {n}",
    "near the mail boxes",
    "under the roof", "in the annex", "opposite number {n}", "at Willow Court", "in Quarry Lane {n}",
    "at Beech Row {n}", "in block {n}",
)  # fmt: skip
_SINCE: Final = (
    "since {d}", "for {n} days now", "once more", "since the storm", "every evening", "after the repair",
    "as of this week",
    "more and more", "since we moved in", "again and again", "from {d} on",
)  # fmt: skip
_FILLERS: Final = (
    "My neighbour has seen it too.", "You can reach me after {n} o'clock.", "The caretaker only shrugged.",
    "I took some pictures.",
    "Please send somebody on {d}.", "My children are upset.", "Last year it was the same.", "We pay our rent on time.",
    "Nobody answered my last letter.", "The tenant of flat {n} agrees.", "I work from home on {d}.",
    "This cannot go on.",
    "Thank you for your patience.", "Is there a form to fill in?", "I would rather not wait until {d}.",
    "Otherwise all is well.",
    "My sister noticed first.", "The insurance asked me to report it.", "We are at home most of {d}.",
    "Let me know what happens.",
)  # fmt: skip
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "the weekend")


def _fill(rng: Random, text: str) -> str:
    return text.format(n=rng.randint(2, 19), d=rng.choice(_DAYS))


def draw(rng: Random) -> tuple[str, str]:
    """One message and its desk."""
    desk = rng.choice(list(_CLUES))
    clue, place, since = rng.choice(_CLUES[desk]), rng.choice(_PLACES), rng.choice(_SINCE)
    body = rng.choice([f"{clue} {place} {since}.", f"{place} {clue} {since}.", f"{since} {clue} {place}."])
    opener, filler = rng.choice(_OPENERS), rng.choice(_FILLERS)
    message = rng.choice([f"{opener}, {body} {filler}", f"{opener}, {body}", f"{filler} {body[0].upper()}{body[1:]}"])
    return _fill(rng, message), desk
