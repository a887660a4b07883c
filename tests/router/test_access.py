"""Who may ask: nobody is kept out before a token is made, and nobody gets in without one after."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.database import open_database
from registry.errors import ConfigError, LedgerError, RedactionError
from registry.ids import utc_now
from registry.settings import DaemonSettings
from registry.tokens import Client, ClientToken, Tokens
from router.access import CLIENTS_PATHS, OPEN_PATHS, Access
from router.admission import InFlight
from router.app import make_app
from router.dialects.known import dialects
from router.listening import bind
from router.problems import UnauthenticatedError
from tests.router.daemon import admin_of, ask, daemon, get, post, run_command, write_config
from tests.router.making import NOON, World, run, settings, task, world
from tests.router.recording_upstream import recording_upstream
from tests.router.test_daemon_streams import eventually

ANTHROPIC = {"model": "gpt-5.4", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
PATHS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/auto"),
    ("POST", "/v1/feedback"),
    ("POST", "/v1/route/explain"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("HEAD", "/"),
    ("GET", "/no/such/path"),
]


@asynccontextmanager
async def guarded(root: Path, **given: Any) -> AsyncIterator[tuple[World, httpx2.AsyncClient, Tokens, list[float]]]:
    now_s = [0.0]
    async with world(root, settings(**given), monotonic=lambda: now_s[0]) as made:
        transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield made, client, Tokens(made.deps.database), now_s


def test_before_a_token_is_made_any_key_or_none_passes_on_loopback(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, _, _):
            for headers in ({}, {"Authorization": "Bearer sk-anything"}, {"x-api-key": "anything"}):
                assert (await client.post("/v1/chat/completions", json=task(), headers=headers)).status_code == 200
            assert {one.intent.client for one in made.interactions()} == {"local"}

    run(scene())


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "authorization: bearer  {} ", "x-api-key: {}", "api-key: {}"]
)
def test_a_token_in_any_of_the_headers_lets_its_client_in_under_its_name(tmp_path: Path, header: str) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, _):
            token = tokens.add("ci", NOON)
            name, _, value = header.format(token).partition(": ")
            answer = await client.post("/v1/chat/completions", json=task(), headers={name: value})
            (one,) = made.interactions()

            assert answer.status_code == 200
            assert one.intent.client == "ci"

    run(scene())


def test_a_good_token_beside_another_key_is_enough(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (_, client, tokens, _):
            both = {"x-api-key": tokens.add("ci", NOON), "Authorization": "Bearer sk-vendor"}
            assert (await client.get("/v1/models", headers=both)).status_code == 200

    run(scene())


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_path_but_one_needs_a_token(tmp_path: Path, method: str, path: str) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, _):
            token = tokens.add("ci", NOON)
            without = await client.request(method, path, json=task())
            wrong = await client.request(method, path, json=task(), headers={"x-api-key": f"{token}x"})
            good = await client.request(method, path, json=task(), headers={"x-api-key": token})
            admin = await client.request(method, path, json=task(), headers=admin_of(tmp_path))

            assert (without.status_code, wrong.status_code) == (401, 401)
            assert without.headers["www-authenticate"] == "Bearer"
            assert (good.status_code == 401) == (path == "/metrics")
            assert admin.status_code != 401
            assert (await client.get("/healthz")).status_code == 200
            assert token not in wrong.text

    run(scene())


def test_a_refusal_is_told_in_the_clients_dialect(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (_, client, tokens, _):
            tokens.add("ci", NOON)
            chat = await client.post("/v1/chat/completions", json=task())
            messages = await client.post("/v1/messages", json=ANTHROPIC, headers={"x-request-id": "mine"})

            assert chat.json()["error"]["code"] == "invalid_api_key"
            assert set(chat.json()["error"]) == {"message", "type", "param", "code"}
            assert messages.json()["type"] == "error"
            assert messages.json()["error"]["type"] == "authentication_error"
            assert chat.headers["x-should-retry"] == "false"

    run(scene())


@pytest.mark.parametrize("key", ["' OR 1=1 --", "\x00", "x" * 100_000, "mbt_", "Bearer", "ü", "%s"])
def test_strange_keys_are_refused_and_nothing_breaks(tmp_path: Path, key: str) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, _):
            tokens.add("ci", NOON)
            answer = await client.get("/v1/models", headers={b"x-api-key": key.encode("utf-8", "replace")})

            assert answer.status_code == 401
            assert made.interactions() == []

    run(scene())


def test_a_revoked_token_is_out_within_a_second_and_its_client_is_told(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (_, client, tokens, now_s):
            token = {"x-api-key": tokens.add("ci", NOON)}
            assert (await client.get("/v1/models", headers=token)).status_code == 200
            tokens.revoke("ci", NOON)
            now_s[0] = 1.0
            refused = await client.get("/v1/models", headers=token)

            assert refused.status_code == 401
            assert "client 'ci' was revoked" in refused.text
            assert (await client.get("/v1/models")).status_code == 401

    run(scene())


def test_what_the_last_token_closed_only_forgetting_it_opens(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (_, client, tokens, now_s):
            tokens.add("ci", NOON)
            tokens.revoke("ci", NOON)
            assert (await client.get("/v1/models")).status_code == 401
            tokens.forget("ci")
            now_s[0] = 1.0
            assert (await client.get("/v1/models")).status_code == 200

    run(scene())


def test_off_loopback_a_token_is_needed_also_where_none_is_left(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path, daemon=DaemonSettings(host="0.0.0.0", hosts=("box.example",))) as (
            _,
            client,
            tokens,
            now_s,
        ):
            assert (await client.get("/v1/models")).status_code == 401
            token = {"x-api-key": tokens.add("ci", NOON), "Host": "box.example:8484"}
            now_s[0] = 1.0
            assert (await client.get("/v1/models", headers=token)).status_code == 200
            for page in ("https://evil.example", "http://box.example:8484", "null"):
                assert (await client.get("/v1/models", headers={**token, "Origin": page})).status_code == 403
            assert (await client.get("/v1/models", headers={**token, "Host": "other.example"})).status_code == 403

    run(scene())


def test_a_verdict_is_recorded_under_its_clients_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, _):
            token = {"x-api-key": tokens.add("ci", NOON)}
            answer = await client.post("/v1/chat/completions", json=task(), headers=token)
            verdict = {"interaction": answer.headers["x-modelbreeder-interaction"], "verdict": "accepted"}
            await client.post("/v1/feedback", json=verdict, headers=token)
            (one,) = made.interactions()

            assert one.feedback is not None
            assert one.feedback.client == "ci"

    run(scene())


def test_what_could_not_be_inspected_is_recorded_under_its_clients_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, _):
            token = {"x-api-key": tokens.add("ci", NOON)}
            router = made.deps.router
            router.rulebook = replace(router.rulebook, redactor=Blind())  # type: ignore[arg-type]
            answer = await client.post("/v1/messages", json=ANTHROPIC, headers=token)
            (one,) = made.interactions()

            assert answer.status_code == 503
            assert (one.intent.client, one.intent.surface) == ("ci", "anthropic.messages")

    run(scene())


class Blind:
    """A redactor that can inspect nothing."""

    def redact(self, *_: Any, **__: Any) -> Any:
        raise RedactionError("it is dark")


class Reader:
    """Tokens that can be read as often as told."""

    def __init__(self, reads: int) -> None:
        self.reads = reads
        self.known: Sequence[ClientToken] = []

    def all(self) -> Sequence[ClientToken]:
        self.reads -= 1
        if self.reads < 0:
            raise LedgerError("the disk is gone")
        return self.known


def test_tokens_that_cannot_be_read_anew_hold_as_last_known_and_never_open_the_door(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = [0.0]
    reader = Reader(1)
    access = Access(reader, lambda: now_s[0], always=True)
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            access.client_of({})
        now_s[0] += 1
    assert caplog.text.count("the tokens cannot be read") == 2
    with pytest.raises(LedgerError):
        Access(Reader(0), lambda: 0.0).client_of({})


@bounded(max_examples=150)
@given(st.dictionaries(st.sampled_from(["authorization", "x-api-key", "api-key", "host"]), st.text(max_size=40)))
def test_no_headers_but_those_with_a_token_let_anybody_in(headers: dict[str, str]) -> None:
    reader = Reader(1)
    reader.known = [ClientToken(Client("ci"), "salt", "0" * 64, NOON)]
    with pytest.raises(UnauthenticatedError):
        Access(reader, lambda: 0.0).client_of(headers)


def test_a_daemons_tokens_are_made_listed_and_revoked_by_command_while_it_runs(tmp_path: Path) -> None:
    with recording_upstream() as upstream:
        write_config(tmp_path, upstream.url, more='[daemon]\nlog = "json"\n')
        with daemon(tmp_path) as router:
            chat = f"{router.url}/v1/chat/completions"
            assert post(chat, ask("x"))[0] == 200
            made = run_command(tmp_path, "token", "add", "ci", "--budget-day-usd", "0")
            token = made.stdout.strip()
            assert "not shown again" in made.stderr and "refuses requests without" in made.stderr
            headers = {"Authorization": f"Bearer {token}"}
            eventually(lambda: post(chat, ask("x"))[0] == 401)

            assert post(chat, ask("x"), headers)[0] == 403
            rich = json.loads(run_command(tmp_path, "token", "add", "laptop", "--json").stdout)["token"]
            eventually(lambda: post(chat, ask("x"), {"x-api-key": rich})[0] == 200)
            again = run_command(tmp_path, "token", "add", "ci")
            assert (again.returncode, again.stdout) == (4, "")

            assert run_command(tmp_path, "token", "revoke", "laptop").returncode == 0
            eventually(lambda: post(chat, ask("x"), {"x-api-key": rich})[0] == 401)
            assert get(f"{router.url}/healthz")[0] == 200
            listed = json.loads(run_command(tmp_path, "token", "ls", "--json").stdout)
            assert router.stop() == 0
    stored = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("ledger.db*"))

    assert [(one["client"], one["budget_day_usd"], bool(one["revoked_at_utc"])) for one in listed] == [
        ("ci", 0.0, False),
        ("laptop", None, True),
    ]
    for secret in (token, rich):
        assert secret not in upstream.everything
        assert secret not in "\n".join(router.lines)
        assert secret.encode() not in stored


def test_the_daemon_listens_elsewhere_once_a_token_is_made_and_something_speaks_tls(tmp_path: Path) -> None:
    def serving(more: str) -> str:
        write_config(tmp_path, "http://127.0.0.1:9/v1", more=f'[daemon]\nhost = "0.0.0.0"\n{more}')
        return run_command(tmp_path, "serve", "--port", "0").stderr

    assert "modelbreeder token add" in serving("behind_proxy = true")
    database = open_database(tmp_path / "data" / "ledger.db")
    token = Tokens(database).add("ci", utc_now())
    database.close()
    assert "daemon.tls_cert" in serving("")
    assert "cannot be used" in serving('tls_cert = "/no/cert.pem"\ntls_key = "/no/key.pem"')
    assert "go together" in serving('tls_cert = "/no/cert.pem"')
    write_config(tmp_path, "http://127.0.0.1:9/v1", more='[daemon]\nhost = "0.0.0.0"\nbehind_proxy = true\n')
    with daemon(tmp_path) as router:
        url = router.url.replace("0.0.0.0", "127.0.0.1")
        assert get(f"{url}/v1/models")[0] == 401
        assert get(f"{url}/v1/models", {"x-api-key": token})[0] == 200


def test_the_daemon_speaks_tls_itself(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certify(cert, key)
    write_config(tmp_path, "http://127.0.0.1:9/v1", more=f'[daemon]\ntls_cert = "{cert}"\ntls_key = "{key}"\n')
    with daemon(tmp_path) as router:
        trusting = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(verify=trusting, trust_env=False) as client:
            answer = client.get(f"{router.url}/v1/models")

    assert router.url.startswith("https://")
    assert answer.status_code == 200


def certify(cert: Path, key: Path) -> None:
    """Write a certificate for loopback, and its key."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now).not_valid_after(now + timedelta(days=2))
    signed = dated.add_extension(address, critical=False)
    cert.write_bytes(signed.sign(secret, hashes.SHA256()).public_bytes(Encoding.PEM))
    key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_where_a_proxy_may_stand_before_it_loopback_wants_a_token_too(tmp_path: Path) -> None:
    async def scene(**door: Any) -> int:
        async with guarded(tmp_path, daemon=DaemonSettings(**door)) as (_, client, _, _):
            return (await client.get("/v1/models")).status_code

    assert [run(scene()), run(scene(hosts=("box.example",))), run(scene(behind_proxy=True))] == [200, 401, 401]


def test_only_the_admin_or_a_client_in_its_own_name_gets_at_more_than_models(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, tokens, now_s):
            admin = admin_of(tmp_path)
            of_nobody = (await client.post("/v1/chat/completions", json=task())).headers["x-modelbreeder-interaction"]
            for method, path in (("POST", "/v1/feedback"), ("POST", "/v1/route/explain"), ("GET", "/metrics")):
                for headers in ({}, {"Authorization": "Bearer sk-anything"}, {"x-api-key": admin["Authorization"]}):
                    # A pattern that ends in `$` takes a line feed too.
                    for asked in (path, f"{path}%0A"):
                        refused = await client.request(method, asked, json=task(), headers=headers)
                        assert (refused.status_code, "admin.token" in refused.text) == (401, True)
            mine, other = ({"x-api-key": tokens.add(name, NOON)} for name in ("mine", "other"))
            now_s[0] = 1.0
            answer = await client.post("/v1/chat/completions", json=task(), headers=mine)
            of_mine = answer.headers["x-modelbreeder-interaction"]

            async def judge(name: str, headers: dict[str, str]) -> int:
                verdict = {"interaction": name, "verdict": "accepted"}
                return (await client.post("/v1/feedback", json=verdict, headers=headers)).status_code

            assert [await judge(of_mine, mine), await judge(of_mine, admin), await judge(of_nobody, admin)] == [200] * 3
            assert [await judge(of_mine, other), await judge(of_nobody, mine), await judge("no", mine)] == [404] * 3
            assert (await client.post("/v1/route/explain", json=task(), headers=mine)).status_code == 200

    run(scene())


def test_the_admins_token_never_goes_on_to_a_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (made, client, _, _):
            admin = admin_of(tmp_path)
            token = admin["Authorization"].removeprefix("Bearer ")
            for headers in (admin, {"x-api-key": token}, {"api-key": token}):
                assert (await client.post("/v1/chat/completions", json=task(), headers=headers)).status_code == 200
                assert (await client.post("/v1/messages", json=ANTHROPIC, headers=headers)).status_code == 200
            assert token not in str(made.cloud.headers) + str(made.cloud.requests) + str(made.interactions())

    run(scene())


def test_strangers_learn_no_more_than_that_the_daemon_is_there_and_ready(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path) as (_, client, _, _):
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/readyz")).json() == {"status": "ready"}
            assert {"checks", "policy"} <= set((await client.get("/readyz", headers=admin_of(tmp_path))).json())

    run(scene())


def test_every_path_is_known_as_the_models_or_as_more(tmp_path: Path) -> None:
    async def scene() -> set[str]:
        async with world(tmp_path) as made:
            return {route.path for route in make_app(made.deps, InFlight(4)).routes}  # type: ignore[attr-defined]

    models = {f"/v1{one.path}" for one in dialects()} | {
        "/v1/messages/count_tokens",
        "/v1/models",
        "/v1/models/{name:path}",
    }
    assert run(scene()) == models | {"/", "/readyz"} | OPEN_PATHS | CLIENTS_PATHS


def test_a_guarded_address_must_still_be_one() -> None:
    with pytest.raises(ConfigError, match=r"example\.org"):
        bind(DaemonSettings(host="example.org", port=0), guarded=True)
