"""The ledger: insert-only events per interaction, durable when `append` returns, chained by hash for each writer."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from registry.chain import GENESIS, Link, content_digest, facts_digest
from registry.columns import Scalar
from registry.database import Database
from registry.entities import Event, Intent, Interaction, Lane, Outcome, Purpose, Status
from registry.errors import ConflictError, LedgerError
from registry.ids import NewId
from registry.ledger_check import ChainReport, check_chain
from registry.ledger_reading import Filter, count, read_one, read_open, read_pages, unknown
from registry.ledger_rows import EventKind, EventRow, encode
from registry.processes import ProcessMark, this_process
from registry.tables import contents, events, evidence, feedback, intents, outcomes, writers

FACTS = {
    EventKind.INTENT: intents,
    EventKind.OUTCOME: outcomes,
    EventKind.FEEDBACK: feedback,
    EventKind.EVIDENCE: evidence,
}
