"""A hostile web page cannot make the daemon do anything: browsers' exact requests, over raw sockets, at a real daemon.

Each must be refused, must read nothing across origins, and must leave no trace in the ledger or at the upstream.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.database import open_database
from registry.ids import new_id
from registry.ledger import Ledger
from router import bounded_http
from tests.router.daemon import Daemon, admin_of, ask, daemon, get, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

CHAT = "/v1/chat/completions"
BODY = json.dumps(ask("send this away")).encode()
CHROME = {
    "Connection": "keep-alive",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0/537.36",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def target(home: Path, upstream: Upstream) -> Iterator[Daemon]:
    write_config(home, upstream.url)
    with daemon(home) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(autouse=True)
def nothing_happens(home: Path, upstream: Upstream, target: Daemon) -> Iterator[None]:
    """See that whatever a test sends reached neither the ledger nor the upstream, and that the daemon lives on."""
    yield
    assert get(f"{target.url}/healthz")[0] == 200
    with closing(open_database(home / "data" / "ledger.db")) as database:
        assert list(Ledger(database, "reader", new_id).interactions()) == []
    assert upstream.requests == []


def raw(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    length = {"Content-Length": str(len(body))} if body and "Transfer-Encoding" not in headers else {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**headers, **length}.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def exchange(target: Daemon, sent: bytes, wait_s: float = 8) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and return what came back first: status (0 for a cut), headers in lower case, body."""
    parts = urlsplit(target.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=wait_s) as connection:
        try:
            connection.sendall(sent)
            reply = read_one(connection, has_body=not sent.startswith(b"HEAD"))
        except ConnectionError:
            return 0, {}, b""
    head, _, body = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]) if first else 0, headers, body


def read_one(connection: socket.socket, *, has_body: bool) -> bytes:
    """Read one answer with its declared body, or what comes before the end."""
    reply = b""
    while piece := connection.recv(65_536):
        reply += piece
        head, ended, body = reply.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if ended and len(body) >= length * has_body:
            break
    return reply


def own(target: Daemon, **more: str) -> dict[str, str]:
    """Return the headers of a browser that calls the daemon by its own name."""
    return {
        "Host": urlsplit(target.url).netloc,
        **CHROME,
        **{name.replace("_", "-"): one for name, one in more.items()},
    }


def gives_nothing_away(answer: tuple[int, dict[str, str], bytes]) -> bool:
    """Say whether a refusal lets a page read nothing: no leave for other origins, nothing of the daemon's inside."""
    _, headers, body = answer
    named = [name for name in headers if name.startswith(("access-control-", "location", "upgrade"))]
    return not named and b"gpt-5.4" not in body and b"vendor" not in body


FOREIGN = {
    "fetch from another site": {
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "cors",
    },
    "fetch without cors": {
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
    },
    "sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "page of another local program": {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
    "that page, whose browser is old": {"Origin": "http://127.0.0.1:3000"},
    "page of a file": {"Origin": "file://"},
    "extension": {"Origin": "chrome-extension://abcdefghijklmnop", "Sec-Fetch-Site": "none"},
    "worker of another origin": {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "worker"},
    "image tag": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "link that was clicked": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
}
PATHS = [("POST", CHAT), ("POST", "/v1/messages"), ("POST", "/v1/responses"), ("POST", "/v1/feedback"),
         ("POST", "/v1/route/explain"), ("GET", "/v1/models"), ("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"),
         ("GET", "/metrics"), ("GET", "/no/such/path")]  # fmt: skip


@pytest.mark.parametrize("page", FOREIGN.values(), ids=FOREIGN)
def test_no_page_of_another_origin_is_served_on_any_path(target: Daemon, page: dict[str, str]) -> None:
    for method, path in PATHS:
        answer = exchange(target, raw(method, path, {**own(target), **page, **JSON}, BODY if method == "POST" else b""))

        assert answer[0] == 403, path
        assert gives_nothing_away(answer)


def test_not_even_with_the_admins_token_is_a_page_served(target: Daemon, home: Path) -> None:
    page = {**own(target, Origin="https://evil.example"), **admin_of(home)}

    assert exchange(target, raw("GET", "/metrics", page))[0] == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8484", "7f000001.rbndr.us:8484", "localhost.evil.example:8484",
        "127.0.0.1.nip.io:8484", "localhost.:8484", "0.0.0.0:8484", "2130706433:8484", "127.1:8484",
        "user@127.0.0.1:8484",
        "[::1%25lo]:8484", "[::ffff:127.0.0.1]:8484", "", "127.0.0.1:8484, evil.example",
    ],
)  # fmt: skip
def test_a_name_rebound_to_loopback_is_not_the_daemons(target: Daemon, host: str) -> None:
    """The page is of the same origin then: no Origin with a GET, and the site is the same."""
    rebound = {"Host": host, **CHROME, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    for sent in (
        raw("GET", "/v1/models", rebound),
        raw("POST", CHAT, {**rebound, "Origin": f"http://{host}", **JSON}, BODY),
    ):
        answer = exchange(target, sent)

        assert answer[0] in (400, 403)
        assert gives_nothing_away(answer)


def test_no_host_two_hosts_and_a_target_with_a_host_of_its_own_are_refused(target: Daemon) -> None:
    port = urlsplit(target.url).port
    for sent in (
        raw("GET", "/v1/models", CHROME),
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n".encode(),
        f"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode(),
        raw("GET", f"http://127.0.0.1:{port}/v1/models", {**own(target), "Host": "evil.example"}),
        raw("GET", "http://evil.example/v1/models", own(target)),
        raw("CONNECT", "169.254.169.254:80", own(target)),
    ):
        answer = exchange(target, sent)
        assert answer[0] in (400, 403), sent
        assert gives_nothing_away(answer)


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_a_preflight_is_never_granted(target: Daemon, site: str) -> None:
    asks = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
        "Access-Control-Request-Private-Network": "true",
        **({"Sec-Fetch-Site": site} if site else {}),
    }
    for path in (CHAT, "/v1/feedback", "/v1/models", "/healthz", "*"):
        answer = exchange(target, raw("OPTIONS", path, {**own(target), **asks}))
        assert answer[0] in (400, 403)
        assert gives_nothing_away(answer)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "",
        "text/plain; application/json",
        "multipart/form-data; boundary=----WebKitFormBoundaryx", "application/json, text/plain", "text/json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/embeddings"])
def test_what_a_form_can_post_is_refused_even_where_a_browser_says_nothing_of_itself(
    target: Daemon, path: str, kind: str
) -> None:
    answer = exchange(target, raw("POST", path, {**own(target), **({"Content-Type": kind} if kind else {})}, BODY))

    assert answer[0] == 415
    assert gives_nothing_away(answer)


def test_a_websocket_is_refused_to_a_page_and_upgraded_for_nobody(target: Daemon) -> None:
    asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version": "13"}  # fmt: skip
    page = exchange(target, raw("GET", CHAT, {**own(target), "Origin": "https://evil.example", **asks}))
    plain = exchange(target, raw("GET", CHAT, {**own(target), **asks}))
    h2c = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    newer = exchange(target, raw("GET", "/no", {**own(target), **h2c}))
    prior = exchange(target, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    assert [one[0] for one in (page, plain, newer, prior)] == [403, 405, 404, 400]
    assert all(gives_nothing_away(one) for one in (page, plain, newer, prior))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"])
def test_nothing_but_a_post_reaches_a_model_whatever_else_the_request_says(target: Daemon, method: str) -> None:
    override = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}
    for path in (CHAT, f"{CHAT}?_method=POST"):
        answer = exchange(target, raw(method, path, {**own(target), **override, **JSON}, BODY))
        assert answer[0] == 405
        assert b"X-HTTP-Method" not in answer[2]


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions", "/v1//chat/completions", "/v1/./chat/completions", "/x/../v1/chat/completions",
        "/%2e%2e/v1/chat/completions", "/v1/chat/completions;x=1", "/v1/chat/completions/", "/v1/chat/completions%00",
        "/V1/CHAT/COMPLETIONS", "/v1%2fchat%2fcompletions%20", "/healthz/../metrics", "/healthz;/metrics", "/healthz/",
        "/metrics/", "/%6detrics", "/metrics%3f", "/healthz%2f..%2fmetrics", "\\v1\\models",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_gets_around_the_door(target: Daemon, path: str) -> None:
    answer = exchange(target, raw("POST" if "chat" in path.lower() else "GET", path, {**own(target), **JSON}))

    assert answer[0] in (400, 401, 404)
    assert gives_nothing_away(answer)
    assert b"modelbreeder_requests" not in answer[2]


def test_a_body_framed_in_two_ways_is_refused_and_hides_no_second_request(target: Daemon) -> None:
    hidden = raw("POST", CHAT, {**own(target), **JSON}, BODY).decode()
    inner = f"0\r\n\r\n{hidden}"
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {own(target)['Host']}\r\nContent-Type: text/plain\r\n"
    for framing in (
        f"Content-Length: {len(inner)}\r\nTransfer-Encoding: chunked",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(inner)}",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Content-Length: +5",
        "Content-Length: -1",
    ):
        assert exchange(target, f"{head}{framing}\r\n\r\n{inner}".encode())[0] == 400, framing


def test_heads_without_measure_are_cut_off(target: Daemon) -> None:
    many = {f"X-{number}": "x" for number in range(bounded_http.MAX_HEADERS + 1)}
    for headers in ({"X-Long": "x" * bounded_http.MAX_HEAD_BYTES}, many):
        assert exchange(target, raw("GET", "/v1/models", {**own(target), **headers}))[0] == 400
    assert exchange(target, raw("GET", f"/{'x' * bounded_http.MAX_HEAD_BYTES}", own(target)))[0] == 400
    fine = {f"X-{number}": "x" for number in range(100)}
    assert exchange(target, raw("GET", "/v1/models", {**own(target), **fine}))[0] == 200


def test_a_trailer_changes_nothing_that_was_judged(target: Daemon) -> None:
    chunked = {**own(target), **JSON, "Transfer-Encoding": "chunked"}
    trailer = b"2\r\n{}\r\n0\r\nX-ModelBreeder-Lane: nonsense\r\nHost: evil.example\r\n\r\n"

    status, _, body = exchange(target, raw("POST", CHAT, chunked, trailer))
    assert status == 400
    assert b"nonsense" not in body


def test_packed_deep_and_endless_bodies_are_refused(target: Daemon) -> None:
    packed = exchange(
        target, raw("POST", CHAT, {**own(target), **JSON, "Content-Encoding": "gzip"}, gzip.compress(BODY))
    )
    declared = raw("POST", CHAT, {**own(target), **JSON, "Content-Length": str(10**12)})
    assert (packed[0], exchange(target, declared)[0]) == (415, 413)
    for depth in (1_000, 100_000):
        deep = b'{"model":"gpt-5.4","messages":' + b"[" * depth + b"]" * depth + b"}"
        assert exchange(target, raw("POST", CHAT, {**own(target), **JSON}, deep))[0] == 400
    endless = raw("POST", CHAT, {**own(target), **JSON, "Transfer-Encoding": "chunked"})
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    assert exchange(target, endless + chunk * 33)[0] in (0, 413)


def test_a_request_that_is_never_whole_is_cut_off() -> None:
    """A slow one is cut off whatever it drips; the clock here runs faster than the daemon's."""

    class Hasty(bounded_http.BoundedHttp):
        head_s = body_s = 0.2

    async def scene(sent: bytes) -> bytes:
        app = Starlette(routes=[Route("/", _swallow, methods=["POST"])])
        config = uvicorn.Config(app, http=Hasty, ws="none", lifespan="off", log_config=None, port=0)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(sent)
            async with asyncio.timeout(60):
                try:
                    reply = await reader.read()
                except ConnectionResetError:
                    reply = b""
            writer.close()
            server.should_exit = True
            await serving
        return reply

    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    for sent in (
        b"",
        head,
        head + b"Content-Length: 9\r\n\r\n12345678",
        head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx",
    ):
        assert asyncio.run(scene(sent)) == b""


async def _swallow(request: Request) -> Response:
    await request.body()
    return Response(b"whole")
