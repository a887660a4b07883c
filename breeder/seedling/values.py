"""Random field values and keys for generated tasks. Every function is pure in its random source."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from breeder.seedling import lexicon as lex

Draw = Callable[[Random], str]


def pseudo_word(rng: Random) -> str:
    """A pronounceable word that means nothing."""
    return "".join(rng.choice(lex.SYLLABLES) for _ in range(rng.randint(2, 3)))


def digits(rng: Random, low: int, high: int) -> str:
    """A number of `low` to `high` digits with no leading zero."""
    count = rng.randint(low, high)
    return str(rng.randint(10 ** (count - 1), 10**count - 1))


def hexadecimal(rng: Random, length: int) -> str:
    """Lower-case hexadecimal digits."""
    return "".join(rng.choices("0123456789abcdef", k=length))


def ip_address(rng: Random) -> str:
    """A dotted quad."""
    return ".".join(str(rng.randint(0, 255)) for _ in range(4))


def host(rng: Random) -> str:
    """A host name."""
    word = rng.choice(lex.HOST_WORDS) if rng.random() < 0.7 else pseudo_word(rng)
    return rng.choice(["{w}-{n}", "{w}{n}", "{w}-{n}.local", "{w}.{v}.net", "{v}-{w}-{n}"]).format(
        w=word, n=rng.randint(1, 99), v=pseudo_word(rng)
    )


def path(rng: Random) -> str:
    """An absolute path, often with a file."""
    parts = [rng.choice(lex.FOLDERS) if rng.random() < 0.7 else pseudo_word(rng) for _ in range(rng.randint(1, 3))]
    return "/" + "/".join(parts) + (f"/{filename(rng)}" if rng.random() < 0.7 else "")


def filename(rng: Random) -> str:
    """A file name with an extension."""
    stem = rng.choice([noun, pseudo_word])(rng)
    tail = rng.choice(["", "", f"_{rng.randint(1, 99)}", f"-{noun(rng)}"])
    return f"{stem}{tail}.{rng.choice(lex.EXTENSIONS)}"


def code(rng: Random) -> str:
    """An identifier of letters and digits."""
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.randint(1, 4)))
    return rng.choice(["{a}-{n}", "{a}{n}", "{a}/{n}", "#{n}", "{a}-{n}-{m}", "{a}_{n}"]).format(
        a=letters, n=digits(rng, 2, 5), m=rng.randint(0, 99)
    )


def first_name(rng: Random) -> str:
    """A given name, sometimes made up."""
    return rng.choice(lex.FIRST_NAMES) if rng.random() < 0.85 else pseudo_word(rng).capitalize()


def full_name(rng: Random) -> str:
    """A given name and a surname."""
    return f"{first_name(rng)} {rng.choice(lex.LAST_NAMES)}"


def city(rng: Random) -> str:
    """A city, sometimes made up."""
    return rng.choice(lex.CITIES).replace("_", " ") if rng.random() < 0.85 else pseudo_word(rng).capitalize()


def country(rng: Random) -> str:
    """A country."""
    return rng.choice(lex.COUNTRIES)


def noun(rng: Random) -> str:
    """A noun, sometimes made up."""
    return rng.choice(lex.NOUNS) if rng.random() < 0.85 else pseudo_word(rng)


def adjective(rng: Random) -> str:
    """An adjective."""
    return rng.choice(lex.ADJECTIVES)


def phrase(rng: Random) -> str:
    """A noun phrase without an article."""
    return rng.choice(["{a} {n}", "{n} {m}", "{a} {b} {n}", "{n}"]).format(
        a=adjective(rng), b=adjective(rng), n=noun(rng), m=noun(rng)
    )


def product(rng: Random) -> str:
    """A product, often qualified."""
    item = rng.choice(lex.PRODUCTS)
    return rng.choice(
        [item, item, f"{adjective(rng)} {item}", f"{item} {code(rng)}", f"{rng.choice(lex.COLORS)} {item}"]
    )


def decimal(rng: Random) -> str:
    """A number with one or two decimals."""
    return (
        f"{rng.randint(0, 999)}.{rng.randint(0, 99):02d}"
        if rng.random() < 0.7
        else f"{rng.randint(0, 99)}.{rng.randint(0, 9)}"
    )


def integer(rng: Random) -> str:
    """A number of one to six digits."""
    return digits(rng, 1, rng.randint(1, 6))


def clock(rng: Random) -> str:
    """A 24-hour clock time."""
    return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}" + (
        f":{rng.randint(0, 59):02d}" if rng.random() < 0.3 else ""
    )


def iso_date(rng: Random) -> str:
    """A date in ISO form."""
    return f"{rng.randint(1980, 2039)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def one_of(words: list[str]) -> Draw:
    """A draw from fixed words."""
    return lambda rng: rng.choice(words)


def title_noun(rng: Random) -> str:
    """A noun phrase in title case."""
    return phrase(rng).title()


KINDS: dict[str, Draw] = {
    "name": full_name, "first": first_name, "city": city, "country": country, "noun": noun, "phrase": phrase,
    "product": product, "decimal": decimal, "integer": integer, "clock": clock, "date": iso_date, "code": code,
    "host": host, "ip": ip_address, "path": path, "file": filename,
    "hex": lambda rng: hexadecimal(rng, rng.randint(4, 12)),
    "status": one_of(lex.STATUSES), "department": one_of(lex.DEPARTMENTS), "color": one_of(lex.COLORS),
    "pseudo": pseudo_word, "title": title_noun,
}  # fmt: skip

TYPICAL: dict[str, str] = {
    "name": "name", "user": "first", "owner": "name", "author": "name", "city": "city", "country": "country",
    "date": "date",
    "time": "clock", "start": "clock", "end": "clock", "due": "date", "created": "date", "status": "status",
    "state": "status",
    "department": "department", "team": "department", "price": "decimal", "cost": "decimal", "amount": "decimal",
    "total": "decimal", "quantity": "integer", "qty": "integer", "count": "integer", "color": "color", "host": "host",
    "ip": "ip",
    "path": "path", "file": "file", "id": "code", "sku": "code", "order": "code", "ref": "code", "customer": "name",
    "client": "name", "product": "product", "item": "product", "port": "integer", "origin": "city",
    "destination": "city",
    "title": "title", "note": "phrase", "message": "phrase", "reason": "phrase", "driver": "name", "guest": "name",
}  # fmt: skip


def key(rng: Random) -> str:
    """A field name: usually a known word, sometimes compound or made up."""
    roll = rng.random()
    if roll < 0.65:
        return rng.choice(lex.KEYS)
    if roll < 0.85:
        joined = [rng.choice(lex.KEY_PARTS), rng.choice(lex.KEYS)]
        return rng.choice(["_".join(joined), joined[0] + joined[1].capitalize(), "-".join(joined)])
    return pseudo_word(rng)


def keys(rng: Random, count: int) -> list[str]:
    """`count` different field names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[key(rng)] = None
    return list(found)


def value_kind(rng: Random, name: str) -> Draw:
    """The draw for a field: its typical kind most of the time, else any kind."""
    if name in TYPICAL and rng.random() < 0.8:
        return KINDS[TYPICAL[name]]
    return KINDS[rng.choice(list(KINDS))]


def sentence(rng: Random) -> str:
    """A plain sentence over the lexicon."""
    shape = rng.choice([
        "the {a} {n} will {v} the {m}", "{p} can {v} a {n} near {c}", "please {v} the {n} and {w} the {m}",
        "{p} has a {a} {n} in {c}", "we {v} every {n} before the {m}", "{v} {n} with {a} {m}", "{a} {n}, {b} {m}",
        "a {n} of {m} for {p}", "{p} and {q} {v} the {a} {n}", "in {c} the {n} is {a}",
        "no {n} may {v} the {b} {m} in {c}",
    ])  # fmt: skip
    text = shape.format(
        a=adjective(rng), b=adjective(rng), n=noun(rng), m=noun(rng), v=rng.choice(lex.VERBS), w=rng.choice(lex.VERBS),
        p=first_name(rng), q=first_name(rng), c=city(rng),
    )  # fmt: skip
    return text if rng.random() < 0.5 else text[0].upper() + text[1:] + rng.choice([".", ".", "!", ""])
