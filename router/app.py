"""The HTTP surface: paths to functions, errors to OpenAI's envelope; never a framework's default body."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from registry.entities import Json
from registry.errors import ModelBreederError
from registry.tokens import LOCAL_CLIENT, Client
from router.access import TOKEN_HEADERS, Guarded
from router.admission import InFlight
from router.body_room import BodyRoom
from router.chat import model_list, model_object
from router.deps import Deps
from router.dialects.known import dialect_at, dialects
from router.dialects.messages.request import count_request, token_count
from router.dialects.protocol import Dialect
from router.envelope import estimate_tokens
from router.exchange import Incoming, TurnError
from router.explaining import explain_beside, plain, read_question
from router.given_names import with_kept_names
from router.health import model_names, readiness
from router.hints import parse_hints
from router.http_wire import HttpWire, race, read_json_body
from router.inspection import inspected
from router.origins import OwnNamesOnly
from router.problems import Problem, ProblemType, problem_of, unknown_path
from router.reloading import FileState
from router.request_ids import Named, name_answer, name_of
from router.verdicts import parse_feedback

_log = logging.getLogger("modelbreeder.router")
_SHOWN_PATH = 100
BUDGET_HEADER = b"x-modelbreeder-budget"


def make_app(
    deps: Deps,
    in_flight: InFlight,
    metrics: Callable[[], Response] | None = None,
    policy_file: Callable[[], FileState] = FileState,
) -> Starlette:
    """Return the daemon's ASGI application.

    Args:
        deps: the open router.
        in_flight: bounds what is served at once.
        metrics: makes the page for Prometheus, which there is not without it.
        policy_file: says what became of modelbreeder.toml when it was last read.

    """
    surface = Surface(deps, in_flight, policy_file)
    routes = [
        *(Route(f"/v1{one.path}", surface.turn(one), methods=["POST"]) for one in dialects()),
        Route("/v1/messages/count_tokens", surface.count_tokens, methods=["POST"]),
        Route("/v1/models", surface.models, methods=["GET"]),
        Route("/v1/models/{name:path}", surface.model, methods=["GET"]),
        Route("/v1/feedback", surface.feedback, methods=["POST"]),
        Route("/v1/route/explain", surface.explain, methods=["POST"]),
        Route("/", surface.front, methods=["GET"]),
        Route("/healthz", surface.healthz, methods=["GET"]),
        Route("/readyz", surface.readyz, methods=["GET"]),
    ]
    if metrics is not None:
        page = metrics
        routes.append(Route("/metrics", lambda _: page(), methods=["GET"]))
    handlers = {HTTPException: _http_error, ModelBreederError: _known_error, Exception: _unknown_error}
    guards = [
        Middleware(Named, new_id=deps.outside.new_id),
        Middleware(OwnNamesOnly, hosts=deps.settings.daemon.hosts),
        Middleware(Guarded, access=deps.access),
        Middleware(BodyRoom),
    ]
    app = Starlette(routes=routes, middleware=guards, exception_handlers=handlers)
    # A redirect would go to whatever Host a request names.
    app.router.redirect_slashes = False
    return app


class Surface:
    """The endpoints."""

    def __init__(self, deps: Deps, in_flight: InFlight, policy_file: Callable[[], FileState]) -> None:
        self._deps = deps
        self._in_flight = in_flight
        self._policy_file = policy_file

    def turn(self, dialect: Dialect) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint of a dialect: one request, one answer."""

        async def serve(request: Request) -> Response:
            incoming = _incoming(request, dialect, await read_json_body(request))
            return _TurnResponse(self._deps, self._in_flight, incoming)

        return serve

    async def count_tokens(self, request: Request) -> Response:
        """POST /v1/messages/count_tokens: an estimate, as no model's own tokenizer is at hand."""
        body = count_request(await read_json_body(request))
        return _json(token_count(estimate_tokens([body.get("system"), body.get("messages"), body.get("tools")])))

    async def front(self, _: Request) -> Response:
        """HEAD and GET /: somebody is there; some clients ask before they begin."""
        return Response(b"ModelBreeder\n", media_type="text/plain")

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        return _json(model_list(model_names(self._deps), self._deps.outside.clock()))

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{id}."""
        name = str(request.path_params["name"])
        owner = model_names(self._deps).get(name)
        if owner is None:
            problem = Problem(
                404, ProblemType.NOT_FOUND, f"no model {name!r}; see /v1/models", "model_not_found", "model"
            )
            return _refusal(request, problem)
        return _json(model_object(name, owner, self._deps.outside.clock()))

    async def feedback(self, request: Request) -> Response:
        """POST /v1/feedback, by a client on answers of its own, by the admin on all."""
        body, client = parse_feedback(await read_json_body(request)), _client(request).name
        return _json(plain(await self._deps.verdicts.give(body, client, own_only=not request.state.is_admin)))

    async def explain(self, request: Request) -> Response:
        """POST /v1/route/explain, `?surface=` where it is no chat request."""
        dialect, question = read_question(await read_json_body(request), request.query_params.get("surface"))
        headers = _headers(request)
        hints = parse_hints(headers.items(), question.body.get("metadata"), question.body)
        incoming, turns = Incoming(dialect, question, hints, headers, _client(request)), self._deps.turns
        name, now = turns.new_id(), turns.clock()
        inspect = partial(inspected, turns.router, turns.inspectors, incoming, name, now, turns.monotonic)
        return _json(await explain_beside(turns.router, incoming, name, now, inspect))

    async def healthz(self, _: Request) -> Response:
        """GET /healthz: the process answers, and tells nothing else, as anybody may ask."""
        return _json({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """GET /readyz: the ledger can be written and somebody can answer; the findings are for the admin."""
        ready, checks = await readiness(self._deps)
        status: Json = "ready" if ready else "not ready"
        body: dict[str, Json] = {"status": status, **(self._details(checks) if request.state.is_admin else {})}
        return _json(body, HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    def _details(self, checks: dict[str, Json]) -> dict[str, Json]:
        file, router = self._policy_file(), self._deps.router
        policy: Json = {
            "digest": router.policy_digest,
            "file": "refused" if file.problem else "in force",
            "problem": file.problem or None,
            "doubts": [one.line for one in router.rulebook.problems],
            "waiting_for_restart": list(file.waiting),
        }
        return {"checks": checks, "policy": policy, "in_flight": self._in_flight.count}


class _TurnResponse(Response):
    """Runs a turn as its own response, so that frames leave as they come."""

    def __init__(self, deps: Deps, in_flight: InFlight, incoming: Incoming) -> None:
        self._deps = deps
        self._in_flight = in_flight
        self._incoming = incoming
        self.background = None

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = HttpWire(self._warning(send), self._incoming.dialect, request_id=name_of(scope))
        try:
            await race(receive, wire, self._turn(wire))
        except TurnError as error:
            await wire.fail(problem_of(error.cause), error.headers)

    def _warning(self, send: Send) -> Send:
        """Return a `send` that adds what is to be said of budgets near their end, as it is when the answer begins."""
        rulebook, key = self._deps.router.rulebook, self._deps.router.names_key
        if not rulebook.payer(self._incoming).is_limited:
            return send

        async def warn(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A session has its account under the name that the ledger has.
                payer = rulebook.payer(with_kept_names(self._incoming, rulebook.redactor, key, ()))
                said = self._deps.budgets.warning(payer, self._deps.outside.clock())
                message["headers"] = [*message["headers"], *([(BUDGET_HEADER, said.encode())] if said else [])]
            await send(message)

        return warn

    async def _turn(self, wire: HttpWire) -> None:
        async with self._in_flight.turn():
            await self._deps.turns.respond(self._incoming, wire)


def _incoming(request: Request, dialect: Dialect, raw: bytes) -> Incoming:
    read = dialect.read(raw)
    hints = parse_hints(request.headers.items(), read.body.get("metadata"), read.body)
    return Incoming(dialect, read, hints, _headers(request), _client(request))


def _headers(request: Request) -> dict[str, str]:
    """Return what a request says beside its body, without a token of ours, which was for the door."""
    hidden = TOKEN_HEADERS if request.state.is_admin or _client(request).name != LOCAL_CLIENT else ()
    return {name: value for name, value in request.headers.items() if name not in hidden}


def _client(request: Request) -> Client:
    client: Client = request.state.client
    return client


def _json(value: Json, status: int = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _refusal(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """Tell a problem in the dialect of the path, under the request's name; a bug's answer meets no middleware."""
    dialect, merged = dialect_at(request.url.path), {**(headers or {}), **problem.headers}
    body = dialect.error(problem, request.state.request_id)
    answer = Response(body, dialect.error_status(problem), merged, media_type="application/json")
    name_answer(answer.headers, request.state.request_id)
    return answer


async def _known_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ModelBreederError):
        raise error
    return _refusal(request, problem_of(error))


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _refusal(request, unknown_path(request.url.path))
    problem = Problem(
        error.status_code,
        ProblemType.INVALID_REQUEST,
        f"{request.method} {request.url.path}: {error.detail}",
        "invalid_request",
    )
    return _refusal(request, problem, error.headers)


async def _unknown_error(request: Request, error: Exception) -> Response:
    """Answer a bug; its trace goes to the log, not to the client."""
    # A client chooses the path: it may be long, and made to look like lines of ours.
    _log.error("%s %r failed", request.method, request.url.path[:_SHOWN_PATH], exc_info=error)
    problem = Problem(500, ProblemType.SERVER, "the daemon failed on this request; see its log", "internal_error")
    return _refusal(request, problem)
