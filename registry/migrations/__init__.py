"""The schema's versions, oldest first; `database` runs what is missing when a database is opened.

A new version is a module in `versions` and a name here; a test compares both with `tables`.
"""

from __future__ import annotations

from typing import Final

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD: Final = REVISIONS[-1]
