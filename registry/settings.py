"""`modelbreeder.toml` as typed settings: file, then MODELBREEDER_... environment variables on top.

An unknown or wrong key is a ConfigError of one line that names the key and the nearest known one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from typing_extensions import override

from registry.entities import Durability, Purpose
from registry.errors import ConfigError
from registry.policies import (
    LOCAL_ONLY_CLASSES,
    PUBLIC,
    BudgetSettings,
    Choice,
    DataClassSettings,
    PolicyRule,
    PolicySettings,
    TaskType,
    VerifySettings,
)
from registry.setting_problems import problem_in
from registry.upstreams import UpstreamSettings, is_private, looks_like_a_key

__all__ = [
    "EMBEDDED", "LOCAL_ONLY_CLASSES", "PUBLIC", "SEEDLING", "BudgetSettings", "Choice", "DaemonSettings",
    "DataClassSettings", "LedgerSettings", "LocalSettings", "PolicyRule", "PolicySettings", "RedactionSettings",
    "RetentionSettings", "Settings", "TaskType", "UpstreamSettings", "VerifySettings", "check_targets", "is_private",
    "load_settings", "overlaid",
]  # fmt: skip

EMBEDDED = "embedded"
SEEDLING = "seedling"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DaemonSettings(_Section):
    """The router daemon."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback is refused until `modelbreeder token add` made a token, and without
    TLS: `tls_cert` and `tls_key`, or a proxy that `behind_proxy` tells of."""
    port: int = Field(8484, ge=0, le=65535)
    """TCP port; 0 takes a free one and prints it."""
    hosts: tuple[str, ...] = ()
    """Names, without port, by which clients on other machines may call it, as in models.example.org; loopback and the
    address reached are known. Where there is one, a token is needed on loopback too, as a proxy may stand before it."""
    tls_cert: Path | None = None
    """PEM file with the certificate and its chain, for TLS without a proxy; with `tls_key`."""
    tls_key: Path | None = None
    """PEM file with the key of `tls_cert`."""
    behind_proxy: bool = False
    """Whether a proxy that speaks TLS with the clients stands before it, so that none of them comes directly."""
    max_in_flight: int = Field(256, ge=1)
    """Requests served at once; further ones wait, or get 503 and Retry-After."""
    max_waiting: int = Field(64, ge=0)
    """Requests that wait for one of these places; 0 lets none wait."""
    max_wait_s: float = Field(5.0, gt=0)
    """Seconds that one waits before it gets 503 and Retry-After."""
    drain_s: float = Field(10.0, ge=0)
    """Seconds that a stopping daemon gives the requests in flight."""
    log: Literal["text", "json"] = "text"
    """Form of the daemon's log on standard error: lines for people, or one JSON object a line."""

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]", name):
                raise ValueError(f"{name!r} is no name; write it in lower case, without port, as in models.example.org")
        return value

    @model_validator(mode="after")
    def _has_both_halves(self) -> DaemonSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("daemon.tls_cert and daemon.tls_key go together; set both, or none")
        return self


class LocalSettings(_Section):
    """The local lane."""

    runtime: str = EMBEDDED
    """Who answers general tasks locally: a private upstream by its name; embedded serves specialists only."""
    base: str = SEEDLING
    """With a private upstream as runtime its model that is the general local base; with the embedded engine the
    shipped base, a Hugging Face folder or id that specialists are bred from where no recipe is named."""
    threads: int | None = Field(None, ge=1)
    """Decoding threads of the engine process; unset takes one for a small base, else all cores."""
    context: int = Field(2048, ge=256)
    """Tokens of context of the engine process."""

    @property
    def general_upstream(self) -> str | None:
        """The private upstream that runs the general local base, None where there is no such base."""
        return None if self.runtime == EMBEDDED else self.runtime

    @property
    def breeding_base(self) -> str:
        """The base that specialists are bred from where no recipe is named; an upstream's model cannot be one."""
        return self.base if self.runtime == EMBEDDED else SEEDLING


class RedactionSettings(_Section):
    """What is masked before anything leaves."""

    rules: dict[str, str] = {"CUSTOMER": r"(?i:customer_[0-9]+)"}
    """Further patterns: placeholder type to regular expression; linear time, so without look-around."""
    names: tuple[str, ...] = ()
    """Names of people, clients or projects, masked as PIINAME wherever they stand as whole words, in any letter case;
    without them and without a language model no name is found."""
    paths: tuple[str, ...] = ()
    """Globs of repository paths that are not to be named, masked as REPOPATH: `clients/acme/**`, `*.pem`."""
    allow: tuple[str, ...] = ()
    """Values that are never masked, as globs over the whole value in any letter case: `help@ours.com`, `*.ours.com`."""
    off: tuple[str, ...] = ()
    """Types that are not masked. All are on: SECRET, PIIEMAIL, PIICARD, PIIIBAN, PIISSN, PIIPHONE, PIIIP (public
    addresses only), PIIURL (sites that may be somebody's own; not the well-known ones) and those of `rules`."""
    presidio: bool = False
    """Whether Presidio's patterns look too, for PIIID: papers, licences, wallets, accounts. It needs
    `pip install 'modelbreeder[pii]'`, some seconds at start and 0.03 s for 100 KB that were not seen before."""
    presidio_score: float = Field(0.4, ge=0.0, le=1.0)
    """The least score that a finding of Presidio's counts with; a word such as `passport` before it adds 0.35."""
    ner_model: Path | None = None
    """Folder of a spaCy pipeline that marks people, places and organisations, masked as PIINAME, PIIPLACE and PIIORG.
    It is never downloaded; it needs `pip install 'modelbreeder[pii]'`."""


class RetentionSettings(_Section):
    """How long the ledger keeps what was said; after that it is erased, and what was counted of it stays."""

    default_days: float | None = Field(None, gt=0)
    """Days that prompts and answers are kept where `classes` says nothing of their data class; unset keeps them."""
    classes: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Days by data class, as in { patient = 30, client = 90 }."""


class LedgerSettings(_Section):
    """The system of record."""

    url: str | None = None
    """Database URL; unset is a SQLite file in the home."""
    encryption: Literal["none", "keyring", "credential", "file"] = "none"
    """Where the key is that encrypts the SQLite file: in the desktop's keyring, in the systemd credential
    modelbreeder-ledger-key, or in key_file. After a change of it, `modelbreeder ledger encrypt` or `ledger decrypt`."""
    key_file: Path | None = None
    """With encryption = "file": a file that only you can read, best on another disk than the ledger;
    `modelbreeder ledger encrypt` makes it."""
    keep_raw: bool = False
    """Whether an encrypted ledger keeps each request also as it came, unmasked, for `ledger show --raw`. It is never
    mined, exported or sent; images and files in it are left out."""
    durability: Durability = Durability.FULL
    """What a power cut may take: nothing that anybody was told (full), or at most the outcomes and local requests of
    the last 50 ms (normal, which spares each request a flush of the disk). What leaves for a cloud is always on the
    disk before, and no setting lets the death of the process take anything."""
    purpose: Literal[Purpose.USER, Purpose.REHEARSAL] = Purpose.USER
    """What this home's traffic is; `rehearsal` homes are made by `rehearse` and `demo`."""
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _key_has_a_place(self) -> LedgerSettings:
        if self.encryption == "file" and self.key_file is None:
            raise ValueError("ledger.encryption is 'file', but ledger.key_file is not set; name the key's file")
        if self.encryption != "file" and self.key_file is not None:
            raise ValueError(
                f"ledger.key_file is set, but ledger.encryption is {self.encryption!r}; remove ledger.key_file, "
                "or set ledger.encryption to 'file'"
            )
        if self.encryption != "none" and "://" in (self.url or "") and not (self.url or "").startswith("sqlite"):
            raise ValueError("ledger.encryption is for SQLite files; let the server of ledger.url encrypt its disk")
        if self.keep_raw and self.encryption == "none":
            raise ValueError("ledger.keep_raw is for encrypted ledgers alone; set ledger.encryption, or unset it")
        return self


class Settings(BaseSettings):
    """Everything that modelbreeder.toml may say."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="MODELBREEDER_", env_nested_delimiter="__", env_ignore_empty=True
    )

    daemon: DaemonSettings = DaemonSettings()
    upstreams: dict[str, UpstreamSettings] = {}
    local: LocalSettings = LocalSettings()
    policy: PolicySettings = PolicySettings()
    redaction: RedactionSettings = RedactionSettings()
    ledger: LedgerSettings = LedgerSettings()
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The file that they were read from, None where they were not read from any."""
        return self._file

    def read_from(self, file: Path) -> Settings:
        """Return these settings, which now know their file: what is wrong with their rules is found out later."""
        self._file = file
        return self

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, which arrives as init arguments."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _targets_are_known(self) -> Settings:
        check_targets(self.policy, self.upstreams)
        return self

    @model_validator(mode="after")
    def _local_runtime_is_private(self) -> Settings:
        if EMBEDDED in self.upstreams:
            raise ValueError(f"upstreams.{EMBEDDED} has the name of the embedded engine; name it otherwise")
        if self.local.general_upstream is not None:
            _check_general_base(self.local, self.upstreams)
        return self


def check_targets(policy: PolicySettings, upstreams: Mapping[str, UpstreamSettings]) -> None:
    """Raise ValueError where a policy sends tasks to an upstream that there is not."""
    for key, targets in (
        ("cloud", (policy.cloud,) if policy.cloud is not None else ()),
        ("fallbacks", policy.fallbacks),
        ("content_policy_fallbacks", policy.content_policy_fallbacks),
    ):
        for target in targets:
            if flaw := _target_flaw(target, upstreams):
                shown = "(a text that looks like a key, not shown)" if looks_like_a_key(target) else repr(target)
                raise ValueError(f"policy.{key} {shown} {flaw}")


def _target_flaw(target: str, upstreams: Mapping[str, UpstreamSettings]) -> str:
    """Say why nobody can be asked for a target, and what to write instead; empty where somebody can."""
    upstream, slash, model = target.partition("/")
    known = ", ".join(sorted(upstreams)) or "none are configured"
    if upstream in upstreams and model:
        return ""
    if looks_like_a_key(target):
        return f"is not UPSTREAM/MODEL, as in openai/gpt-5.4; upstreams: {known}"
    if not (upstream and slash and model):
        offers = [f"{name}/{target}" for name, one in sorted(upstreams.items()) if target in one.models]
        hint = f"did you mean {offers[0]!r}?" if offers else f"upstreams: {known}"
        return f"is not UPSTREAM/MODEL, as in openai/gpt-5.4; {hint}"
    near = difflib.get_close_matches(upstream, upstreams, n=1)
    hint = f"did you mean {near[0] + '/' + model!r}?" if near else f"add [upstreams.{upstream}], or name another"
    return f"names upstream {upstream!r}, which is not configured; {hint} (upstreams: {known})"


def _check_general_base(local: LocalSettings, upstreams: Mapping[str, UpstreamSettings]) -> None:
    """Raise ValueError unless the runtime is a private upstream and the base a model of its own."""
    private = [name for name, upstream in upstreams.items() if upstream.trust == "private"]
    if local.runtime not in private:
        why = "is no private upstream" if local.runtime in upstreams else "is no upstream"
        raise ValueError(
            f"local.runtime {local.runtime!r} {why}; write {EMBEDDED!r} or one whose trust is private: "
            f"{', '.join(sorted(private)) or 'none are configured'}"
        )
    listed = upstreams[local.runtime].models
    if local.base == SEEDLING or (listed and local.base not in listed):
        known = f"; listed are {', '.join(listed)}" if listed else ""
        raise ValueError(f"local.base {local.base!r} must be a model of upstream {local.runtime!r}{known}")
    if upstreams[local.runtime].context is None:
        key = f"upstreams.{local.runtime}.context"
        raise ValueError(f"{key} must be set, as local.runtime names it; write the tokens of context of {local.base!r}")
    if not is_private(upstreams[local.runtime], local.base):
        raise ValueError(f"local.base {local.base!r} is run by Ollama's cloud; name a model that runs on your machines")


def overlaid(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return values under others, table by table."""
    both = {
        key: overlaid(values[key], one) if isinstance(one, dict) and isinstance(values.get(key), dict) else one
        for key, one in over.items()
    }
    return {**values, **both}


def load_settings(
    config_file: Path, *, must_exist: bool = False, over: Mapping[str, object] = MappingProxyType({})
) -> Settings:
    """Read and validate the settings; a missing file means the defaults, unless it must exist.

    Values of another file may stand over those of this one.

    Raises:
        ConfigError: the file cannot be read or parsed, or a key or value is not acceptable.
    """
    values: dict[str, Any] = {}
    try:
        if must_exist or config_file.exists():
            values = tomllib.loads(config_file.read_text(encoding="utf-8"))
        values = overlaid(values, over)
        hidden = [key for key in values if key.startswith("_")]
        if hidden:
            # pydantic-settings would take it as an order to itself.
            known = ", ".join(Settings.model_fields)
            raise ConfigError(f"{config_file}: unknown key {hidden[0]!r}; known keys: {known}")
        return Settings(**values).read_from(config_file)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config_file} is not valid TOML: {error}; mend that line") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_file} cannot be read: {error}; check the file and its rights") from error
    except SettingsError as error:
        field = "".join(re.findall(r'field "(\w+)"', str(error))).upper()
        said = f"the environment variable MODELBREEDER_{field}, or one that begins so, is not JSON"
        raise ConfigError(f"{config_file}: {said}; write it as JSON, or unset it") from error
    except ValidationError as error:
        raise ConfigError(f"{config_file}: {problem_in(error, Settings, values)}") from error
