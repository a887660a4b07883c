"""One model server as a row of configuration: where it is, what it speaks and can, how patiently it is asked."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_OLLAMA_CLOUD_TAG = re.compile(r".+:(?:.*-)?cloud\s*", re.IGNORECASE)
_OPENAI_HOST = "api.openai.com"
_SERVED_BY_ALL = frozenset({"openai.completions", "openai.embeddings"})
"""What OpenAI's likes serve beside chat."""
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where AWS, Google, Azure, Alibaba and Oracle tell a machine its credentials, beside 169.254.169.254."""
_NAT64 = ip_network("64:ff9b::/96")
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
    internal: bool = False
    """Whether the host name of a cloud may lead to a private address, as that of a company's gateway does; what is
    private and an address that base_url itself names are asked anyway."""
    pass_fields: tuple[str, ...] = ()
    """Further fields of requests that it gets, as in ["plugins"], beside those that its dialect publishes and the usual
    ones of sampling and thinking; others are left out, as a proxy may take one for an address or a key. The vendor's
    own API, known by its host, gets all."""
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

    @property
    def may_be_near(self) -> bool:
        """Whether its address may be a private one."""
        host = urlsplit(self.base_url).hostname or ""
        return self.trust == "private" or self.internal or host == "localhost" or _address(host) is not None

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
    if _address(parts.hostname) is not None and (flaw := address_flaw(parts.hostname, near=True)):
        raise ValueError(f"its address {flaw}; name a model server")
    if port == 0:
        raise ValueError("port 0 is no port of a server; write the one that it listens on")
    version = "" if not adds_version or _VERSION.search(parts.path) else "/v1"
    return url.rstrip("/") + version


def address_flaw(address: str, *, near: bool) -> str:
    """Say why nothing may be sent to an address, empty where it may; `near` lets it be a private one.

    Link-local addresses and some others answer any program of a machine in a cloud with that machine's credentials.
    """
    found = _address(address)
    if found is None:
        return "is no address"
    if found in _METADATA or found.is_link_local:
        return "is one at which machines get credentials, not models"
    return "" if near or found.is_global else "is private"


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4 one that IPv6 only wraps as itself; None where a host is a name."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    return found.ipv4_mapped or (IPv4Address(found.packed[-4:]) if found in _NAT64 else found)


def looks_like_a_key(text: str) -> bool:
    """Say whether a text has the shape of a secret: how vendors' keys begin, or a long word of mixed characters."""
    if _KEY_BEGINNINGS.match(text.strip()):
        return True
    words = (word for word in re.split(r"[^A-Za-z0-9]", text) if len(word) >= _KEY_CHARS)
    return any(len(re.findall(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", word)) >= _KEY_SWITCHES for word in words)


def is_private(upstream: UpstreamSettings, model: str) -> bool:
    """Say whether a model runs on the user's own machines; one with a cloud tag is run by Ollama's cloud."""
    return upstream.trust == "private" and not _OLLAMA_CLOUD_TAG.fullmatch(model)
