"""Names that a client gives to its task are kept, shown and sent as they are; so none may hold what would be masked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, cast

from registry.upstreams import looks_like_a_key
from router.exchange import Incoming
from router.hints import Hints
from router.problems import InvalidRequestError
from router.redaction.redactor import RuleRedactor
from router.redaction.spans import CleanTexts, is_unbounded

_HINTS = ("session", "task_id", "workflow")
_DIGEST_BYTES = 8
NAMES_FILE = "names.key"
"""The file of a home with the secret under which its digests are made."""


def with_plain_names(
    incoming: Incoming, redactor: RuleRedactor, key: bytes, is_configured: Callable[[str], bool] = lambda _: False
) -> Incoming:
    """Return a request whose session, task id and workflow are digests where something in them would be masked.

    The same name gets the same digest, so that sessions and workflows stay apart; the key, a secret of up to 64 bytes,
    keeps whoever reads digests from finding out the names by trying. A model that is configured may have any name.

    Raises:
        InvalidRequestError: its model's name would be masked; nobody has a model of such a name.
        RedactionError: they cannot be inspected.

    """
    model = incoming.request.model
    if looks_like_a_key(model) and not is_configured(model):
        raise InvalidRequestError(
            "model is not the name of a model but looks like a key; name a model, or list it in models of its upstream",
            "model",
        )
    plain = _plain_hints(incoming.hints, redactor, key)
    return incoming if plain is incoming.hints else replace(incoming, hints=plain)


def _plain_hints(hints: Hints, redactor: RuleRedactor, key: bytes) -> Hints:
    given = {name: value for name in _HINTS if (value := getattr(hints, name)) is not None}
    if not given:
        return hints
    masked = _masked(redactor, [*given.values()])
    hidden = {
        name: digest_of(value, key)
        for (name, value), stands in zip(given.items(), masked, strict=True)
        if stands != value
    }
    return replace(hints, **cast("dict[str, Any]", hidden)) if hidden else hints


def digest_of(name: str, key: bytes) -> str:
    """Return what stands for a name that would be masked."""
    return f"masked-{hashlib.blake2b(name.encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()}"


def with_kept_names(incoming: Incoming, redactor: RuleRedactor, key: bytes, classes: Collection[str]) -> Incoming:
    """Return a request that could not be inspected with what the ledger may hold of its names and of its model's.

    Those that cannot be inspected either are left out, and so is a data class that is none of the known ones.
    """
    hints, model = incoming.hints, incoming.request.model
    try:
        hints = _plain_hints(hints, redactor, key)
        model = "" if looks_like_a_key(model) else _masked(redactor, [model])[0]
    except Exception:  # noqa: BLE001 - the redactor may have a bug, and the ledger is to hear of the request all the same
        hints, model = replace(hints, session=None, task_id=None, workflow=None), ""
    data_class = hints.data_class if hints.data_class in classes else None
    kept, request = replace(hints, data_class=data_class), replace(incoming.request, model=model)
    return replace(incoming, hints=kept, request=request)


def _masked(redactor: RuleRedactor, names: Sequence[str]) -> list[str]:
    return cast("list[str]", _at_once(redactor).redact({"names": [*names]}).body["names"])


def _at_once(redactor: RuleRedactor) -> RuleRedactor:
    """Return the redactor less detectors that may take their time: names are short, and the event loop waits."""
    quick = tuple(one for one in redactor.detectors if not is_unbounded(one))
    return redactor if quick == redactor.detectors else replace(redactor, detectors=quick, clean=CleanTexts())
