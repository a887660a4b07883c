"""Task families over flat records: converting between notations, picking, dropping, renaming and reordering fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from breeder.seedling import values as val
from breeder.seedling.rules import Pair, Rule

Record = dict[str, str]


def as_json(record: Record) -> str:
    """JSON with spaces."""
    return json.dumps(record, ensure_ascii=False)


def as_compact_json(record: Record) -> str:
    """JSON without spaces."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def as_colon_lines(record: Record) -> str:
    """`key: value` lines."""
    return "\n".join(f"{name}: {value}" for name, value in record.items())


def as_equal_lines(record: Record) -> str:
    """`key=value` lines."""
    return "\n".join(f"{name}={value}" for name, value in record.items())


def as_csv(record: Record) -> str:
    """A header line and a value line."""
    return ",".join(record) + "\n" + ",".join(record.values())


def as_semicolons(record: Record) -> str:
    """Pairs on one line."""
    return "; ".join(f"{name}: {value}" for name, value in record.items())


def as_logfmt(record: Record) -> str:
    """Pairs on one line, quoted where a value has spaces."""
    return " ".join(f'{name}="{value}"' if " " in value else f"{name}={value}" for name, value in record.items())


def as_xml(record: Record) -> str:
    """One element per field."""
    return "".join(f"<{name}>{value}</{name}>" for name, value in record.items())


def as_bullets(record: Record) -> str:
    """A markdown list."""
    return "\n".join(f"- {name}: {value}" for name, value in record.items())


def as_pipes(record: Record) -> str:
    """A markdown table row under its header."""
    return "| " + " | ".join(record) + " |\n| " + " | ".join(record.values()) + " |"


def as_arrows(record: Record) -> str:
    """`key -> value` lines."""
    return "\n".join(f"{name} -> {value}" for name, value in record.items())


NOTATIONS: dict[str, tuple[Callable[[Record], str], list[str]]] = {
    "json": (as_json, ["JSON", "a JSON object", "JSON format"]),
    "compact": (as_compact_json, ["compact JSON", "JSON without spaces", "minified JSON"]),
    "colon": (as_colon_lines, ["lines of key: value", "'key: value' lines", "one 'key: value' per line"]),
    "equal": (as_equal_lines, ["lines of key=value", "key=value lines", "env style lines"]),
    "csv": (as_csv, ["CSV with a header", "comma separated values with header"]),
    "semicolon": (as_semicolons, ["one line, fields split by semicolons", "semicolon separated pairs"]),
    "logfmt": (as_logfmt, ["logfmt", "key=value pairs on one line"]),
    "xml": (as_xml, ["XML tags", "XML elements"]),
    "bullets": (as_bullets, ["a bullet list", "bullets"]),
    "pipes": (as_pipes, ["a markdown table", "a table with pipes"]),
    "arrows": (as_arrows, ["lines with arrows", "key -> value lines"]),
}


def draw_record(rng: Random, names: list[str], kinds: list[val.Draw]) -> Record:
    """A record with fresh values, free of commas."""
    return {name: kind(rng).replace(",", "") for name, kind in zip(names, kinds, strict=True)}


def schema(rng: Random, low: int = 2, high: int = 5) -> tuple[list[str], list[val.Draw]]:
    """Field names with the draw of each one's values."""
    names = val.keys(rng, rng.randint(low, high))
    return names, [val.value_kind(rng, name) for name in names]


def _convert(rng: Random, source: str, target: str) -> Rule:
    names, kinds = schema(rng)
    write, read = NOTATIONS[target][0], NOTATIONS[source][0]
    wording = rng.choice(["Convert to {t}", "Rewrite as {t}", "Turn the {s} into {t}", "Give this as {t}",
        "Change {s} to {t}",
                          "Write the same data as {t}", "Output {t}", "From {s} to {t}",
                          "Format the record as {t}"])  # fmt: skip
    told = wording.format(s=rng.choice(NOTATIONS[source][1]), t=rng.choice(NOTATIONS[target][1]))

    def draw(rng: Random) -> Pair:
        record = draw_record(rng, names, kinds)
        return read(record), write(record)

    return Rule(told, draw)


def csv_to_json(rng: Random) -> Rule:
    """CSV with a header to JSON."""
    return _convert(rng, "csv", rng.choice(["json", "compact"]))


def json_to_lines(rng: Random) -> Rule:
    """JSON to one line per field."""
    return _convert(rng, rng.choice(["json", "compact"]), rng.choice(["colon", "equal", "bullets", "arrows"]))


def lines_to_json(rng: Random) -> Rule:
    """One line per field to JSON."""
    return _convert(rng, rng.choice(["colon", "equal", "bullets", "semicolon"]), rng.choice(["json", "compact"]))


def record_to_record(rng: Random) -> Rule:
    """Any notation to any other."""
    source, target = rng.sample(list(NOTATIONS), 2)
    return _convert(rng, source, target)


def values_to_json(rng: Random) -> Rule:
    """Bare values on one line, the field names only in the instruction."""
    names, kinds = schema(rng)
    glue, write = rng.choice([", ", " | ", ";", " / ", "\t", ","]), NOTATIONS[rng.choice(["json", "compact", "colon"])]
    wording = rng.choice(
        ["The columns are {k}. Write {t}", "Make {t} with the fields {k}", "Fields in order: {k}. Output {t}"]
    )
    told = wording.format(k=rng.choice([", ", " "]).join(names), t=rng.choice(write[1]))

    def draw(rng: Random) -> Pair:
        record = draw_record(rng, names, kinds)
        return glue.join(record.values()), write[0](record)

    return Rule(told, draw)


def pick_field(rng: Random) -> Rule:
    """One or two fields of a record, by name."""
    names, kinds = schema(rng, 3, 7)
    read = NOTATIONS[rng.choice(list(NOTATIONS))][0]
    wanted = rng.sample(names, rng.choice([1, 1, 1, 2]))
    wording = rng.choice(["What is the {k}?", "Give the value of {k}", "Return only {k}", "Extract {k}",
        "Which {k} is given?",
                          "Pick the field {k}", "{k}?", "Find {k} in the record", "Read out {k}"])  # fmt: skip
    told = wording.format(k=" and ".join(wanted))
    glue = "\n" if len(wanted) > 1 else ""

    def draw(rng: Random) -> Pair:
        record = draw_record(rng, names, kinds)
        return read(record), glue.join(record[name] for name in wanted)

    return Rule(told, draw)


def edit_record(rng: Random) -> Rule:
    """Drop, keep, rename, reorder or set fields and keep the notation."""
    names, kinds = schema(rng, 3, 6)
    form = NOTATIONS[rng.choice(list(NOTATIONS))][0]
    some, fresh = rng.choice(names), val.key(rng)
    kept = rng.sample(names, rng.randint(2, len(names)))
    edits: list[tuple[list[str], Callable[[Record], Record]]] = [
        ([f"Remove the field {some}", f"Delete {some}", f"Drop {some} and keep the rest", f"Leave out {some}"],
         lambda record: {name: value for name, value in record.items() if name != some}),
        ([f"Rename {some} to {fresh}", f"Call the field {some} {fresh} instead", f"Change the key {some} into {fresh}"],
         lambda record: {(fresh if name == some else name): value for name, value in record.items()}),
        ([f"Keep only {', '.join(kept)} in this order", f"Reorder the fields as {', '.join(kept)}",
            f"Select {', '.join(kept)}"],
         lambda record: {name: record[name] for name in kept}),
        (["Sort the fields by name", "Order the keys alphabetically"], lambda record: dict(sorted(record.items()))),
        (["Reverse the order of the fields", "Put the fields in reverse order"],
         lambda record: dict(reversed(record.items()))),
    ]  # fmt: skip
    wordings, change = rng.choice(edits)

    def draw(rng: Random) -> Pair:
        record = draw_record(rng, names, kinds)
        return form(record), form(change(record))

    return Rule(rng.choice(wordings), draw, examples_suffice=False)
