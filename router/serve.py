"""The daemon process: bind, say so, serve until a signal, drain, and leave nothing open."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from types import FrameType
from urllib.parse import urlsplit

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp
from typing_extensions import override

from registry.errors import ConfigError, ConflictError
from registry.home import Home
from registry.home_database import open_home_database
from registry.retention import unknown_classes
from registry.settings import DaemonSettings, Settings
from registry.tokens import Tokens
from router.admission import InFlight
from router.app import make_app
from router.bounded_http import BoundedHttp
from router.deps import Deps, Outside, open_deps
from router.home_lock import held
from router.listening import BACKLOG, bind, check_tls
from router.notifying import READY, STOPPING, Notifier
from router.origins import is_loopback
from router.reloading import ReadSettings, Reloader, in_doubt
from router.sweeping import Sweeper
from router.tracing import Traced

_log = logging.getLogger("modelbreeder.router")
CLEAN_UP_S = 5.0
"""Seconds that requests cut off at the end of the drain have to record how they ended."""
_INTERRUPTED_EXIT = 130

Say = Callable[[str], None]


class _Stop:
    """What signals do: the first ends the server cleanly, a second Ctrl-C at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.server: uvicorn.Server | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self.server is not None:
            self.server.force_exit = self.signal is not None and number == signal.SIGINT
            self.server.should_exit = True
        self.signal = number

    def attach(self, server: uvicorn.Server) -> None:
        """Let signals end this server, also one that came before it was there."""
        self.server = server
        server.should_exit = self.signal is not None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals, until everything is closed: a second one must not interrupt the closing."""
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                # Once one has come the process ends, and another must not change its exit code.
                signal.signal(number, signal.SIG_IGN if self.signal is not None else handler)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process by the signal that stopped it."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn lets them run on; cut off, they record how they ended.
            for task in self.server_state.tasks:
                task.cancel()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class _Daemon:
    """What a serving process is made of."""

    home: Home
    settings: Settings
    outside: Outside
    listener: socket.socket
    say: Say
    stop: _Stop
    notifier: Notifier
    read: ReadSettings | None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.listener.getsockname()[:2]
        scheme = "https" if self.settings.daemon.tls_cert else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def ready(self, deps: Deps) -> None:
        """Say that requests are taken, to whoever started it and to systemd."""
        champions = deps.registry.current().champions
        upstreams = ", ".join(self.settings.upstreams) or "none"
        self.say(
            f"listening on {self.url} · cloud {self.settings.policy.cloud or 'none'}"
            f" · upstreams {upstreams} · {len(champions)} specialists serving"
        )
        self.notifier.tell(READY)


def serve(
    home: Home,
    settings: Settings,
    outside: Outside,
    environ: Mapping[str, str],
    say: Say,
    read: ReadSettings | None = None,
) -> int:
    """Serve until a signal; return the exit code, 0 after SIGTERM and 130 after Ctrl-C.

    `read` reads the settings again when their file changes, where that file alone does not make them.

    Raises:
        ConfigError: the address is not loopback and no token was made or nothing speaks TLS, a certificate, an upstream
            or a rule cannot be used.
        ConflictError: the port is taken, or another daemon serves this home.

    """
    # Imported here: uvloop exists on Linux and macOS only.
    import uvloop

    stop = _Stop()
    check_tls(settings.daemon)
    guarded = not is_loopback(settings.daemon.host) and has_tokens(home, settings)
    with stop.listening(), _bound(home, settings.daemon, guarded) as listener:
        daemon = _Daemon(home, settings, outside, listener, say, stop, Notifier(environ), read)
        _refuse_loops(settings, listener.getsockname()[1])
        with held(home, daemon.url), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if not home.config_file.exists():
                say(f"{home.config_file} is not there, so the defaults hold; modelbreeder init writes it")
            for warning in (*missing_keys(settings, environ), *unknown_classes(settings)):
                say(warning)
            runner.run(_serve(daemon))
    return _INTERRUPTED_EXIT if stop.signal == signal.SIGINT else 0


async def _serve(daemon: _Daemon) -> None:
    limits = daemon.settings.daemon
    async with open_deps(daemon.home, daemon.settings, daemon.outside) as deps:
        closed = deps.ledger.close_interrupted(daemon.outside.clock())
        if closed:
            daemon.say(f"{closed} requests that an earlier daemon left open are now recorded as interrupted")
        for line in in_doubt(deps.router.rulebook):
            daemon.say(line)
        deps.ledger.reserve()
        deps.turns.cloud.prices.prepare()
        in_flight = InFlight(limits.max_in_flight, limits.max_waiting, limits.max_wait_s)
        reloader = Reloader(daemon.home.config_file, deps.router, daemon.read)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _on_hangup(daemon.stop, reloader))
        app = make_app(deps, in_flight, _watch(deps, in_flight, reloader), lambda: reloader.state)
        server = _Server(
            _config(app, limits),
            lambda: daemon.ready(deps),
            lambda: daemon.notifier.tell(STOPPING),
        )
        daemon.stop.attach(server)
        # Every full collection would look at all of this again: p99 of 16 clients was 161 ms with that, 92 without.
        gc.collect()
        gc.freeze()
        sweeping = _sweeping(daemon, deps)
        async with _beside(daemon.notifier.keep_alive()), _beside(reloader.watch()), _beside(sweeping):
            await server.serve(sockets=[daemon.listener])
            await _clean_up(in_flight)
        deps.ledger.retire()


def _sweeping(daemon: _Daemon, deps: Deps) -> Coroutine[None, None, None]:
    """Return what erases by and by what the ledger keeps no longer; its log is emptied by that, and lengthened anew."""
    retention = daemon.settings.ledger.retention
    return Sweeper(deps.database, retention, daemon.home.runs, daemon.outside.clock).keep_swept(deps.ledger.reserve)


def _on_hangup(stop: _Stop, reloader: Reloader) -> Callable[[], None]:
    """Return what SIGHUP does: have the file read, or end the daemon whose terminal is gone, as it is meant there."""
    has_terminal = os.isatty(0)

    def hung_up() -> None:
        if has_terminal and not os.isatty(0):
            stop(signal.SIGHUP, None)
        else:
            reloader.ask()

    return hung_up


def has_tokens(home: Home, settings: Settings) -> bool:
    """Say whether a token was ever made, without which nobody else's machine may ask."""
    home.prepare()
    with closing(open_home_database(home, settings.ledger)) as database:
        return bool(Tokens(database).all())


def _watch(deps: Deps, in_flight: InFlight, reloader: Reloader) -> Callable[[], Response]:
    """Let metrics and log hear of every event that is recorded; return what makes the page of the metrics."""
    # Imported here: prometheus-client brings an HTTP server along.
    from router.metrics import CONTENT_TYPE, Metrics, metrics_body
    from router.observing import EventWatch

    metrics = Metrics(deps.settings, in_flight)
    deps.turns.recorder.watch(EventWatch(metrics).observe)
    deps.turns.recorder.watch_attempts(metrics.attempted)
    metrics.watch_engines(lambda: deps.turns.local.engines.deaths)
    metrics.watch_policy(lambda: reloader.reloads, lambda: reloader.failures, lambda: bool(reloader.state.problem))
    budgets, clock = deps.budgets, deps.outside.clock
    metrics.watch_budgets(lambda: budgets.today(deps.router.rulebook.policy.budget, clock()), budgets.warnings)
    return lambda: Response(metrics_body(metrics.registry), media_type=CONTENT_TYPE)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do some work as long as requests are served or drained."""
    task = asyncio.create_task(work)
    task.add_done_callback(_tell_death)
    try:
        yield
    finally:
        task.cancel()


def _tell_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("work beside the requests broke off", exc_info=task.exception())


def _config(app: ASGIApp, daemon: DaemonSettings) -> uvicorn.Config:
    return uvicorn.Config(
        Traced(app),
        loop="none",
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=math.ceil(daemon.drain_s),
        ssl_certfile=daemon.tls_cert,
        ssl_keyfile=daemon.tls_key,
    )


async def _clean_up(in_flight: InFlight) -> None:
    """Give requests cut off at the end of the drain time to record how they ended."""
    try:
        async with asyncio.timeout(CLEAN_UP_S):
            await in_flight.drained()
    except TimeoutError:
        _log.error("%d requests did not end in time; the next start records them as interrupted", in_flight.count)


def _bound(home: Home, settings: DaemonSettings, guarded: bool) -> socket.socket:
    """Return a listening socket, or say who serves this home where that is who took the port."""
    try:
        return bind(settings, guarded=guarded)
    except ConflictError:
        with held(home, "nowhere"):
            raise


def _refuse_loops(settings: Settings, port: int) -> None:
    for name, upstream in settings.upstreams.items():
        parts = urlsplit(upstream.base_url)
        if parts.hostname in ("127.0.0.1", "localhost", "::1") and parts.port == port:
            raise ConfigError(
                f"upstreams.{name}.base_url {upstream.base_url!r} is this daemon itself; name a model server"
            )


def missing_keys(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return one line for each upstream whose key is not set."""
    return [
        f"upstream {name!r} needs the environment variable {upstream.api_key_env}, which is not set;"
        " requests to it will fail with 502 until it is set and the daemon restarted"
        for name, upstream in settings.upstreams.items()
        if upstream.api_key_env and not environ.get(upstream.api_key_env)
    ]
