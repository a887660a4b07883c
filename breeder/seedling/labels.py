"""Task families that choose one label of a closed set: by listed keywords, by meaning, by sentiment, by action."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from breeder.seedling import topics
from breeder.seedling import values as val
from breeder.seedling.rules import Pair, Rule


def _sentence(rng: Random, shapes: list[str], first: str, second: str) -> str:
    text = rng.choice(shapes).format(
        first,
        second,
        name=val.first_name(rng),
        city=val.city(rng),
        noun=val.noun(rng),
        noun2=val.noun(rng),
        adj=val.adjective(rng),
    )
    return text if rng.random() < 0.6 else text[0].upper() + text[1:]


def keyword_label(rng: Random) -> Rule:
    """Labels with their keywords listed; the text holds one keyword."""
    count = rng.randint(2, 5)
    names = rng.sample(list(topics.TOPICS), count) if rng.random() < 0.5 else val.keys(rng, count)
    pool = {val.noun(rng) for _ in range(count * 4)}
    words = rng.sample(sorted(pool), min(len(pool), count * rng.randint(1, 3)))
    clues = {name: words[index::count] for index, name in enumerate(names)}
    listed = rng.choice(["; ", "\n", ". "]).join(f"{name}: {', '.join(of)}" for name, of in clues.items() if of)
    told = rng.choice(
        ["Choose the label by its words. {l}", "Labels and their clues: {l}", "Which label fits? {l}"]
    ).format(l=listed)
    usable = [name for name in names if clues[name]]
    shapes = [
        "{0}",
        "the {adj} {0} in {city}",
        "{name} wants a {0}",
        "please bring the {0}",
        "about the {0} of {name}",
        "{adj} {0}, {adj} thing",
    ]

    def draw(rng: Random) -> Pair:
        name = rng.choice(usable)
        return _sentence(rng, shapes, rng.choice(clues[name]), ""), name

    return Rule(told, draw, examples_suffice=False)


def _closed_set(rng: Random, lexicon: dict[str, list[str]], shapes: list[str], most: int, ask: list[str]) -> Rule:
    names = rng.sample(list(lexicon), rng.randint(2, min(most, len(lexicon))))
    styles: list[Callable[[str], str]] = [str, str, str.upper, str.capitalize, lambda name: f"{name}_{suffix}"]
    style = rng.choice(styles)
    suffix = rng.choice(["issue", "request", "topic", "question"])
    told = rng.choice(ask).format(l=rng.choice([", ", " | ", " / ", " or "]).join(style(name) for name in names))

    def draw(rng: Random) -> Pair:
        name = rng.choice(names)
        first, second = rng.sample(lexicon[name], 2)
        return _sentence(rng, shapes, first, second), style(name)

    return Rule(told, draw, examples_suffice=False)


_ASKS = ["Choose one label: {l}", "Which of {l} fits?", "Classify as {l}", "Label the text with one of: {l}",
    "Labels: {l}. Pick one",
         "What is it about: {l}?", "Route to one of {l}", "Category ({l})"]  # fmt: skip


def topic_label(rng: Random) -> Rule:
    """What a text is about, told by words of the semantic lexicon."""
    return _closed_set(rng, topics.TOPICS, topics.TOPIC_SENTENCES, 8, _ASKS)


def action_label(rng: Random) -> Rule:
    """What a request wants, told by its verb."""
    return _closed_set(
        rng, topics.ACTIONS, topics.ACTION_SENTENCES, 8, [*_ASKS, "Which intent: {l}?", "What does the user want: {l}?"]
    )


def tone_label(rng: Random) -> Rule:
    """The sentiment or the urgency of a text."""
    shapes = [
        "it was {0}",
        "the {noun} in {city} is {0}",
        "{0} and {1}",
        "{name} says: {0} {noun}",
        "A {0} {adj} {noun}.",
        "{0}!",
        "my {noun}: {0}, {1}",
    ]
    if rng.random() < 0.5:
        return _closed_set(
            rng, topics.SENTIMENT, shapes, 3, ["Is the text {l}?", "Sentiment: {l}", "Tone of the review ({l})"]
        )
    shapes = [
        "fix the {noun}, {0}",
        "{0}: the {noun} of {name}",
        "I need the {noun} {0}",
        "{0} please look at the {adj} {noun}",
        "the {noun} again, {0}",
    ]
    return _closed_set(rng, topics.URGENCY, shapes, 3, ["Urgency: {l}", "How urgent is it: {l}?", "Priority ({l})"])
