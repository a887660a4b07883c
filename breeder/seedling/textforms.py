"""Task families on plain text: log templates, case, copying with edits, lists, paths, names and numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from random import Random

from breeder.seedling import lexicon as lex
from breeder.seedling import values as val
from breeder.seedling.rules import Pair, Rule

_VARIABLES: list[val.Draw] = [
    val.integer, val.integer, val.ip_address, val.path, val.host, val.decimal, val.code,
    lambda rng: val.hexadecimal(rng, rng.randint(4, 16)), lambda rng: f"0x{val.hexadecimal(rng, rng.randint(4, 8))}",
    lambda rng: f"{val.ip_address(rng)}:{rng.randint(1, 65535)}", lambda rng: f"{rng.randint(1, 9999)}ms", val.clock,
    lambda rng: f"{rng.randint(1, 999)}{rng.choice(['s', 'KB', 'MB', '%', 'GB'])}", val.filename, val.pseudo_word,
    lambda rng: f"blk_{rng.choice(['', '-'])}{val.digits(rng, 8, 18)}",
    lambda rng: f"{val.pseudo_word(rng)}_{rng.randint(0, 99)}",
]  # fmt: skip


def _log_shape(rng: Random) -> list[val.Draw | str]:
    """A list of literal words and variable draws."""
    shape: list[val.Draw | str] = []
    words = [
        lex.NOUNS,
        lex.VERBS,
        lex.SERVICES,
        lex.STATUSES,
        lex.ADJECTIVES,
        ["for", "from", "to", "at", "in", "on", "of", "with", "not"],
    ]
    for _ in range(rng.randint(3, 9)):
        if rng.random() < 0.33:
            shape.append(rng.choice(_VARIABLES))
        else:
            word = rng.choice(rng.choice(words))
            shape.append(
                rng.choice(
                    [word, word, word, word.capitalize(), word + ":", word.upper() if rng.random() < 0.2 else word]
                )
            )
    if not any(callable(part) for part in shape):
        shape.append(rng.choice(_VARIABLES))
    if not any(isinstance(part, str) for part in shape):
        shape.insert(0, rng.choice(lex.SERVICES))
    return shape


def _wrap(rng: Random, size: int) -> list[str]:
    return [
        rng.choice(["{}", "{}", "{}", "{}", "({})", "[{}]", "{},", "={}", "id={}", "<{}>", "'{}'"]) for _ in range(size)
    ]


def log_template(rng: Random) -> Rule:
    """Replace the variable parts of a log line by a placeholder."""
    mark = rng.choice(["<*>", "<*>", "<*>", "<*>", "*", "<VAR>", "{}", "???"])
    told = rng.choice(["Replace every variable part by {m}", "Give the log template with {m}",
        "Mask the parameters as {m}",
                       "Write the template of the log line; variables become {m}",
                       "Turn values into {m}"]).format(m=mark)  # fmt: skip
    shapes = []
    for _ in range(3):
        shape = _log_shape(rng)
        shapes.append((shape, _wrap(rng, len(shape))))

    def draw(rng: Random) -> Pair:
        shape, wraps = rng.choice(shapes)
        line, template = [], []
        for part, wrap in zip(shape, wraps, strict=True):
            if isinstance(part, str):
                line.append(part)
                template.append(part)
            else:
                line.append(wrap.format(part(rng)))
                template.append(wrap.format(mark))
        return " ".join(line), " ".join(template)

    return Rule(told, draw)


_CASES: dict[str, tuple[Callable[[list[str]], str], list[str]]] = {
    "snake": ("_".join, ["snake_case", "snake case", "lower case with underscores"]),
    "kebab": ("-".join, ["kebab-case", "lower case with dashes"]),
    "camel": (lambda words: words[0] + "".join(word.capitalize() for word in words[1:]), ["camelCase", "camel case"]),
    "pascal": (lambda words: "".join(word.capitalize() for word in words), ["PascalCase", "upper camel case"]),
    "constant": (lambda words: "_".join(words).upper(), ["CONSTANT_CASE", "upper case with underscores"]),
    "title": (lambda words: " ".join(word.capitalize() for word in words), ["Title Case", "capitalised words"]),
    "upper": (lambda words: " ".join(words).upper(), ["UPPER CASE", "capitals", "all caps"]),
    "lower": (" ".join, ["lower case words", "plain lower case"]),
    "dots": (".".join, ["dot.case", "words with dots"]),
    "sentence": (lambda words: " ".join(words).capitalize() + ".", ["a sentence with a full stop"]),
}  # fmt: skip


def case_convert(rng: Random) -> Rule:
    """Words of one letter case to another."""
    source, target = rng.sample(list(_CASES), 2)
    told = rng.choice(["Convert to {t}", "Write in {t}", "Change {s} to {t}", "Make it {t}", "Use {t}"]).format(
        s=rng.choice(_CASES[source][1]), t=rng.choice(_CASES[target][1])
    )

    def draw(rng: Random) -> Pair:
        pools = [lex.NOUNS, lex.ADJECTIVES, lex.VERBS, lex.KEYS]
        words = [
            val.pseudo_word(rng) if rng.random() < 0.2 else rng.choice(rng.choice(pools))
            for _ in range(rng.randint(2, 4))
        ]
        return _CASES[source][0](words), _CASES[target][0](words)

    return Rule(told, draw)


def copy_text(rng: Random) -> Rule:
    """Repeat the input exactly, perhaps within a frame."""
    sources: list[val.Draw] = [
        val.sentence,
        val.path,
        val.code,
        lambda rng: " ".join(draw(rng) for draw in rng.choices(_VARIABLES, k=4)),
        lambda rng: " ".join(val.pseudo_word(rng) for _ in range(rng.randint(2, 7))),
    ]
    source = rng.choice(sources)
    before, after = rng.choice(
        [
            ("", ""),
            ("", ""),
            ("<", ">"),
            ('"', '"'),
            ("[", "]"),
            ("**", "**"),
            ("> ", ""),
            (f"{val.noun(rng)}: ", ""),
            ("", ";"),
        ]
    )
    told = rng.choice(["Repeat the text", "Copy exactly", "Echo this", "Write it again"])
    if before or after:
        told += rng.choice([f" as {before}text{after}", f", written {before}text{after}"])

    def draw(rng: Random) -> Pair:
        text = source(rng)
        return text, before + text + after

    return Rule(told, draw)


def edit_text(rng: Random) -> Rule:
    """Change one thing in a sentence."""
    old, new = rng.choice(lex.NOUNS), val.noun(rng)
    spot = rng.randint(1, 3)
    name = {1: "first", 2: "second", 3: "third"}[spot]
    edits: list[tuple[str, Callable[[list[str]], list[str]]]] = [
        (f"Replace {old} by {new}", lambda words: [new if word == old else word for word in words]),
        (f"Delete the word {old}", lambda words: [word for word in words if word != old]),
        (
            f"Put {new} after {old}",
            lambda words: [part for word in words for part in ([word, new] if word == old else [word])],
        ),
        (f"Delete the {name} word", lambda words: words[: spot - 1] + words[spot:]),
        ("Delete the last word", lambda words: words[:-1]),
        (f"Write the word {old} in capitals", lambda words: [word.upper() if word == old else word for word in words]),
        ("Swap the first two words", lambda words: [words[1], words[0], *words[2:]]),
        (f"Add {new} at the end", lambda words: [*words, new]),
        (f"Add {new} at the start", lambda words: [new, *words]),
        ("Reverse the word order", lambda words: words[::-1]),
        ("Put a comma after every word but the last", lambda words: [word + "," for word in words[:-1]] + words[-1:]),
        (f"Give only the {name} word", lambda words: words[spot - 1 : spot]),
        ("Give only the last word", lambda words: words[-1:]),
    ]
    told, change = rng.choice(edits)

    def draw(rng: Random) -> Pair:
        words = [rng.choice(rng.choice([lex.NOUNS, lex.ADJECTIVES, lex.VERBS])) for _ in range(rng.randint(4, 9))]
        if old in told:
            words[rng.randrange(len(words))] = old
        return " ".join(words), " ".join(change(words))

    return Rule(told, draw, examples_suffice=False)


def list_order(rng: Random) -> Rule:
    """Sort, reverse, dedupe, take from or count a short list."""
    glue = rng.choice([", ", " ", "\n", ";", " | "])
    operations: list[tuple[list[str], Callable[[list[str]], list[str]]]] = [
        (["Sort the words", "Sort alphabetically"], sorted), (["Reverse the list", "Write the list backwards"],
            lambda items: items[::-1]),
        (["Remove duplicates", "Keep each item once"], lambda items: list(dict.fromkeys(items))),
        (["Give the first item"], lambda items: items[:1]), (["Give the last item"], lambda items: items[-1:]),
        (["Sort the items from z to a"], lambda items: sorted(items, reverse=True)),
        (["Give every item but the first"], lambda items: items[1:]),
        (["Count the items"], lambda items: [str(len(items))]),
    ]  # fmt: skip
    wordings, change = rng.choice(operations)
    kind = rng.choice(
        [val.noun, val.first_name, val.city, lambda rng: str(rng.randint(1, 99)).zfill(2), val.pseudo_word]
    )

    def draw(rng: Random) -> Pair:
        items = [kind(rng) for _ in range(rng.randint(2, 5))]
        if "dup" in wordings[0].lower() or rng.random() < 0.1:
            items.insert(rng.randrange(len(items) + 1), rng.choice(items))
        return glue.join(items), glue.join(change(items))

    return Rule(rng.choice(wordings), draw, examples_suffice=False)


def path_part(rng: Random) -> Rule:
    """The name, stem, extension or parent of a path, or a changed extension."""
    other = rng.choice(lex.EXTENSIONS)
    parts: list[tuple[str, Callable[[PurePosixPath], str]]] = [
        ("Give the file name", lambda path: path.name),
        ("Give the extension", lambda path: path.suffix[1:]),
        ("Give the folder", lambda path: str(path.parent)),
        ("Give the file name without extension", lambda path: path.stem),
        (f"Change the extension to {other}", lambda path: str(path.with_suffix(f".{other}"))),
    ]
    told, change = rng.choice(parts)

    def draw(rng: Random) -> Pair:
        folders = [
            rng.choice(lex.FOLDERS) if rng.random() < 0.7 else val.pseudo_word(rng) for _ in range(rng.randint(1, 4))
        ]
        path = PurePosixPath("/", *folders, val.filename(rng))
        return str(path), change(path)

    return Rule(told, draw)


def person_name(rng: Random) -> Rule:
    """A name from one order and form to another."""
    forms: dict[str, Callable[[str, str], str]] = {
        "First Last": lambda first, last: f"{first} {last}", "Last, First": lambda first, last: f"{last}, {first}",
        "F. Last": lambda first, last: f"{first[0]}. {last}", "first.last": lambda first,
        last: f"{first}.{last}".lower(),
        "LAST First": lambda first, last: f"{last.upper()} {first}", "FL": lambda first, last: first[0] + last[0],
        "flast": lambda first, last: (first[0] + last).lower(),
    }  # fmt: skip
    source, target = rng.choice(["First Last", "Last, First", "LAST First"]), rng.choice(list(forms))

    def draw(rng: Random) -> Pair:
        first, last = val.first_name(rng), rng.choice(lex.LAST_NAMES)
        return forms[source](first, last), forms[target](first, last)

    return Rule(rng.choice(["Write the name as {t}", "Format the name: {t}", "Name form {t}"]).format(t=target), draw)


def mask_text(rng: Random) -> Rule:
    """Replace digits, numbers or capitals by a mark."""
    mark = rng.choice(["#", "X", "_", "?", "0"])
    every = rng.random() < 0.5
    told = f"Replace every digit by {mark}" if every else f"Replace every number by {mark}"

    def draw(rng: Random) -> Pair:
        parts = [
            val.sentence(rng).split()[0],
            val.integer(rng),
            val.noun(rng),
            val.code(rng),
            val.noun(rng),
            val.clock(rng),
        ]
        chosen = rng.sample(parts, rng.randint(3, 6))
        text, out = " ".join(chosen), []
        for position, char in enumerate(text):
            if not char.isdigit():
                out.append(char)
            elif every or position == 0 or not text[position - 1].isdigit():
                out.append(mark)
        return text, "".join(out)

    return Rule(told, draw)
