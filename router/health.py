"""What the daemon offers at this moment: model names, and whether it could serve a request."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from sqlalchemy import delete, insert

from registry.entities import Json
from registry.errors import LedgerError
from registry.settings import Settings
from registry.tables import writers
from router.deps import Deps
from router.fitness import needs_engine

_PROBE_S = 2.0


def model_names(deps: Deps) -> dict[str, str]:
    """Return what may stand in a request's `model`, with the owner of each name."""
    names = dict.fromkeys(("auto", "local", "cloud"), "modelbreeder")
    for upstream, settings in deps.settings.upstreams.items():
        names |= {model: upstream for model in settings.models if model not in names}
        names |= {f"{upstream}/{model}": upstream for model in settings.models}
    for workflow, offer in deps.registry.current().champions.items():
        names |= {f"workflow:{workflow}": "modelbreeder", offer.specialist.name: "modelbreeder"}
    return names


async def readiness(deps: Deps) -> tuple[bool, dict[str, Json]]:
    """Say whether the ledger can be written and anybody can answer, with each finding in words."""
    ledger, backend = await _ledger_state(deps), backend_state(deps)
    return ledger == backend == "ok", {"ledger": ledger, "backend": backend}


async def _ledger_state(deps: Deps) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await asyncio.to_thread(_write, deps)
            # Nothing to record, but its thread has to answer.
            await asyncio.wrap_future(deps.writer.submit())
    except LedgerError as error:
        return str(error)
    except TimeoutError:
        return f"the ledger did not answer within {_PROBE_S:g} s"
    return "ok"


def _write(deps: Deps) -> None:
    """Write a row and take it out again: only what reaches the disk finds out that it is full."""
    probe = f"{deps.ledger.writer_id}-probe"
    row = {"writer": probe, "host": "", "pid": 0, "started": "", "head_seq": 0, "head_hash": ""}
    with deps.database.write() as connection:
        connection.execute(insert(writers), row)
        connection.execute(delete(writers).where(writers.c.writer == probe))


def backend_state(deps: Deps, environ: Mapping[str, str] = os.environ) -> str:
    """Say why nobody can answer, `ok` where somebody can: a model server whose key is set, or a specialist."""
    settings = deps.router.rulebook.settings
    servers = _servers(settings)
    keys = {name: settings.upstreams[name].api_key_env for name in servers}
    unset = {name: variable for name, variable in keys.items() if variable and not environ.get(variable)}
    champions = deps.registry.current().champions
    served = any(not deps.outside.engine_missing or not needs_engine(one.specialist) for one in champions.values())
    if served or len(unset) < len(servers):
        return "ok"
    why = [f"upstream {name!r} needs {variable} set; set it and restart the daemon" for name, variable in unset.items()]
    if champions:
        why.append(deps.outside.engine_missing)
    elif not why:
        barred = settings.policy.why_offline if settings.upstreams else ""
        why.append(barred or "no upstream is configured")
        why.append("no specialist is promoted")
    return " and ".join(why)


def _servers(settings: Settings) -> list[str]:
    """Return the upstreams that policy lets anybody ask, as the file orders them."""
    general, offline = settings.local.general_upstream, settings.policy.offline
    return [name for name in settings.upstreams if name == general or not offline]
