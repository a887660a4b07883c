"""The composition root: everything that a router process is made of, opened and closed in one place."""

from __future__ import annotations

import importlib.util
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.database import Database
from registry.entities import Purpose
from registry.home import Home, socket_folder
from registry.home_database import open_home_database
from registry.ids import Clock, NewId, new_id, utc_now
from registry.ledger import Ledger, new_writer_id
from registry.ledger_writer import LedgerWriter
from registry.own_secrets import secret_in
from registry.processes import this_process
from registry.settings import Settings, UpstreamSettings
from registry.spending import Spending
from registry.tokens import Tokens
from router.access import ADMIN_FILE, Access
from router.asked_again import AskedAgain
from router.base_lane import BaseLane
from router.budgets import Budgets
from router.cloud_lane import CloudLane
from router.egress import Egress
from router.engines import EnginePool, OwnedEngine, engine_for
from router.given_names import NAMES_FILE
from router.inspection import Inspectors
from router.local_lane import LocalLane
from router.loops import Loops
from router.masker_memory import MaskerMemory
from router.origins import is_reachable
from router.pricing import Prices
from router.recording import Recorder
from router.reloading import open_rulebook
from router.routing import Router
from router.rungs.shelf import RungShelf
from router.standings import Registry
from router.turn import Turns
from router.upstream import Cloud
from router.verdicts import Verdicts

NO_ENGINE = "the local engine is not installed; pip install 'modelbreeder[local]'"


@dataclass(frozen=True, slots=True)
class Outside:
    """What a router process needs of the world; tests hand in fakes."""

    make_cloud: Callable[[str, UpstreamSettings], Cloud]
    make_engine: Callable[[Path], OwnedEngine]
    engine_missing: str = ""
    clock: Clock = utc_now
    new_id: NewId = new_id
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Deps:
    """An open router."""

    settings: Settings
    outside: Outside
    database: Database
    ledger: Ledger
    writer: LedgerWriter
    registry: Registry
    router: Router
    turns: Turns
    verdicts: Verdicts
    budgets: Budgets
    access: Access


def real_outside(settings: Settings, environ: Mapping[str, str]) -> Outside:
    """Return the real world: upstreams over HTTP, engines as child processes."""
    # Imported here, so that commands that call nobody start without aiohttp.
    from router.http_cloud import HttpCloud

    def make_cloud(name: str, upstream: UpstreamSettings) -> Cloud:
        key = environ.get(upstream.api_key_env) if upstream.api_key_env else None
        return HttpCloud(name, upstream, key, proxy_for(upstream))

    def make_engine(base: Path) -> OwnedEngine:
        folder = socket_folder(environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return engine_for(base, settings.local, folder)

    missing = "" if importlib.util.find_spec("llama_cpp") else NO_ENGINE
    return Outside(make_cloud, make_engine, missing)


def proxy_for(upstream: UpstreamSettings) -> str | None:
    """Return the proxy that the usual environment variables name for an upstream, None for a direct connection.

    What is sent to the user's own machines passes nobody else's.
    """
    parts = urlsplit(upstream.base_url)
    near = upstream.trust == "private" or parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or near or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


@asynccontextmanager
async def open_deps(
    home: Home, settings: Settings, outside: Outside, *, purpose: Purpose | None = None
) -> AsyncIterator[Deps]:
    """Open a router process's parts; closing writes what is queued and stops engines and connections.

    What is served counts as `purpose`, which is the home's own where none is given.
    """
    rulebook = await open_rulebook(settings)
    prices = Prices(settings.upstreams)
    home.prepare()
    async with AsyncExitStack() as stack:
        database = open_home_database(home, settings.ledger)
        stack.callback(database.close)
        ledger = Ledger(database, new_writer_id("router", this_process(), outside.new_id), outside.new_id)
        registry = Registry(Catalog(database), outside.monotonic)
        writer = stack.enter_context(LedgerWriter(ledger, settings.ledger.durability))
        recorder = Recorder(writer, outside.clock)
        budgets = Budgets(Spending(database))
        recorder.watch(budgets.observe)
        router = Router(
            rulebook,
            registry,
            prices,
            recorder.latencies,
            outside.engine_missing,
            budgets=budgets,
            loops=Loops(outside.monotonic),
            asked=AskedAgain(outside.monotonic, secrets.token_bytes(32)),
            names_key=secret_in(home.data / NAMES_FILE).encode()[:64],
        )
        egress = _egress(settings, outside, recorder, lambda: router.rulebook.policy.offline)
        stack.push_async_callback(egress.aclose)
        files = ArtifactStore(home.artifacts)
        engines = EnginePool(files, outside.make_engine)
        stack.push_async_callback(engines.aclose)
        memory, inspectors = MaskerMemory(outside.monotonic), Inspectors()
        stack.callback(inspectors.close)
        cloud = CloudLane(egress, recorder, prices, budgets)
        turns = Turns(
            router=router,
            local=LocalLane(engines, RungShelf(files), recorder, prices),
            cloud=cloud,
            base=BaseLane(cloud),
            recorder=recorder,
            memory=memory,
            inspectors=inspectors,
            purpose=purpose or settings.ledger.purpose,
            clock=outside.clock,
            new_id=outside.new_id,
            monotonic=outside.monotonic,
            keeps_raw=settings.ledger.keep_raw,
        )
        verdicts = Verdicts(recorder, ledger, lambda: router.rulebook.redactor, inspectors, memory, outside.clock)
        access = Access(
            Tokens(database),
            outside.monotonic,
            admin=secret_in(home.data / ADMIN_FILE),
            always=is_reachable(settings.daemon),
        )
        yield Deps(settings, outside, database, ledger, writer, registry, router, turns, verdicts, budgets, access)


def _egress(settings: Settings, outside: Outside, recorder: Recorder, offline: Callable[[], bool]) -> Egress:
    clouds = {name: outside.make_cloud(name, upstream) for name, upstream in settings.upstreams.items()}
    return Egress(recorder, clouds, settings.upstreams, monotonic=outside.monotonic, offline=offline)
