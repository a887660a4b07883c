"""The lanes of tool loops under way, so that one keeps its lane; bounded, in memory only.

A loop is known by what its users said up to its beginning, and by its session where the client names one: a client
that folds its history in the middle of a loop, so that it begins otherwise, is still known by its session.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

from registry.entities import Lane, TaskEnvelope
from router.chat import JsonObject
from router.chat_turns import asks, objects, spoken

CAPACITY = 8192
TTL_S = 3600.0


class Loops:
    """Remembers in which lane each tool loop is; the oldest go first, and all go after an hour without a turn."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY, ttl_s: float = TTL_S) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._held: OrderedDict[str, tuple[float, Lane]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def lane_of(self, keys: Sequence[str]) -> Lane | None:
        """Return the lane of a loop by the first of its keys that is known, None where it is not remembered."""
        self._forget_old()
        return next((self._held[key][1] for key in keys if key in self._held), None)

    def took(self, keys: Sequence[str], lane: Lane, *, began: bool) -> None:
        """Note the lane that a turn of a loop takes.

        Args:
            keys: of the loop; none where the turn is of no loop.
            lane: the lane.
            began: whether the turn began in it. A turn that went on to the cloud takes its loop along; one that fell
                back from the cloud, which failed this once, does not.

        """
        if lane is Lane.NO_OP or not (began or lane is Lane.CLOUD_ESCALATION):
            return
        for key in keys:
            self._held[key] = (self._monotonic(), lane)
            self._held.move_to_end(key)
        self._forget_old()

    def _forget_old(self) -> None:
        horizon = self._monotonic() - self._ttl_s
        while self._held and (len(self._held) > self._capacity or next(iter(self._held.values()))[0] <= horizon):
            self._held.popitem(last=False)


def keys_of_loop(chat: JsonObject, envelope: TaskEnvelope, client: str) -> tuple[str, ...]:
    """Return by what the loop that a masked request begins or goes on is remembered, best first; none without tools."""
    if not (envelope.has_tools or envelope.in_tool_loop):
        return ()
    session = (client, envelope.session or "")
    turns = objects(chat.get("messages"))
    # What users asked stays as it is, while tools prune old results, remind the model behind new ones, and change their
    # system text from turn to turn.
    said = [spoken(turns[place].get("content")) for place in asks(turns)]
    keys = [_key("opening", *session, *said)]
    return (*keys, _key("session", *session)) if envelope.session else tuple(keys)


def _key(*parts: str) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()
