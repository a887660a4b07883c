"""Keep any one client, session or template from making a dataset its own: what is over a cap is left out and counted.

Pure. Of what is over, the rows that nobody judged go first, then the oldest.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from breeder.mining import Row
from breeder.recipe import DataPart
from registry.tokens import LOCAL_CLIENT

_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")


def capped(rows: Sequence[Row], plan: DataPart) -> tuple[list[Row], Mapping[str, int]]:
    """Return the rows that are within a recipe's caps, in their order, and how many are over which."""
    dropped: Counter[str] = Counter()
    kept, dropped["over the cap of prompts that are alike"] = _within(rows, alike, plan.maximum_alike)
    if len({row.session for row in kept if row.session}) > 1:
        limit = max(1, int(plan.maximum_session_share * len(kept)))
        kept, dropped["over the cap of one session"] = _within(kept, _session, limit)
    if len({row.client for row in kept}) > 1:
        limit = max(1, int(plan.maximum_client_share * len(kept)))
        kept, dropped["over the cap of one client"] = _within(kept, _client, limit)
    return kept, {reason: count for reason, count in dropped.items() if count}


def alike(row: Row) -> str:
    """Return what prompts have in common that differ in letter case, white space and characters nobody sees alone."""
    return " ".join(_UNSEEN.sub("", f"{row.prompt.system}\n{row.prompt.user}").casefold().split())


def _session(row: Row) -> str:
    """Return its session; a row of none is one by itself."""
    return f"session {row.session}" if row.session else row.interaction_id


def _client(row: Row) -> str:
    """Return its client; the user's own rows, of no client with a token, are never too many."""
    return row.interaction_id if row.client == LOCAL_CLIENT else f"client {row.client}"


def _within(rows: Sequence[Row], key: Callable[[Row], str], limit: int) -> tuple[list[Row], int]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    kept: set[str] = set()
    for group in groups.values():
        best = sorted(group, key=lambda row: (row.judged, row.place), reverse=True)
        kept |= {row.interaction_id for row in best[:limit]}
    return [row for row in rows if row.interaction_id in kept], len(rows) - len(kept)
