"""The real daemon over real sockets: surfaces, the official client, secrets, errors."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pysqlite3
import pytest

from registry.database import open_database
from registry.entities import Interaction
from registry.ids import new_id
from registry.ledger import Ledger
from tests.router.daemon import KEY, Daemon, ask, daemon, get, post, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

SECRETS = {
    "email": "bob.planted@example.org",
    "card": "4111 1111 1111 1111",
    "key": "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A",
    "url": "https://planted:hunter2hunter2@db.example.org/x",
    "bearer": "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.cGxhbnRlZA.c2lnbmF0dXJlc2lnbmF0dXJl",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as server:
        yield server


@pytest.fixture(autouse=True)
def well_behaved(upstream: Upstream) -> None:
    upstream.behaviour = "ok"
    upstream.statuses, upstream.headers = [], {}
    upstream.requests.clear()
    upstream.seen_headers.clear()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def router(home: Path, upstream: Upstream) -> Iterator[Daemon]:
    write_config(home, upstream.url, more="[daemon]\nmax_in_flight = 64\n")
    with daemon(home) as child:
        yield child


@pytest.fixture
def client(router: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{router.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def recorded(home: Path, interaction_id: str) -> Interaction:
    database = open_database(home / "data" / "ledger.db")
    try:
        return Ledger(database, "reader", new_id).interaction(interaction_id)
    finally:
        database.close()


def test_the_daemon_says_where_it_listens_and_what_is_configured(router: Daemon) -> None:
    assert "listening on http://127.0.0.1:" in router.lines[-1]
    assert "vendor/gpt-5.4" in router.lines[-1]


def test_the_official_client_is_served_plainly(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "hello"}])

    assert answer.choices[0].message.content == "You said: hello"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18


def test_the_official_client_is_served_in_a_stream(client: openai.OpenAI) -> None:
    messages: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
    chunks = list(client.chat.completions.create(model="auto", messages=messages, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: hello"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_the_official_client_lists_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert {"auto", "local", "cloud", "gpt-5.4", "vendor/gpt-5.4"} <= set(names)
    assert client.models.retrieve("vendor/gpt-5.4").owned_by == "vendor"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_the_official_client_understands_an_upstreams_refusal(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.behaviour = "400"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "x"}])

    assert caught.value.body == {
        "message": "no: 400",
        "type": "upstream_kind",
        "param": "messages",
        "code": "upstream_code",
    }


@pytest.mark.parametrize("stream", [False, True])
def test_no_planted_secret_reaches_the_upstream_or_the_disk_and_all_come_back(
    home: Path, router: Daemon, upstream: Upstream, stream: bool
) -> None:
    text = " ; ".join(SECRETS.values())
    schema = {"type": "object", "properties": {"to": {"type": "string", "default": SECRETS["email"]}}}
    body = ask(text, stream=stream, user=SECRETS["email"], metadata={"note": SECRETS["key"]})
    body["messages"].insert(0, {"role": "system", "content": f"The key is {SECRETS['key']}"})
    body["tools"] = [{"type": "function", "function": {"name": "mail", "parameters": schema}}]
    status, headers, raw = post(f"{router.url}/v1/chat/completions", body)

    chunks = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: {")] if stream else [raw]
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    answer = "".join((choice["delta"] if stream else choice["message"]).get("content", "") for choice in choices)
    on_disk = b"".join(file.read_bytes() for file in (home / "data").glob("ledger.db*"))

    assert status == 200
    assert answer == f"You said: {text}"
    assert headers["x-modelbreeder-redactions"] != "none"
    for planted in ("bob.planted", "4111 1111", "Zm9vYmFy", "hunter2", "cGxhbnRlZA"):
        assert planted not in upstream.everything
        assert planted.encode() not in on_disk


def test_only_our_own_headers_and_key_reach_the_upstream(router: Daemon, upstream: Upstream) -> None:
    theirs = {
        "Authorization": "Bearer clients-own",
        "X-ModelBreeder-Workflow": "w",
        "Connection": "close",
        "Cookie": "a=b",
        "X-Forwarded-For": "10.0.0.1",
        "OpenAI-Beta": "x=1",
    }
    post(f"{router.url}/v1/chat/completions", ask("x", metadata={"session": "s"}), theirs)
    (seen,) = upstream.seen_headers

    assert seen["authorization"] == f"Bearer {KEY}"
    assert seen["openai-beta"] == "x=1"
    assert set(seen) == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "authorization",
        "openai-beta",
    }
    assert "metadata" not in upstream.requests[0]


@pytest.mark.parametrize("surface", ["chat", "messages", "responses"])
def test_no_request_names_its_upstream_a_key_a_file_or_a_command(
    router: Daemon, upstream: Upstream, surface: str
) -> None:
    with recording_upstream() as trap:
        steering = {"api_base": trap.url, "base_url": trap.url, "api_key": "of-the-client", "proxy": trap.url}
        more = {**steering, "custom_llm_provider": "x", "extra_headers": {"Host": "x"}, "verify": ["touch", "/x"]}
        body: dict[str, object] = {**ask("x"), **more, "metadata": {**steering, "command": "touch /x"}}
        path = {"chat": "chat/completions"}.get(surface, surface)
        if surface == "messages":
            body["max_tokens"] = 9
        elif surface == "responses":
            body |= {"input": body.pop("messages")}
        headers = {"Forwarded": f"host={trap.url}", "X-Forwarded-Host": trap.url, "X-Original-Url": trap.url}
        status, _, answer = post(f"{router.url}/v1/{path}", body, headers)
        hinted = post(f"{router.url}/v1/{path}", body, {"X-ModelBreeder-Base-Url": trap.url})

        assert (status, hinted[0]) == (200, 400), answer
        assert trap.requests == []
    assert len(upstream.requests) == 1
    assert upstream.seen_headers[0]["authorization"] == f"Bearer {KEY}"
    assert upstream.seen_headers[0]["host"] == urlsplit(upstream.url).netloc


@pytest.mark.parametrize("where", ["{trap}/x.png", "file:///etc/passwd", "/etc/passwd", "http://169.254.169.254/x"])
def test_no_image_or_file_that_a_request_names_is_fetched(router: Daemon, upstream: Upstream, where: str) -> None:
    with recording_upstream() as trap:
        url = where.format(trap=trap.url)
        parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
        chat = {**ask("x"), "messages": [{"role": "user", "content": parts}]}
        image = {"type": "image", "source": {"type": "url", "url": url}}
        anthropic = {**ask("x"), "max_tokens": 9, "messages": [{"role": "user", "content": [image]}]}
        answers = [
            post(f"{router.url}/v1/{path}", body)[2]
            for path, body in (("chat/completions", chat), ("messages", anthropic))
        ]
        assert trap.requests == []
    assert all(b"root:" not in one for one in answers)
    assert "root:" not in upstream.everything


@pytest.mark.parametrize(
    "model", ["http://evil.test/gpt", "evil.test/gpt-5.4", "../../x", "vendor/../x", "file:///etc"]
)
def test_no_models_name_leads_elsewhere(router: Daemon, upstream: Upstream, model: str) -> None:
    post(f"{router.url}/v1/chat/completions", {**ask("x"), "model": model})

    assert {one["host"] for one in upstream.seen_headers} <= {urlsplit(upstream.url).netloc}


def test_feedback_over_http(home: Path, router: Daemon) -> None:
    _, headers, _ = post(f"{router.url}/v1/chat/completions", ask("mail bob@example.org"))
    name = headers["x-modelbreeder-interaction"]
    verdict = {"interaction": name, "verdict": "corrected", "corrected": "to bob@example.org"}
    status, _, body = post(f"{router.url}/v1/feedback", verdict, router.admin)
    one = recorded(home, name)

    assert status == 200
    assert json.loads(body)["corrected"] == "to PIIEMAIL1@masked.invalid"
    assert one.feedback is not None
    assert one.feedback.corrected == "to PIIEMAIL1@masked.invalid"
    assert post(f"{router.url}/v1/feedback", {**verdict, "interaction": "nope"}, router.admin)[0] == 404
    assert post(f"{router.url}/v1/feedback", {"interaction": name}, router.admin)[0] == 400


def test_explaining_sends_and_records_nothing(router: Daemon, upstream: Upstream) -> None:
    status, _, body = post(
        f"{router.url}/v1/route/explain", {"text": "to bob@example.org", "workflow": "w"}, router.admin
    )
    told = json.loads(body)
    chat = json.loads(post(f"{router.url}/v1/route/explain", {**ask("x"), "model": "local"}, router.admin)[2])

    assert status == 200
    assert told["decision"]["lane"] == "cloud_escalation"
    assert told["decision"]["candidates"][0]["usd_per_million_tokens"] == 4.0
    assert told["envelope"]["workflow"] == "w"
    assert told["redactions"] == {"PIIEMAIL": 1}
    assert "bob" not in body.decode()
    assert chat["decision"]["rule"] == "explicit-lane"
    assert upstream.requests == []


def test_health_and_readiness(router: Daemon) -> None:
    assert get(f"{router.url}/healthz")[0] == 200
    status, _, body = get(f"{router.url}/readyz", router.admin)

    assert status == 200
    assert json.loads(body)["checks"] == {"ledger": "ok", "backend": "ok"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/chat/completions", b"{nonsense", {}, 400),
        ("/v1/chat/completions", b'{"model":"x"}', {}, 400),
        ("/v1/chat/completions", b'{"model":"x","messages":[{}]}', {"X-ModelBreeder-Minimum-Margin": "high"}, 400),
        ("/v1/chat/completions", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("/v1/chat/completions", b"{}", {"Host": "evil.test"}, 403),
        ("/v1/chat/completions", b"{}", {"Origin": "http://evil.test"}, 403),
        ("/v1/nothing", b"{}", {}, 404),
        ("/healthz", b"{}", {}, 405),
    ],
)
def test_every_refusal_has_openais_envelope(
    router: Daemon, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    told, answered, raw = post(router.url + path, body, headers)

    assert told == status
    assert answered["content-type"] == "application/json"
    assert set(json.loads(raw)["error"]) == {"message", "type", "param", "code"}


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(router: Daemon) -> None:
    connection = http.client.HTTPConnection(urlsplit(router.url).netloc, timeout=10)
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(40 << 20))
    connection.endheaders()
    response = connection.getresponse()

    assert response.status == 413
    assert json.loads(response.read())["error"]["type"] == "invalid_request_error"
    connection.close()


@pytest.mark.parametrize(("status", "told"), [(401, 502), (403, 403), (404, 404), (422, 422), (500, 502), (302, 502)])
def test_upstream_statuses(router: Daemon, upstream: Upstream, status: int, told: int) -> None:
    upstream.behaviour = str(status)

    assert post(f"{router.url}/v1/chat/completions", ask("x"))[0] == told


def test_one_failure_of_the_upstream_is_tried_again_and_billed_once(
    home: Path, router: Daemon, upstream: Upstream
) -> None:
    upstream.statuses = [503]
    status, headers, _ = post(f"{router.url}/v1/chat/completions", ask("x"))
    outcome = recorded(home, headers["x-modelbreeder-interaction"]).outcome

    assert status == 200
    assert len(upstream.requests) == 2
    assert outcome is not None
    assert outcome.cost_usd == pytest.approx(11 * 2e-6 + 7 * 10e-6)


def test_a_long_wait_is_passed_on_with_its_header(router: Daemon, upstream: Upstream) -> None:
    upstream.behaviour, upstream.headers = "429", {"Retry-After": "3600"}
    # A name of its own: this model then rests for as long as it asked.
    status, headers, _ = post(f"{router.url}/v1/chat/completions", ask("x", model="limited"))

    assert (status, headers["retry-after"]) == (429, "3600")
    assert len(upstream.requests) == 1


def test_metrics_count_what_was_served(router: Daemon) -> None:
    post(f"{router.url}/v1/chat/completions", ask("count me"))
    _, headers, body = get(f"{router.url}/metrics", router.admin)
    page = body.decode()

    assert headers["content-type"].startswith("text/plain")
    assert 'lane="cloud_escalation"' in page
    assert "count me" not in page


def test_a_deadline_ends_a_silent_upstream(router: Daemon, upstream: Upstream) -> None:
    upstream.behaviour = "hang"
    started = time.monotonic()
    status, _, body = post(f"{router.url}/v1/chat/completions", ask("x"), {"X-ModelBreeder-Deadline-Ms": "300"})

    assert status == 504
    assert json.loads(body)["error"]["code"] == "upstream_timeout"
    assert time.monotonic() - started < 30


def test_nothing_leaves_while_the_ledger_cannot_be_written(home: Path, router: Daemon, upstream: Upstream) -> None:
    other = pysqlite3.connect(home / "data" / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        status, _, body = post(f"{router.url}/v1/chat/completions", ask("x"))
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert status == 503
    assert json.loads(body)["error"]["code"] == "ledger_unavailable"
    assert upstream.requests == []
    assert post(f"{router.url}/v1/chat/completions", ask("x"))[0] == 200


def test_the_daemons_files_are_private(home: Path, router: Daemon) -> None:
    assert get(f"{router.url}/healthz")[0] == 200
    assert (home / "data" / "ledger.db").stat().st_mode & 0o077 == 0
