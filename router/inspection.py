"""Decides on a request in bounded time; whatever fails on the way, a bug as well, leaves it where it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from registry.errors import ModelBreederError, RedactionError
from router.exchange import Incoming
from router.routed import Routed
from router.routing import Router

INSPECTION_S = 20.0
"""Seconds that masking a request and deciding on it may take."""
_log = logging.getLogger("modelbreeder.router")


def inspected(
    router: Router, incoming: Incoming, interaction_id: str, now: datetime, monotonic: Callable[[], float]
) -> Routed:
    """Decide on one request.

    Raises:
        RedactionError: it cannot be inspected, or not in time, so it may go nowhere.
        ModelBreederError: it cannot be understood.

    """
    began_s = monotonic()
    try:
        routed = router.route(incoming, interaction_id, now)
    except ModelBreederError:
        raise
    except Exception as bug:  # the request boundary: it counts as a bug of the redactor, which fails closed
        _log.error("a request could not be routed", exc_info=bug)
        said = f"a bug of the router: {type(bug).__name__}; the request goes nowhere, see its log"
        raise RedactionError(said) from bug
    took_s = monotonic() - began_s
    if took_s >= INSPECTION_S:
        raise RedactionError(f"inspecting the request took {took_s:.0f} s, so it goes nowhere; send less")
    return routed
