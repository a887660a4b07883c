"""The daemon's log: one line an event, as text or as JSON, on a stream that nobody has to read fast.

No line holds what a prompt or an answer said. An exception is its type and place, since its message may quote either;
of other people's loggers only name and place are told. Lines go to a thread of their own through a bounded queue:
whoever reads the log slowly loses lines, which are counted, and holds up no request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from traceback import format_tb, walk_tb
from typing import TextIO

from typing_extensions import override

from registry.errors import LedgerError
from router.tracing import traced_interaction

OURS = "modelbreeder"
FACTS = "facts"
"""The attribute of a log record that holds a mapping of further fields; none of them may quote a request."""
_QUEUED_LINES = 4096
_FLUSH_S = 2.0
_FRAMES = 6
_CAUSES = 4
_SERVER = "uvicorn.error"
_CUT_OFF = "ASGI callable returned without completing response."
_KNOWN = {
    "Cancel %s running task(s), timeout graceful shutdown exceeded": "the time to drain is over: %s requests cut off",
}
"""What the server says that holds nothing of a request, in our words."""
_log = logging.getLogger(f"{OURS}.router")


class LineFormatter(logging.Formatter):
    """A record as one line: text, or a JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    @override
    def format(self, record: logging.LogRecord) -> str:
        entry = _entry(record)
        return json.dumps(entry, ensure_ascii=False) if self._as_json else _text(entry)


class LineHandler(logging.Handler):
    """Writes lines from a thread of its own; closing it writes what is queued, unless the stream is stuck."""

    def __init__(self, stream: TextIO, *, as_json: bool, room: int = _QUEUED_LINES) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(as_json=as_json))
        self._stream = stream
        self._room = room
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= self._room:
            self._dropped += 1
            return
        try:
            self._lines.put(self.format(record))
        except (TypeError, ValueError):
            self.handleError(record)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Count a record that is no line; logging's own way would print its message and arguments."""
        self._dropped += 1

    @override
    def close(self) -> None:
        self._lines.put(None)
        self._thread.join(_FLUSH_S)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):
                self._stream.write(f"{line}\n")
                self._stream.flush()
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                _log.warning("%d lines of the log were dropped; they came faster than they were read", dropped)


@contextmanager
def logging_to(stream: TextIO, *, as_json: bool) -> Iterator[None]:
    """Let all loggers of the process write lines to a stream; what stood before is put back."""
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    handlers, level, hooks = root.handlers[:], ours.level, (threading.excepthook, sys.unraisablehook)
    handler = LineHandler(stream, as_json=as_json)
    handler.addFilter(_is_news)
    root.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    threading.excepthook, sys.unraisablehook = _log_thread_death, _log_unraisable
    try:
        yield
    finally:
        handler.close()
        root.handlers[:] = handlers
        ours.setLevel(level)
        threading.excepthook, sys.unraisablehook = hooks


def _is_news(record: logging.LogRecord) -> bool:
    """Say whether a record is worth a line; that a request was cut off, or a stream broke, its own line tells."""
    if record.name != _SERVER:
        return True
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != _CUT_OFF


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    _log.error("a thread died", exc_info=death.exc_value)


def _log_unraisable(found: sys.UnraisableHookArgs) -> None:
    _log.error("an exception could not be raised", exc_info=found.exc_value)


def _entry(record: logging.LogRecord) -> dict[str, object]:
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    entry: dict[str, object] = {"at": at, "level": record.levelname.lower(), "event": _said(record)}
    interaction = traced_interaction()
    if interaction:
        entry["interaction"] = interaction
    entry.update(getattr(record, FACTS, {}))
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        entry |= {"error": _types(error), "where": _places(error)}
    return entry


def _said(record: logging.LogRecord) -> str:
    """Return what a record of ours says, without the words of exceptions; of another's, where it was made."""
    if record.name == _SERVER and record.msg in _KNOWN:
        return str(_KNOWN[record.msg] % record.args)
    if record.name.partition(".")[0] != OURS:
        return f"{record.name} at {record.filename}:{record.lineno}"
    given = record.args
    if isinstance(given, Mapping):
        return str(record.msg) % {key: _shown(value) for key, value in given.items()}
    return str(record.msg) % tuple(_shown(value) for value in given) if given else str(record.msg)


def _shown(value: object) -> object:
    """Return an argument as a line may hold it; why the ledger failed is the database's own words."""
    quotes_nothing = not isinstance(value, BaseException) or isinstance(value, LedgerError)
    return value if quotes_nothing else type(value).__name__


def bug_text(error: BaseException) -> str:
    """Return where an exception was raised and what it and its causes are, not what they say, on several lines."""
    return "".join(format_tb(error.__traceback__)) + _types(error)


def _types(error: BaseException) -> str:
    found: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(found) < _CAUSES:
        found.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return " from ".join(found)


def _places(error: BaseException) -> str:
    frames = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    return ", ".join(f"{Path(code.co_filename).name}:{line} {code.co_name}" for code, line in frames[-_FRAMES:])


def _text(entry: Mapping[str, object]) -> str:
    at, level, event, *rest = entry.items()
    line = f"{at[1]} {level[1]:7} {event[1]}" + "".join(f" {key}={value}" for key, value in rest)
    # A line break or an escape sequence of a path that a client sent must not look like a line of ours.
    return line if line.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in line)
