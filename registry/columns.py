"""How values become columns: times as UTC text of fixed width, which sorts; JSON as canonical text.

Columns hold only text, integers and floats, so that a digest over a row means the same on every database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import orjson

Scalar: TypeAlias = str | int | float | None


def utc_text(at: datetime) -> str:
    """Return an aware time as `2026-11-21T11:50:30.123456Z`.

    Raises:
        ValueError: the time is naive, so it could mean any instant.
    """
    if at.tzinfo is None:
        raise ValueError(f"time {at} has no zone; pass an aware time")
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def utc_time(text: str) -> datetime:
    """Return the aware time that `utc_text` wrote."""
    return datetime.fromisoformat(text)


def canonical_json(value: object) -> str:
    """Return JSON without spaces and with sorted keys; dataclasses, enums and times are welcome.

    Raises:
        TypeError: the value holds something that JSON cannot, such as a lone surrogate or an integer over 64 bits.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z).decode()


def parse_json(text: str) -> Any:
    """Return the value of JSON text that `canonical_json` wrote; what it is, the column says."""
    return orjson.loads(text)
