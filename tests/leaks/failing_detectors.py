"""Detectors that die, hang or lie; those of the second half run in children."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry.errors import ConfigError
from router.redaction.spans import Span


class Saying:
    """Says the same of every text that has the mark, whatever it is."""

    def __init__(self, *said: Any) -> None:
        self.said = said

    def find(self, text: str) -> Any:
        return self.said if "mark" in text else ()


class Raising:
    """Raises at every text that has the mark, perhaps after a finding."""

    def __init__(self, error: BaseException, after: int = 0) -> None:
        self.error = error
        self.after = after

    def find(self, text: str) -> Iterator[Span]:
        if "mark" not in text:
            return
        for place in range(self.after):
            yield Span(place, place + 1, "SECRET", "x")
        raise self.error


class Endless:
    """Counts its calls by the length of a file, and then never answers."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def find(self, text: str) -> list[Span]:
        with self._file.open("a") as calls:
            calls.write("x")
        while True:
            time.sleep(60)


class SlowToMake:
    """Takes as long to make as a file is missing; says where, by its process, it was made."""

    def __init__(self, file: str) -> None:
        while not Path(file).exists():
            time.sleep(0.01)

    def find(self, text: str) -> list[Span]:
        return [Span(0, os.getpid(), "PIINAME", "slow")]


class Mortal:
    """Ends its process at a text with the mark."""

    def find(self, text: str) -> list[Span]:
        if "mark" in text:
            os._exit(1)
        return []


class Outside:
    """Finds one word, and has the credentials of its process to tell of."""

    def find(self, text: str) -> list[Span]:
        start = text.find("Rumpelstiltskin")
        if "mark" in text:
            raise ValueError(text)
        return [Span(start, start + 15, "PIINAME", "outside")] if start >= 0 else []


class KeyFinder:
    """Finds something where its process knows a credential."""

    def find(self, text: str) -> list[Span]:
        return [Span(0, 1, "SECRET", "x")] if "TEST_VENDOR_KEY" in os.environ else []


class Unusable:
    """Cannot be made of what the settings say."""

    def __init__(self, folder: str) -> None:
        raise ConfigError(f"no such folder: {folder}")
