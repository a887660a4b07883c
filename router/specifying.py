"""Has the local lane make a specification of a draft: asked once, verified, asked once more where it must be.

Only the general local base is asked, on the user's own server; whatever goes wrong, nothing goes to a cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from registry.errors import ConfigError, UpstreamError
from registry.settings import EMBEDDED, Settings
from router.chat import JsonObject, answer_text, parse_object
from router.dialects.chat import Chat
from router.exchange import CollectingWire, Incoming, TurnError
from router.hints import parse_hints
from router.specification import Specification, repair_request, request_for, specification_of
from router.turn import Turns
from router.verifying.contract import FormatVerifier
from router.verifying.finding import Reply
from router.verifying.schemas import SchemaShelf


@dataclass(frozen=True, slots=True)
class Specified:
    """A specification, who made it, and the interactions that the ledger has of it."""

    specification: Specification
    model: str
    interactions: tuple[str, ...]


def check_local_lane(settings: Settings) -> None:
    """Raise ConfigError where no general local base is configured."""
    if settings.local.general_upstream is None:
        raise ConfigError(
            f"no local model can write a specification: local.runtime is {EMBEDDED!r}, which serves specialists only; "
            "set local.runtime to a private upstream such as Ollama, and local.base to a model of it"
        )


async def specify(turns: Turns, draft: str, *, data_class: str | None = None) -> Specified:
    """Return the specification that the local lane makes of a draft.

    Raises:
        UpstreamError: the local model failed, or gave no specification when asked twice.
        ModelBreederError: no local model takes the draft.

    """
    request = request_for(draft)
    given = await _ask(turns, request, data_class)
    asked = [given.interaction]
    if given.flaw:
        given = await _ask(turns, repair_request(request, given.text, given.flaw), data_class)
        asked.append(given.interaction)
    if given.flaw:
        raise UpstreamError(
            f"{given.model} gave no specification when asked twice: {given.flaw}; set local.base to a model that "
            "keeps to a JSON schema"
        )
    return Specified(specification_of(draft, given.text), given.model, tuple(asked))


@dataclass(frozen=True, slots=True)
class _Given:
    """One answer of the local model; `flaw` says how it is not as asked for."""

    text: str
    flaw: str
    model: str
    interaction: str


async def _ask(turns: Turns, request: JsonObject, data_class: str | None) -> _Given:
    hints = {"x-modelbreeder-allow-escalation": "false"}
    if data_class:
        hints["x-modelbreeder-data-class"] = data_class
    incoming = Incoming(Chat(), Chat().read(orjson.dumps(request)), parse_hints(hints.items()), hints)
    wire = CollectingWire()
    try:
        await turns.respond(incoming, wire)
    except TurnError as error:
        raise error.cause from error
    text = answer_text(parse_object(wire.body)) or ""
    finding = await FormatVerifier(SchemaShelf()).verify(Reply(text), request)
    told = wire.headers
    return _Given(text, finding.why, told["x-modelbreeder-model"], told["x-modelbreeder-interaction"])
