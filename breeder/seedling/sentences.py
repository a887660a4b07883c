"""Task families that read values out of a worded sentence: to a record, to named slots, to a query, to a command."""

from __future__ import annotations

from random import Random

from breeder.seedling import values as val
from breeder.seedling.records import NOTATIONS, Record
from breeder.seedling.rules import Pair, Rule

Domain = tuple[dict[str, str], list[str]]

DOMAINS: list[Domain] = [
    ({"guest": "name", "room": "integer", "date": "date", "city": "city"}, [
        "{guest} stays in room {room} in {city} from {date}.", "Room {room} in {city} is taken by {guest} on {date}.",
        "on {date} {guest} checks in at {city}, room {room}", "Booking: {guest}, {date}, {city}, number {room}",
        "Please keep room {room} free for {guest}, who comes to {city} on {date}."]),
    ({"sender": "first", "receiver": "first", "amount": "decimal", "ref": "code"}, [
        "{sender} sent {amount} to {receiver}, reference {ref}.", "{receiver} got {amount} from {sender} ({ref})",
        "Transfer {ref}: {amount} from {sender} to {receiver}",
        "reference {ref} says {sender} owes {receiver} {amount}",
        "With {ref}, {amount} went from {sender} over to {receiver}."]),
    ({"host": "host", "port": "integer", "user": "first", "status": "status"}, [
        "user {user} on {host} port {port} is {status}", "{host}:{port} reports {status} for {user}",
        "{user} logged in to {host} through port {port}, state {status}",
        "The {status} session of {user} runs on {host} at {port}",
        "On port {port} of {host}, {user} was marked {status}."]),
    ({"driver": "name", "plate": "code", "origin": "city", "destination": "city"}, [
        "{driver} drives {plate} from {origin} to {destination}.",
        "Vehicle {plate} left {origin} for {destination} with {driver}.",
        "to {destination} from {origin}: {plate}, driver {driver}", "{plate} ({driver}) goes {origin} - {destination}",
        "From {origin}, {driver} takes the {plate} to {destination}."]),
    ({"author": "name", "title": "title", "price": "decimal"}, [
        "{title} by {author} costs {price}.", "{author} wrote {title}, now at {price}",
        "For {price} you get {title} ({author}).",
        "The book {title}, author {author}, price {price}", "{price} is asked for {author}'s {title}"]),
    ({"event": "phrase", "venue": "city", "date": "date", "start": "clock"}, [
        "The {event} starts at {start} on {date} in {venue}.", "{venue} hosts the {event} on {date}, {start}",
        "on {date} at {start}: {event} in {venue}", "Come to {venue} for the {event}, {date} {start}.",
        "{event}, {venue}, {start}, {date}"]),
    ({"employee": "name", "department": "department", "city": "city", "level": "integer"}, [
        "{employee} joined {department} in {city} at level {level}.",
        "Level {level} {department} staff in {city}: {employee}",
        "In {city}, {employee} works for {department}, level {level}",
        "{department} hired {employee} ({city}, level {level})"]),
    ({"sensor": "code", "reading": "decimal", "unit": "noun", "time": "clock"}, [
        "sensor {sensor} read {reading} {unit} at {time}", "At {time} the value of {sensor} was {reading} {unit}.",
        "{time} {sensor} {reading} {unit}", "{reading} {unit} measured by {sensor} at {time}"]),
    ({"item": "product", "color": "color", "shop": "pseudo", "count": "integer"}, [
        "{shop} has {count} {item} in {color}.", "We saw {count} pieces of {item} ({color}) at {shop}",
        "at {shop}: {color} {item}, {count} left", "{count} x {item}, colour {color}, from {shop}"]),
    ({"file": "file", "path": "path", "owner": "first", "size": "integer"}, [
        "{owner} put {file} of {size} bytes under {path}", "{file} in {path} belongs to {owner}, {size} bytes",
        "The file {file} ({size} bytes, {owner}) was moved to {path}.",
        "{path} holds {file}; owner {owner}; size {size}"]),
    ({"patient": "name", "doctor": "name", "day": "date", "reason": "phrase"}, [
        "{patient} sees {doctor} on {day} about {reason}.", "On {day} {doctor} meets {patient}: {reason}",
        "Appointment for {patient} with {doctor}, {day}, {reason}",
        "{doctor} has {patient} on {day} because of {reason}"]),
    ({"team": "pseudo", "rival": "pseudo", "score": "integer", "city": "city"}, [
        "{team} beat {rival} in {city} with {score} points", "In {city}, {rival} lost to {team}; {score} points",
        "{score} points for {team} against {rival} at {city}", "{rival} against {team} in {city}: {team} got {score}"]),
]  # fmt: skip


def _free_sentence(rng: Random, names: list[str]) -> str:
    """A sentence shape over arbitrary field names, naming each field beside its value."""
    glue = rng.choice([", ", " and ", "; ", " with ", ", the "])
    pair = rng.choice(
        ["{n} {{{n}}}", "{n} is {{{n}}}", "{n} = {{{n}}}", "{{{n}}} as {n}", "{n} ({{{n}}})", "{n} of {{{n}}}"]
    )
    lead = rng.choice(["", "the ", "We have ", "There is a ", "Record with ", "Note: ", f"{val.noun(rng)}: "])
    return lead + glue.join(pair.format(n=name) for name in names) + rng.choice(["", "."])


def _domain(rng: Random) -> tuple[list[str], dict[str, val.Draw], list[str]]:
    if rng.random() < 0.35:
        names = val.keys(rng, rng.randint(2, 5))
        shapes = [_free_sentence(rng, rng.sample(names, len(names))) for _ in range(rng.randint(1, 3))]
        return names, {name: val.value_kind(rng, name) for name in names}, shapes
    kinds, shapes = rng.choice(DOMAINS)
    alias = {name: (val.key(rng) if rng.random() < 0.15 else name) for name in kinds}
    if len(set(alias.values())) < len(alias):
        alias = {name: name for name in kinds}
    renamed = [shape.format(**{name: "{" + alias[name] + "}" for name in kinds}) for shape in shapes]
    return list(alias.values()), {alias[name]: val.KINDS[kind] for name, kind in kinds.items()}, renamed


def _fill(rng: Random, kinds: dict[str, val.Draw], shape: str) -> tuple[str, Record]:
    record = {name: draw(rng).replace('"', "") for name, draw in kinds.items()}
    text = shape.format(**record)
    if rng.random() < 0.15:
        text = rng.choice(["fyi ", "Hi, ", "ok: ", "Update - ", "** "]) + text
    if rng.random() < 0.15:
        text += rng.choice([" Thanks!", " ok?", " (see above)", f" {val.sentence(rng)}", " !"])
    return text, record


def fields_to_record(rng: Random) -> Rule:
    """A sentence with values to a record with the listed keys."""
    names, kinds, shapes = _domain(rng)
    order = rng.sample(names, rng.randint(max(1, len(names) - 1), len(names)))
    if rng.random() < 0.4:
        order = sorted(order)
    write, words = NOTATIONS[
        rng.choice(["json", "compact", "json", "compact", "colon", "equal", "logfmt", "semicolon"])
    ]
    wording = rng.choice(["Extract {k} as {t}", "Read {k} from the text and write {t}", "Return {t} with the keys {k}",
                          "Find {k}; output {t}", "Which {k}? Use {t}", "Make {t} with {k}", "Get the {k} out, as {t}",
                          "Parse the sentence into {t}. Keys: {k}"])  # fmt: skip
    told = wording.format(k=", ".join(order), t=rng.choice(words))

    def draw(rng: Random) -> Pair:
        text, record = _fill(rng, kinds, rng.choice(shapes))
        return text, write({name: record[name] for name in order})

    return Rule(told, draw)


def slot(rng: Random) -> Rule:
    """One named value of a sentence."""
    names, kinds, shapes = _domain(rng)
    wanted = rng.choice(names)
    wording = rng.choice(
        ["What is the {k}?", "Give only the {k}", "Extract the {k}", "{k}?", "Name the {k} in the sentence"]
    )

    def draw(rng: Random) -> Pair:
        text, record = _fill(rng, kinds, rng.choice(shapes))
        return text, record[wanted]

    return Rule(wording.format(k=wanted), draw)


def optional_slots(rng: Random) -> Rule:
    """Slots that may be missing: an absent one is left out or written as a given word."""
    names, kinds, _ = _domain(rng)
    absent = rng.choice(["none", "null", "-", "n/a", "missing", ""])
    pair, glue = rng.choice(
        [("{n}: {v}", "\n"), ("{n}={v}", ";"), ("{n}={v}", " | "), ("[{n}: {v}]", " "), ("{v} ({n})", ", ")]
    )
    joined = ", ".join(names)
    told = rng.choice(["List the slots {k}", "Fill the slots {k}", "Slots: {k}"]).format(k=joined)
    told += f"; write {absent} for a missing one" if absent else "; leave out missing ones"
    told += f". Form: {pair.format(n='key', v='value')}"
    mention = rng.choice(["{n} {v}", "{n}: {v}", "{n} is {v}", "{v} for {n}", "the {n} {v}"])

    def draw(rng: Random) -> Pair:
        present = [name for name in names if rng.random() < 0.65] or [rng.choice(names)]
        record = {name: kinds[name](rng) for name in present}
        shuffled = rng.sample(present, len(present))
        text = rng.choice(["", "We need ", "ok, ", "Set "]) + ", ".join(
            mention.format(n=n, v=record[n]) for n in shuffled
        )
        listed = [name for name in names if name in record or absent]
        return text, glue.join(pair.format(n=name, v=record.get(name, absent)) for name in listed)

    return Rule(told, draw, examples_suffice=bool(absent))


_COMPARISONS = {
    "is": "=",
    "above": ">",
    "over": ">",
    "below": "<",
    "under": "<",
    "at least": ">=",
    "at most": "<=",
    "not": "!=",
}


def sql_query(rng: Random) -> Rule:
    """A worded question over named columns to a query."""
    table, columns = val.noun(rng) + "s", val.keys(rng, rng.randint(3, 5))
    asks = ["show {c} of {t} where {w} {o} {v}", "list {c} from {t} with {w} {o} {v}",
        "which {c} have {t} whose {w} {o} {v}",
            "get the {c} for {t}, {w} {o} {v}", "{c} of all {t} if {w} {o} {v}"]  # fmt: skip
    told = f"Write a query for table {table} with columns {', '.join(columns)}"
    lower = rng.random() < 0.2

    def draw(rng: Random) -> Pair:
        column, where = rng.sample(columns, 2)
        word, sign = rng.choice(list(_COMPARISONS.items()))
        number = rng.random() < 0.6 or sign not in {"=", "!="}
        value = val.integer(rng) if number else rng.choice([val.city, val.first_name, val.noun])(rng)
        text = rng.choice(asks).format(c=column, t=table, w=where, o=word, v=value)
        words = "select {c} from {t} where" if lower else "SELECT {c} FROM {t} WHERE"
        quoted = value if number else f"'{value}'"
        query = f"{words.format(c=column, t=table)} {where} {sign} {quoted}"
        if rng.random() < 0.3:
            limit = rng.randint(1, 50)
            text, query = f"{text}, first {limit} only", f"{query} {'limit' if lower else 'LIMIT'} {limit}"
        return text, query

    return Rule(told, draw)


_COMMANDS: list[tuple[list[str], str, dict[str, str]]] = [
    (["copy {a} to {b}", "make a copy of {a} in {b}", "put {a} also in {b}"], "cp {a} {b}", {"a": "file", "b": "path"}),
    (["move {a} into {b}", "relocate {a} to {b}"], "mv {a} {b}", {"a": "file", "b": "path"}),
    (["show the first {n} lines of {a}", "print the top {n} lines in {a}"], "head -n {n} {a}",
        {"a": "file", "n": "integer"}),
    (["show the last {n} lines of {a}", "print the end of {a}, {n} lines"], "tail -n {n} {a}",
        {"a": "file", "n": "integer"}),
    (["search {w} in {a}", "find lines with {w} in {a}"], "grep {w} {a}", {"a": "file", "w": "noun"}),
    (["count the lines of {a}", "how many lines has {a}"], "wc -l {a}", {"a": "file"}),
    (["list the files in {b}", "what is inside {b}"], "ls {b}", {"b": "path"}),
    (["create the folder {b}", "make a directory {b}"], "mkdir -p {b}", {"b": "path"}),
    (["delete {a}", "remove the file {a}"], "rm {a}", {"a": "file"}),
    (["find files named {a} under {b}", "look below {b} for {a}"], 'find {b} -name "{a}"', {"a": "file", "b": "path"}),
    (["files in {b} larger than {n} megabytes", "find what is over {n} MB in {b}"], "find {b} -size +{n}M",
        {"b": "path", "n": "integer"}),
    (["files in {b} changed within {n} days"], "find {b} -mtime -{n}", {"b": "path", "n": "integer"}),
    (["sort {a} by column {n}"], "sort -k {n} {a}", {"a": "file", "n": "integer"}),
    (["replace {w} by {x} in {a}", "change {w} into {x} in the file {a}"], "sed -i 's/{w}/{x}/g' {a}",
        {"a": "file", "w": "noun", "x": "noun"}),
    (["give {u} ownership of {a}", "make {u} the owner of {a}"], "chown {u} {a}", {"a": "file", "u": "pseudo"}),
    (["restart {w} on {h}", "bounce {w} at {h}"], "ssh {h} restart {w}", {"w": "noun", "h": "host"}),
    (["pack {b} into {a}", "make an archive {a} of {b}"], "tar -czf {a} {b}", {"a": "file", "b": "path"}),
    (["ping {h} {n} times"], "ping -c {n} {h}", {"h": "host", "n": "integer"}),
]  # fmt: skip


def command(rng: Random) -> Rule:
    """A worded request to a shell command."""
    told = rng.choice(
        ["Write the shell command", "Give the command", "Which bash command does this?", "Translate to a command"]
    )

    def draw(rng: Random) -> Pair:
        asks, shape, kinds = rng.choice(_COMMANDS)
        filled = {name: val.KINDS[kind](rng) for name, kind in kinds.items()}
        return rng.choice(asks).format(**filled), shape.format(**filled)

    return Rule(told, draw, examples_suffice=False)
