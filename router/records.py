"""One interaction as a JSON file, complete or not there at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import orjson

from registry.ledger import Ledger


def export_record(ledger: Ledger, interaction_id: str, folder: Path) -> Path:
    """Write an interaction, masked as the ledger has it, to `folder/ID.json`, and return that file."""
    content = orjson.dumps(ledger.interaction(interaction_id), option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)
    file = folder / f"{interaction_id}.json"
    descriptor, temporary = tempfile.mkstemp(prefix=".record-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as partial:
            partial.write(content)
            partial.flush()
            os.fsync(partial.fileno())
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return file
