"""A configuration with any one thing wrong is told in one line that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from registry.config_file import toml_value
from registry.errors import ConfigError
from registry.settings import PolicySettings, Settings, load_settings
from registry.upstreams import looks_like_a_key

KEYS = (
    "sk-proj-abcdefghijklmnop1234", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "AKIAIOSFODNN7EXAMPLE", "hf_abcdefghijklmnopqrstuv",
    "f3a91c0b77de42aa9b01c5d6e7f80912", "gsk_8sJ2kLmPq0", "Zk93jfa0Lq2mX84bT1vC",
)  # fmt: skip
NAMES = (
    "OPENAI_API_KEY", "key", "_K2", "AZURE_EASTUS2_GPT4O_KEY1", "MYCOMPANYOPENAIKEY2025", "GPT4_AND_GPT5_1_KEY_2",
    "ANTHROPIC_AUTH_TOKEN", "myVeryLongOpenAiCompatibleServerApiKeyName", "TEST_VENDOR_KEY", "SKEY_1234567890",
)  # fmt: skip


def refused(folder: Path, text: str) -> str:
    file = folder / "modelbreeder.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[[policy.rules]]\nname = 'big'\nlane = 'clod_escalation'\nwhen = {}",
            "policy.rules 'big': lane must be 'local_fast', 'local_private', 'cloud_escalation' or 'no_op'; it is 'clo",
        ),
        (
            "[[policy.rules]]\nname = 'a'\nlane = 'no_op'\nwhen = {}\n[[policy.rules]]\nlane = 'no_op'\nwhen = {}",
            "policy.rules number 2: name is missing; add it",
        ),
        ("[[policy.rules]]\nname = 'a'\nlane='no_op'\nwhen={}\nlanes=1", "unknown key 'lanes' of policy.rules 'a'"),
        (
            "[[policy.rules]]\nname = 'a'\nlane = 'no_op'\nwhen = { changed_files = [1] }",
            "policy.rules 'a': when.changed_files must be a text in quotes or a number or true or false; it is a list",
        ),
        ("[policy]\nhold = 'all'", "policy.hold must be 'none' or 'answer' or a whole number; it is 'all'; change it"),
        ("[policy]\nhold = 0", "policy.hold must be 'none' or 'answer' or at least 1; it is 0; change it"),
        ("[policy]\nfallbacks = [1]", "policy.fallbacks number 1 must be a text in quotes; it is 1; change it"),
        ("[policy]\nfallbacks = 'a/b'", "policy.fallbacks must be a list, as in [ … ]; it is 'a/b'"),
        ("[policy]\noffline = 'maybe'", "policy.offline must be true or false; it is 'maybe'"),
        ("policy = 1", "policy must be a table, as in { … }; it is 1"),
        ("[daemon]\nport = 70000", "daemon.port must be at most 65535; it is 70000"),
        ("_cli_parse_args = true", "unknown key '_cli_parse_args'; known keys: daemon, "),
        ("[upstreams.'a b']\nmodels = 3\nbase_url = 'http://h'", "upstreams.'a b'.models must be a list"),
        (
            "[[policy.verify]]\nname = 'v'\ncommand = ['true']\ntimeout_s = 0",
            "policy.verify 'v': timeout_s must be more than 0",
        ),
        ("[[policy.verify]]\nname = 'v'", "policy.verify 'v' needs either a pattern or a command"),
        ("[[policy.classes]]\nname = 'A B'", "policy.classes 'A B': name must be a text that matches"),
    ],
)
def test_the_key_is_named_as_it_is_written_and_so_is_what_belongs_there(tmp_path: Path, text: str, told: str) -> None:
    assert refused(tmp_path, text).startswith(told)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("gpt-5.4", "'gpt-5.4' is not UPSTREAM/MODEL, as in openai/gpt-5.4; did you mean 'mine/gpt-5.4'?"),
        ("gpt", "'gpt' is not UPSTREAM/MODEL, as in openai/gpt-5.4; upstreams: mine"),
        ("mine/", "'mine/' is not UPSTREAM/MODEL"),
        ("mien/m", "'mien/m' names upstream 'mien', which is not configured; did you mean 'mine/m'? (upstreams: mine)"),
        ("other/m", "names upstream 'other', which is not configured; add [upstreams.other], or name another"),
    ],
)
def test_an_upstream_that_there_is_not_is_told_apart_from_a_text_that_names_none(
    tmp_path: Path, target: str, told: str
) -> None:
    text = f"[policy]\ncloud = '{target}'\n[upstreams.mine]\nbase_url = 'http://h'\nmodels = ['gpt-5.4']"

    assert told in refused(tmp_path, text)


def test_a_wrong_value_of_the_environment_is_said_to_be_of_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBREEDER_DAEMON__PORT", "many")
    told = refused(tmp_path, "[daemon]\nport = 80")
    monkeypatch.setenv("MODELBREEDER_DAEMON", "{nonsense")

    assert told.endswith("; it is 'many'; change it (by the environment variable MODELBREEDER_DAEMON__PORT)")
    assert "MODELBREEDER_DAEMON" in refused(tmp_path, "")

    monkeypatch.delenv("MODELBREEDER_DAEMON__PORT")
    monkeypatch.setenv("MODELBREEDER_DAEMON", '{"port": "some"}')
    assert refused(tmp_path, "").endswith("(by the environment variable MODELBREEDER_DAEMON)")


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:hunter2@h/v1", "https://bob:hun/hunter2@h/v1", "https://bob:x@hunter2@h/v1", "https://h/v1?key=hunter2",
        "https://h/v1#hunter2", "bob:hunter2@h/v1", "ftp://h?hunter2#x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["[upstreams.a]\nbase_url = '{}'", "[ledger]\ndurability = 'x//{}'"])
def test_of_a_url_neither_credentials_nor_query_are_shown(tmp_path: Path, where: str, url: str) -> None:
    told = refused(tmp_path, where.format(url))

    assert "hunter2" not in told
    assert "…" in told


@pytest.mark.parametrize("key", [*KEYS, "$OPENAI_API_KEY", "OPENAI-API-KEY", ""])
@pytest.mark.parametrize("shape", ['"{}"', '["{}"]', '{{ a = "{}" }}'])
def test_a_key_where_the_name_of_a_variable_belongs_is_refused_and_never_shown(
    tmp_path: Path, key: str, shape: str
) -> None:
    told = refused(tmp_path, f"[upstreams.a]\nbase_url = 'http://h'\napi_key_env = {shape.format(key)}")

    assert told.startswith("upstreams.a.api_key_env")
    assert not key or key not in told.replace("as in OPENAI_API_KEY", "")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "where",
    [
        "upstreams = '{}'", "[upstreams]\na = '{}'", "[daemon]\nport = '{}'", "[upstreams.'{}']\nx = 1",
        "[policy]\ncloud = '{}'", "[policy]\nfallbacks = ['{}/gpt']",
    ],
)  # fmt: skip
def test_a_key_that_stands_anywhere_else_is_not_shown_either(tmp_path: Path, key: str, where: str) -> None:
    assert key not in refused(tmp_path, where.format(key))


def test_keys_are_told_from_names_of_variables() -> None:
    assert [key for key in KEYS if not looks_like_a_key(key)] == []
    assert [name for name in NAMES if looks_like_a_key(name)] == []


WRONG: tuple[Any, ...] = ("no such thing", -7, 0.5, True, [], ["x"], [[1]], {"x": {"y": 1}}, [{"x": 1}], "1979-05-27")


def _keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key, section and row; `[]` stands for a row of a list, `*` for a name of the user's."""
    for name, field in model.model_fields.items():
        yield from _below(field.annotation, (*path, name))


def _below(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    inner = [one for one in get_args(kind) if one not in (type(None), Ellipsis)]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _keys(kind, path)
    elif get_origin(kind) is dict:
        yield from _below(inner[1], (*path, "*"))
    elif get_origin(kind) is tuple:
        yield from _below(inner[0], (*path, "[]"))
    elif len(inner) == 1 and len(get_args(kind)) > 1:
        yield from _below(inner[0], path)


ROWS: dict[str, dict[str, Any]] = {
    "rules": {"name": "r", "when": {}, "lane": "no_op"},
    "verify": {"name": "v", "pattern": "x"},
}


def _tree(path: tuple[str, ...], value: Any) -> Any:
    """Return a configuration whose key of a path has a value; rows are whole but for that."""
    if not path:
        return value
    head, *rest = path
    inner = _tree(tuple(rest), value)
    if head == "[]":
        return [inner]
    if rest[:1] == ["[]"] and head in ROWS and isinstance(inner[0], dict):
        return {head: [{**ROWS[head], **inner[0]}]}
    return {("own" if head == "*" else head): inner}


def test_any_wrong_value_of_any_key_is_told_without_pydantics_words(tmp_path: Path) -> None:
    paths = sorted(set(_keys(Settings)))
    file, seen = tmp_path / "modelbreeder.toml", set()
    for path in paths:
        for wrong in WRONG:
            tree = _tree(path, wrong)
            file.write_text("".join(f"{key} = {toml_value(value)}\n" for key, value in tree.items()), encoding="utf-8")
            try:
                load_settings(file)
            except ConfigError as error:
                told = str(error)
                seen.add(path)
                assert told.startswith(f"{file}: ")
                for word in ("Input should", "literal[", "constrained", "Traceback", "\n", "pydantic", "valid "):
                    assert word not in told.removeprefix(str(file)), told
                key = told.removeprefix(f"{file}: ").split(" must be", maxsplit=1)[0]
                assert not any(part.isdigit() for part in key.split(".")), told
                assert path[0] in told
    assert ("daemon", "port") in seen
    assert len(paths) > len(PolicySettings.model_fields) + 40
    # A few keys take any text, list or table that is wrong in no other way.
    assert len(seen) > len(paths) * 0.9
