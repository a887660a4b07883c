"""One model server as a row of configuration: where it is, what it speaks and can, how patiently it is asked."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_OLLAMA_CLOUD_TAG = re.compile(r".+:(?:.*-)?cloud\s*", re.IGNORECASE)
_OPENAI_HOST = "api.openai.com"
_SERVED_BY_ALL = frozenset({"openai.completions", "openai.embeddings"})
"""What OpenAI's likes serve beside chat."""
_VERSION = re.compile(r"/v\d\w*/*$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY_BEGINNINGS = re.compile(
    r"(?:sk|pk|rk|hf|gsk|ghp|gho|ghs|ghu|github_pat|glpat|xai|xox[abp]|r8|nvapi|pplx|csk|fw|tgp_v1|Bearer)[-_ ]\S{8,}"
    r"|AIza\w{20,}|(?:AKIA|ASIA)[0-9A-Z]{12,}|eyJ[\w-]{10,}\..*"
)
_KEY_CHARS, _KEY_SWITCHES = 12, 3
"""A word so long that changes so often between letters and digits was drawn by chance: no person names things so."""


class UpstreamSettings(BaseModel):
    """One model server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dialect: Literal["openai", "anthropic", "ollama", "llama-server", "vllm"] = "openai"
    """Whose API it speaks: Anthropic's Messages, or OpenAI's chat completions, which all others take."""
    base_url: str
    """URL up to and including the version part, as in https://api.openai.com/v1; a missing /v1 is added for every
    dialect but openai, some of whose servers have none."""
    responses: bool | None = None
    """Whether an OpenAI-compatible server takes Responses requests as they are, else they become chat requests; unset:
    api.openai.com does."""
    api_key_env: str | None = None
    """Environment variable that holds the key; none for servers that ask for none."""
    models: tuple[str, ...] = ()
    """Models that this upstream offers."""
    trust: Literal["cloud", "private"] = "cloud"
    """Whether what is sent leaves the user's own machines."""
    context: int | None = Field(None, ge=256)
    """Tokens of context of its models, which the upstream that local.runtime names must state; unset is not checked."""
    tools: bool | None = None
    """Whether its models are able to call tools; unset means no for a private upstream, not checked for a cloud."""
    vision: bool | None = None
    """Whether its models take images; unset as for tools."""
    json_schema: bool | None = None
    """Whether its models keep to a JSON schema that a request gives; unset is not checked."""
    usd_per_million_input: float | None = Field(None, ge=0)
    """Price in US dollars per million prompt tokens; unset takes the public price list."""
    usd_per_million_output: float | None = Field(None, ge=0)
    """Price in US dollars per million answer tokens; unset takes the public price list."""
    max_concurrency: int | None = Field(None, ge=1)
    """Requests that it is sent at once; more wait in line. Unset is no limit."""
    max_waiting: int = Field(64, ge=0)
    """Requests that may wait in line; further ones go to a fallback or get 429."""
    attempts: int = Field(2, ge=1, le=10)
    """Times that a request is sent in all, as long as no byte of an answer came; what was refused is sent once."""
    retry_budget_s: float = Field(5.0, ge=0)
    """Seconds that a request may pause between its attempts in all; who asks for a longer pause is not asked again."""
    cooldown_s: float = Field(10.0, ge=0)
    """Seconds that a model rests after five failures in a row; 0 asks it always. A pause that the upstream itself asks
    for is kept in any case, for up to an hour."""
    timeout_s: float = Field(600.0, gt=0)
    """Seconds for a whole request, its attempts and pauses included."""
    connect_timeout_s: float = Field(5.0, gt=0)
    """Seconds to look up the host and connect."""
    first_token_timeout_s: float = Field(300.0, gt=0)
    """Seconds to the first byte of a stream, or to the status line of an answer that is not streamed: most servers have
    all of it by then, so leave time for models that think long."""
    idle_timeout_s: float = Field(120.0, gt=0)
    """Seconds that an answer may be silent once it has begun."""

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and (not _VARIABLE.fullmatch(value) or looks_like_a_key(value)):
            raise ValueError(
                "it must be the name of an environment variable, as in OPENAI_API_KEY; put the key into that variable, "
                "and only its name here (what stands here is not shown, as it may be a key)"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _can_be_asked(cls, value: str, info: ValidationInfo) -> str:
        return _complete_url(value.strip(), adds_version=info.data.get("dialect", "openai") != "openai")

    def surface_for(self, client: str) -> str:
        """Return the surface on which it is asked for a client of another; where they differ, a request is translated.

        Both go by the ledger's names, as in `openai.chat`. Anthropic has no embeddings: who asks it for some is sent to
        Messages, which no embeddings request can be translated to.
        """
        if self.dialect == "anthropic":
            return "anthropic.messages"
        knows = urlsplit(self.base_url).hostname == _OPENAI_HOST if self.responses is None else self.responses
        same = client in _SERVED_BY_ALL or (client == "openai.responses" and knows)
        return client if same else "openai.chat"


def _complete_url(url: str, *, adds_version: bool) -> str:
    """Return a base URL with its version part and no final slash; ValueError where nobody can be asked there."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("its host or port is none; write it as in http://127.0.0.1:11434/v1") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must be http:// or https:// and a host, as in https://api.openai.com/v1")
    if "@" in parts.netloc:
        raise ValueError("it must hold no user or password; name the variable that holds the key in api_key_env")
    if "?" in url or "#" in url:
        raise ValueError("it must end before any ? or #, as paths are added to it")
    if port == 0:
        raise ValueError("port 0 is no port of a server; write the one that it listens on")
    version = "" if not adds_version or _VERSION.search(parts.path) else "/v1"
    return url.rstrip("/") + version


def looks_like_a_key(text: str) -> bool:
    """Say whether a text has the shape of a secret: how vendors' keys begin, or a long word of mixed characters."""
    if _KEY_BEGINNINGS.match(text.strip()):
        return True
    words = (word for word in re.split(r"[^A-Za-z0-9]", text) if len(word) >= _KEY_CHARS)
    return any(len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", word)) >= _KEY_SWITCHES for word in words)


def is_private(upstream: UpstreamSettings, model: str) -> bool:
    """Say whether a model runs on the user's own machines; one with a cloud tag is run by Ollama's cloud."""
    return upstream.trust == "private" and not _OLLAMA_CLOUD_TAG.fullmatch(model)
