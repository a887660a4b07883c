"""How often the same thing was asked before, told from the requests themselves; no text is kept.

Two signs count. In one request: the user's last ask stands there directly before it too, word for word. Over requests:
the same conversation, up to and with its last ask, was answered before, and is sent again for another answer.

A batch asks the same as well, and that is no sign of bad answers. What is sent again therefore counts only in a
session: one that the client names, or a conversation that grew here, of which a shorter form was answered before. So
identical single turns of no session never count, nor do prompts that begin with examples, nor without a named session
what asks for temperature 0, where another answer is not to be had. A tool loop that goes on, a longer conversation, a
failed answer, and what an SDK sends again by itself are no new ask.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from router.chat import JsonObject
from router.chat_turns import asks, calls, objects, spoken

CAPACITY = 8192
TTL_S = 3600.0
_SHORTEST_ASK = 16
"""Characters below which an ask in a conversation is a word such as `continue`, which may well come twice."""
_SESSION_HEADERS = ("x-session-id", "session_id", "session-id", "conversation_id", "x-claude-code-session-id")
"""Where agents name their session: Codex, Claude Code and others."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CLAUDE_SESSION = re.compile(rf"session(?:_id)?[_\"': ]{{1,6}}({_UUID.pattern})")
_LONGEST_NORMAL = 8192
_PUNCTUATION = " \t\n.!?…,;:"


@dataclass(frozen=True, slots=True)
class Ask:
    """Keyed digests of a conversation up to its last ask, and up to the ask before; none of an empty conversation."""

    last: bytes | None = None
    before: bytes | None = None
    named: bool = False
    """Whether the client names its session."""
    repeated: int = 0
    """How often the last ask stands directly before itself."""
    opens: bool = False
    """Whether the request ends with it; else the model is in the middle of its answer."""
    resent: bool = False
    """Whether the client's SDK sends it again by itself."""
    certain: bool = False
    """Whether the client asks for temperature 0."""


NO_ASK = Ask()


class AskedAgain:
    """The asks of the last hour that were answered, as digests under a key of this process alone."""

    def __init__(
        self, monotonic: Callable[[], float], key: bytes, capacity: int = CAPACITY, ttl_s: float = TTL_S
    ) -> None:
        """Take a clock in seconds and a secret of up to 64 bytes."""
        self._monotonic = monotonic
        self._key = key
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._answers: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def ask_of(
        self, chat: JsonObject, client: str, session: str, headers: Mapping[str, str], payloads: Iterable[str] = ()
    ) -> Ask:
        """Return what a request asks.

        Args:
            chat: the masked request in the chat form.
            client: who asks.
            session: the client's name of the session, empty where it gives none.
            headers: the client's headers, names in lower case.
            payloads: what was set aside of it, as in pictures: the same words about another picture are another ask.

        """
        turns = objects(chat.get("messages"))
        places = list(asks(turns))
        if not places:
            return NO_ASK
        last = normal(spoken(turns[places[-1]].get("content")))
        earlier = (normal(spoken(turns[place].get("content"))) for place in reversed(places[:-1]))
        seen = "".join(hashlib.blake2b(payload.encode()).hexdigest() for payload in payloads)
        who = f"{client}\n{session or headers.get('user-agent', '')}\n{len(objects(chat.get('tools')))} tools\n{seen}"
        before, whole = self._digests(turns, who, places[-2:])
        return Ask(
            last=whole,
            before=before,
            # A word alone, such as `quota`, is how clients look whether anybody is there.
            named=bool(session) and (before is not None or len(last) >= _SHORTEST_ASK),
            repeated=sum(1 for _ in takewhile(last.__eq__, earlier)) if len(last) >= _SHORTEST_ASK else 0,
            opens=not any(_goes_on(turn) for turn in turns[places[-1] + 1 :]),
            resent=headers.get("x-stainless-retry-count", "0") != "0",
            certain=chat.get("temperature") == 0,
        )

    def count(self, ask: Ask) -> int:
        """Return how often the same was asked before and answered."""
        if ask.last is None:
            return 0
        grew = ask.before is not None and self._seen(ask.before) > 0
        counts = ask.named or (grew and not ask.certain)
        answered = self._seen(ask.last) if counts else 0
        # The answer that a step of a tool loop, or an SDK's second try, belongs to is not one before it.
        return max(ask.repeated, answered - (ask.resent or not ask.opens), 0)

    def answered(self, ask: Ask) -> None:
        """Note that an ask has got its answer, or the first step of one."""
        if ask.last is not None and ask.opens and not ask.resent:
            self._answers[ask.last] = (self._monotonic(), self._seen(ask.last) + 1)
            self._answers.move_to_end(ask.last)
            self._forget_old()

    def _seen(self, digest: bytes) -> int:
        self._forget_old()
        return self._answers.get(digest, (0.0, 0))[1]

    def _forget_old(self) -> None:
        horizon = self._monotonic() - self._ttl_s
        answers = self._answers
        while answers and (len(answers) > self._capacity or next(iter(answers.values()))[0] <= horizon):
            answers.popitem(last=False)

    def _digests(self, turns: Sequence[JsonObject], who: str, places: Sequence[int]) -> tuple[bytes | None, bytes]:
        """Return a digest of who says what up to each of one or two asks, None for the first where there is one.

        System texts are left out, as agents write the time into them.
        """
        state = hashlib.blake2b(who.encode(errors="replace"), key=self._key, digest_size=16)
        digests: list[bytes] = []
        for place, turn in enumerate(turns[: places[-1] + 1]):
            role, said = turn.get("role"), spoken(turn.get("content"))
            if place in places:
                asked = state.copy()
                asked.update(f"\x00{role}\x01{normal(said)}".encode(errors="replace"))
                digests.append(asked.digest())
            if role not in ("system", "developer"):
                called = "".join(f"\x02{call.name}" for call in calls(turn)) if role == "assistant" else ""
                state.update(f"\x00{role}\x01{said}{called}".encode(errors="replace"))
        return (digests[0] if len(digests) > 1 else None), digests[-1]


def session_of(body: JsonObject, hint: str | None, headers: Mapping[str, str]) -> str:
    """Return the name of a request's session, empty where nothing names one.

    Args:
        body: the request in its own dialect; Claude Code writes its session behind the user's id, Codex takes it as
            the key of the prompt cache, where others write the name of their application.
        hint: our own hint.
        headers: the client's headers, names in lower case.

    """
    if hint:
        return hint
    named = next((headers[name] for name in _SESSION_HEADERS if headers.get(name)), "")
    metadata, cache_key = body.get("metadata"), body.get("prompt_cache_key")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    found = _CLAUDE_SESSION.search(user) if isinstance(user, str) else None
    if named or found:
        return named or (found[1] if found else "")
    return cache_key if isinstance(cache_key, str) and _UUID.fullmatch(cache_key) else ""


def normal(text: str) -> str:
    """Return a text as asks are compared; unless it is long, case, white space and outer punctuation do not count."""
    return " ".join(text.casefold().split()).strip(_PUNCTUATION) if len(text) <= _LONGEST_NORMAL else text.strip()


def _goes_on(turn: JsonObject) -> bool:
    """Say whether a turn behind the last ask is of an answer under way."""
    role = turn.get("role")
    return role in ("tool", "function") or (role == "assistant" and bool(turn.get("tool_calls")))
