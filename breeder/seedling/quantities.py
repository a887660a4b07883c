"""Task families on dates, times, durations, units, money and spelled numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from breeder.seedling import lexicon as lex
from breeder.seedling import values as val
from breeder.seedling.rules import Pair, Rule


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day and the two ways its month is written."""

    year: int
    month: int
    day: int

    @property
    def name(self) -> str:
        """The month in full."""
        return lex.MONTHS[self.month - 1]

    @property
    def short(self) -> str:
        """The month in three letters."""
        return self.name[:3]


def _ordinal(day: int) -> str:
    ending = "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


_WRITE: dict[str, Callable[[Day], str]] = {
    "YYYY-MM-DD": lambda d: f"{d.year}-{d.month:02d}-{d.day:02d}",
    "DD.MM.YYYY": lambda d: f"{d.day:02d}.{d.month:02d}.{d.year}",
    "MM/DD/YYYY": lambda d: f"{d.month:02d}/{d.day:02d}/{d.year}",
    "YYYYMMDD": lambda d: f"{d.year}{d.month:02d}{d.day:02d}",
    "D Month YYYY": lambda d: f"{d.day} {d.name} {d.year}", "Mon D, YYYY": lambda d: f"{d.short} {d.day}, {d.year}",
    "YYYY/MM/DD": lambda d: f"{d.year}/{d.month:02d}/{d.day:02d}",
    "DD-MON-YY": lambda d: f"{d.day:02d}-{d.short.upper()}-{d.year % 100:02d}",
}  # fmt: skip
_READ: list[Callable[[Day], str]] = [
    lambda d: f"{d.name} {d.day}, {d.year}", lambda d: f"{d.day} {d.name} {d.year}",
    lambda d: f"{d.short} {d.day} {d.year}",
    lambda d: f"{_ordinal(d.day)} of {d.name} {d.year}", lambda d: f"{d.name} {_ordinal(d.day)}, {d.year}",
    lambda d: f"{d.day}-{d.short}-{d.year}", lambda d: f"{d.year} {d.name} {d.day}",
    lambda d: f"{d.day:02d} {d.short} {d.year}",
    lambda d: f"{d.day}. {d.name} {d.year}", lambda d: f"{d.year}, {d.short} {d.day}",
    lambda d: f"{d.short}. {_ordinal(d.day)} {d.year}",
    lambda d: f"{d.name.upper()} {d.day} {d.year}", lambda d: f"the {_ordinal(d.day)} of {d.short} {d.year}",
    lambda d: f"{d.day} {d.name.lower()} {d.year}",
]  # fmt: skip


def draw_day(rng: Random) -> Day:
    """A day that exists in every month."""
    return Day(rng.randint(1970, 2049), rng.randint(1, 12), rng.randint(1, 28))


def date_form(rng: Random) -> Rule:
    """A date in any wording to a named form, ISO most of the time."""
    target = "YYYY-MM-DD" if rng.random() < 0.55 else rng.choice(list(_WRITE))
    iso = (
        ["Write the date in ISO form", "ISO date", "Normalise the date to YYYY-MM-DD"] if target == "YYYY-MM-DD" else []
    )
    told = rng.choice(
        [f"Write the date as {target}", f"Convert the date to {target}", f"Date in the form {target}", *iso]
    )
    noise = rng.random() < 0.3
    numeric = rng.choice([name for name in _WRITE if name != target])
    forms = [_WRITE[numeric]] if rng.random() < 0.25 else _READ

    def draw(rng: Random) -> Pair:
        day = draw_day(rng)
        text = rng.choice(forms)(day)
        if noise:
            text = rng.choice(["{n} on {d}", "{d}: {n}", "the {n} of {d}", "{n} ({d})", "due {d} for {n}"]).format(
                n=val.noun(rng), d=text
            )
        return text, _WRITE[target](day)

    return Rule(told, draw)


def clock_form(rng: Random) -> Rule:
    """Twelve-hour to twenty-four-hour clock and back."""
    back = rng.random() < 0.35
    told = rng.choice(
        ["Write the time with am or pm", "12-hour clock"]
        if back
        else ["Write the time as HH:MM", "24-hour clock", "Normalise the time to 24 hours"]
    )

    def draw(rng: Random) -> Pair:
        hour, minute = rng.randint(0, 23), rng.choice([0, rng.randint(0, 59)])
        half, twelve = ("am", "pm")[hour >= 12], hour % 12 or 12
        plain = f"{hour:02d}:{minute:02d}"
        if back:
            return plain, f"{twelve}:{minute:02d} {half}"
        forms = [
            f"{twelve}:{minute:02d} {half}",
            f"{twelve}:{minute:02d}{half.upper()}",
            f"{twelve}.{minute:02d} {half}",
            f"{hour}h{minute:02d}",
        ]
        if minute == 0:
            forms += [f"{twelve} {half}", f"{twelve}{half}", f"{hour} o'clock sharp"]
        return rng.choice(forms), plain

    return Rule(told, draw)


def duration_form(rng: Random) -> Rule:
    """Hours, minutes and seconds in words to one of several notations."""
    target = rng.choice(["HH:MM:SS", "PTxHxMxS", "xh ym zs"])
    told = rng.choice(["Write the duration as {t}", "Duration in the form {t}"]).format(t=target)

    def draw(rng: Random) -> Pair:
        h, m, s = rng.randint(1, 23), rng.randint(1, 59), rng.randint(1, 59)
        forms = [f"{h} hours {m} minutes {s} seconds", f"{h} h, {m} min, {s} s", f"{h}h{m}m{s}s",
            f"{h} hours, {m} minutes and {s} seconds",
                 f"{m} minutes and {s} seconds past {h} hours"]  # fmt: skip
        out = {"HH:MM:SS": f"{h:02d}:{m:02d}:{s:02d}", "PTxHxMxS": f"PT{h}H{m}M{s}S", "xh ym zs": f"{h}h {m}m {s}s"}
        return rng.choice(forms), out[target]

    return Rule(told, draw)


def unit_form(rng: Random) -> Rule:
    """Long unit names to short ones or back, with the number kept."""
    long = rng.random() < 0.5
    told = (
        rng.choice(["Write the unit in full", "Spell out the unit"])
        if long
        else rng.choice(["Use the unit symbol", "Abbreviate the unit"])
    )

    def draw(rng: Random) -> Pair:
        symbol, name = rng.choice(list(lex.UNITS.items()))
        number = rng.choice([val.integer, val.decimal])(rng)
        frame = rng.choice(["{}", "{}", f"{val.noun(rng)} of {{}}", f"{{}} per {val.noun(rng)}"])
        short, full = f"{number} {symbol}", f"{number} {name}"
        return (
            (frame.format(short), frame.format(full))
            if long
            else (frame.format(rng.choice([full, full.title()])), frame.format(short))
        )

    return Rule(told, draw)


def money_form(rng: Random) -> Rule:
    """Amounts of money to one notation."""
    target = rng.choice(["12.50 USD", "USD 12.50", "$12.50"])
    told = f"Write the amount like {target}"

    def draw(rng: Random) -> Pair:
        code, sign = rng.choice(list(lex.CURRENCIES.items()))
        amount = val.digits(rng, 1, 4) + f".{rng.randint(0, 99):02d}"
        grouped = f"{float(amount):,.2f}"
        form = rng.choice(["{s}{a}", "{a} {c}", "{c} {a}", "{a} {l}", "{s}{g}", "{g} {c}", "{a}{s}"])
        text = form.format(s=sign, a=amount, c=code, l=code.lower(), g=grouped)
        out = {"12.50 USD": f"{amount} {code}", "USD 12.50": f"{code} {amount}", "$12.50": f"{sign}{amount}"}
        return text, out[target]

    return Rule(told, draw)


_ONES = lex.words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
    """
)
_TENS = lex.words("twenty thirty forty fifty sixty seventy eighty ninety")


def spell(number: int) -> str:
    """English words for 0 to 999."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, one = _TENS[number // 10 - 2], number % 10
        return f"{tens}-{_ONES[one]}" if one else tens
    rest = number % 100
    return f"{_ONES[number // 100]} hundred" + (f" and {spell(rest)}" if rest else "")


def spelled_number(rng: Random) -> Rule:
    """A number in words to digits, or back."""
    back = rng.random() < 0.4
    told = (
        rng.choice(["Write the number in words", "Spell the number"])
        if back
        else rng.choice(["Write the number in digits", "Use digits"])
    )
    frame = rng.choice(["{}", "{}", "{} {n}s", "we need {} of them", "{n} number {}"])

    def draw(rng: Random) -> Pair:
        number, word = rng.randint(0, 999 if rng.random() < 0.5 else 99), val.noun(rng)
        words, plain = frame.format(spell(number), n=word), frame.format(number, n=word)
        return (plain, words) if back else (words, plain)

    return Rule(told, draw)
