"""Statements that are compiled once and run on the driver's own cursor.

SQLAlchemy's way through a compiled statement costs 0.1 ms, more than SQLite needs for it; every request waits for
several. Its types convert nothing here: columns are text, integers and floats (see `tables`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Dialect, Insert, Update
from sqlalchemy.exc import DBAPIError

from registry.columns import Scalar


class Prepared:
    """An insert or update whose every parameter is given by name."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def run(self, connection: Connection, rows: Sequence[dict[str, Scalar]]) -> int:
        """Run it for each row, in the connection's transaction; return how many rows it touched.

        Raises:
            DBAPIError: as SQLAlchemy raises it.
        """
        dialect = connection.dialect
        sql, places = self._compiled.get(dialect.name) or self._compile(dialect)
        given = rows if places is None else [[row[name] for name in places] for row in rows]
        cursor = connection.connection.cursor()
        try:
            if len(given) == 1:
                cursor.execute(sql, given[0])
            else:
                cursor.executemany(sql, given)
            return int(cursor.rowcount)
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True) from error
        finally:
            cursor.close()

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...] | None]:
        compiled = self._statement.compile(dialect=dialect)
        # By position for SQLite's driver, by name for PostgreSQL's.
        places = getattr(compiled, "positiontup", None)
        found = self._compiled[dialect.name] = str(compiled), None if places is None else tuple(places)
        return found
