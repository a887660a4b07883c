"""`redact`: what would leave the machine."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from registry.errors import ConfigError, DataError
from router.cli.frame import home_of, read_text, say, say_json, settings_of

if TYPE_CHECKING:
    from registry.settings import RedactionSettings
    from router.redaction.redactor import RuleRedactor

_SLOW_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(redact)


def redact(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A text file, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="List spans and placeholders: start, end, type.")] = False,
    jsonl: Annotated[bool, typer.Option(help='Map lines {"text"} to {"text","spans"}.')] = False,
) -> None:
    """Show a text as it would leave the machine; values are never printed."""
    if as_json and jsonl:
        raise ConfigError("give one of --json and --jsonl: the first lists spans, the second maps lines")
    text, settings = read_text(source), settings_of(home_of(context)).redaction
    with told_when_slow("loading the detectors that [redaction] names …"):
        redactor = redactor_here(settings)
    if jsonl:
        for line in masked_lines(text.splitlines(), redactor):
            say(line)
    elif as_json:
        say_json(
            {"text": masked(text, redactor), "spans": spans(text, redactor), "placeholders": placed(text, redactor)}
        )
    else:
        sys.stdout.write(masked(text, redactor))


def redactor_here(settings: RedactionSettings) -> RuleRedactor:
    """Return the redactor of settings, with all detectors in this process."""
    from router.redaction.redactor import redactor_of

    if settings.presidio and settings.ner_model is not None:
        with suppress(ImportError):
            # It looks for torch once, when it is imported, and Presidio is imported where torch cannot be found.
            import spacy  # noqa: F401
    return redactor_of(settings)


@contextmanager
def told_when_slow(line: str, after_s: float = _SLOW_S) -> Iterator[None]:
    """Say on a terminal what takes long, once it does."""
    timer = threading.Timer(after_s, sys.stderr.write, (f"{line}\n",))
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def masked(text: str, redactor: RuleRedactor) -> str:
    """Return a text with its findings replaced."""
    return str(redactor.redact({"text": text}).body["text"])


def spans(text: str, redactor: RuleRedactor) -> list[dict[str, str | int]]:
    """Return the findings of a text, offsets in the text as given."""
    from router.redaction.redactor import spans_of

    found = spans_of(text, redactor.detectors)
    return [{"start": start, "end": end, "type": kind, "detector": name} for start, end, kind, name in found]


def placed(text: str, redactor: RuleRedactor) -> list[dict[str, str | int]]:
    """Return what stands for which characters of a text as given; a finding is masked up to the ends of its words."""
    return [
        {"start": one.start, "end": one.end, "type": one.type, "placeholder": one.placeholder}
        for one in redactor.redact({"text": text}).masker.places({"text": text})
    ]


def masked_lines(lines: Iterable[str], redactor: RuleRedactor) -> Iterator[str]:
    """Map JSON lines with a text to lines with the masked text and its spans in the text as given.

    Raises:
        DataError: a line is no JSON object with a text.

    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        text = _text_of(line, number)
        found = [[span["start"], span["end"], span["type"]] for span in spans(text, redactor)]
        yield json.dumps({"text": masked(text, redactor), "spans": found}, ensure_ascii=False)


def _text_of(line: str, number: int) -> str:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"line {number} is not JSON: {error.msg}; write one object with 'text' on each line") from error
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise DataError(f"line {number} has no 'text'; write one object with 'text' on each line")
    return text
