"""Remembers the conversations of which a client said that they must stay, for as long as they may go on.

What a request itself shows of its class it shows again whenever its history is sent. What was only said of it, in a
hint, would be forgotten by a next turn that does not say it again, and leave with that turn's history.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator

from router.chat import JsonObject
from router.chat_turns import objects, spoken

CAPACITY = 8192
TTL_S = 24 * 3600.0


class ToldClasses:
    """Conversations as digests, in memory only; the oldest go first, and all go after a day without a turn."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY, ttl_s: float = TTL_S) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._held: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def tell(self, client: str, chat: JsonObject, data_class: str) -> None:
        """Note the class that a client gives a conversation."""
        digests = list(_digests(client, chat))
        if digests:
            self._hold(digests[-1], data_class)

    def recall(self, client: str, chat: JsonObject, local_only: Collection[str]) -> str | None:
        """Return a local-only class that was given to the conversation that a request goes on with, None without one.

        Its turns may have been given several, of which a changed policy may let some leave by now.
        """
        self._forget_old()
        if not self._held:
            return None
        known = [digest for digest in _digests(client, chat) if digest in self._held]
        classes = [self._held[digest][1] for digest in known]
        for digest, data_class in zip(known, classes, strict=True):
            self._hold(digest, data_class)
        return next((one for one in classes if one in local_only), None)

    def _hold(self, digest: bytes, data_class: str) -> None:
        self._held[digest] = (self._monotonic(), data_class)
        self._held.move_to_end(digest)
        self._forget_old()

    def _forget_old(self) -> None:
        horizon = self._monotonic() - self._ttl_s
        while self._held and (len(self._held) > self._capacity or next(iter(self._held.values()))[0] <= horizon):
            self._held.popitem(last=False)


def _digests(client: str, chat: JsonObject) -> Iterator[bytes]:
    """Yield a digest of what users and tools said up to each of their turns; models' answers may be left out."""
    state = hashlib.blake2b(client.encode(errors="replace"), digest_size=16)
    for turn in objects(chat.get("messages")):
        text = spoken(turn.get("content")) if turn.get("role") in ("user", "tool", "function") else ""
        if text:
            said = text.encode("utf-8", "surrogatepass")
            state.update(len(said).to_bytes(8, "little") + said)
            yield state.digest()
