"""What `init` finds of model servers: names of keys in the environment, never their values; servers on loopback.

Asks loopback only, for less than a second each; what does not answer as its kind does is not there.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson
from pydantic import ValidationError

from registry.entities import Json
from registry.settings import DaemonSettings, UpstreamSettings, is_private

_LOOPBACK = "127.0.0.1"
_PATIENCE_S = 0.7
_MAX_BYTES = 1 << 20
OLLAMA_PORT = 11434
LLAMA_SERVER_PORT = 8080


@dataclass(frozen=True, slots=True)
class Found:
    """A model server as a row of configuration, and in words where it was found."""

    name: str
    row: Mapping[str, Json]
    where: str
    models: Sequence[str] = field(default_factory=tuple)
    """The first is the one to take where nobody says which."""


@dataclass(frozen=True, slots=True)
class _Vendor:
    name: str
    key: str
    url_variable: str
    base_url: str
    models: tuple[str, ...]


_VENDORS = (
    _Vendor("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1", ("gpt-5.4", "gpt-5.4-mini")),
    _Vendor(
        "anthropic",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com/v1",
        ("claude-opus-5", "claude-sonnet-5", "claude-haiku-5"),
    ),
)


def clouds_in(environ: Mapping[str, str]) -> tuple[list[Found], list[str]]:
    """Return the vendors whose keys are set, and what was left out and why.

    A key belongs to the server that the vendor's URL variable names: it is never written down for another.
    """
    found, left_out = [], []
    for vendor in _VENDORS:
        if not environ.get(vendor.key):
            continue
        said = environ.get(vendor.url_variable, "").strip()
        base_url = vendor.base_url if not said or _is_this_daemon(said) else said
        row: dict[str, Json] = {"base_url": base_url, "api_key_env": vendor.key, "models": list(vendor.models)}
        row = row if vendor.name == "openai" else {"dialect": vendor.name, **row}
        try:
            UpstreamSettings.model_validate(row)
        except ValidationError:
            left_out.append(f"{vendor.key} is set, but {vendor.url_variable} is no URL that can be asked")
            continue
        also = f", {vendor.url_variable}" if base_url != vendor.base_url else ""
        found.append(Found(vendor.name, row, f"environment variable {vendor.key}{also}", vendor.models))
    return found, left_out


def _is_this_daemon(url: str) -> bool:
    """Say whether a URL is that of the router itself: tools are pointed at it by these very variables."""
    try:
        parts = urlsplit(url)
        local = parts.hostname in (_LOOPBACK, "localhost", "::1")
        return local and parts.port == DaemonSettings().port
    except ValueError:
        return False


def servers_on_loopback(ollama_port: int = OLLAMA_PORT, llama_port: int = LLAMA_SERVER_PORT) -> list[Found]:
    """Return the Ollama and the llama-server that answer on these ports of this machine."""
    return [found for found in (_ollama(ollama_port), _llama_server(llama_port)) if found is not None]


def _ollama(port: int) -> Found | None:
    listed = _get(port, "/api/tags")
    models = listed.get("models") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        return None
    names = [str(one["name"]) for one in models if isinstance(one, dict) and one.get("name")]
    return _private("ollama", port, names, {})


def _llama_server(port: int) -> Found | None:
    facts, listed = _get(port, "/props"), _get(port, "/v1/models")
    settings = facts.get("default_generation_settings") if isinstance(facts, dict) else None
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(settings, dict) or not isinstance(models, list):
        return None
    names = [str(one["id"]) for one in models if isinstance(one, dict) and one.get("id")]
    context = settings.get("n_ctx")
    known: dict[str, Json] = {"context": context} if isinstance(context, int) and context >= 256 else {}
    return _private("llama-server", port, names, known)


def _private(kind: str, port: int, names: Sequence[str], known: Mapping[str, Json]) -> Found:
    base: dict[str, Json] = {"dialect": kind, "base_url": f"http://{_LOOPBACK}:{port}/v1", "models": list(names)}
    row: dict[str, Json] = {**base, "trust": "private", **known}
    upstream = UpstreamSettings.model_validate(row)
    own = tuple(name for name in names if is_private(upstream, name))
    return Found(kind, row, f"port {port} of this machine", own)


def _get(port: int, path: str) -> Json:
    """Return what a server on loopback answers as JSON, None where nobody answers so; proxies are not asked."""
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        value: Json = orjson.loads(answer.read(_MAX_BYTES)) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
        return None
    else:
        return value
    finally:
        connection.close()
