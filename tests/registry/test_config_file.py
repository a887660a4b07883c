from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from registry.config_file import config_text, field_comments, toml_value, write_config
from registry.errors import ConfigError, ConflictError
from registry.settings import Settings

EMPTY = config_text({}, {})


def models(model: type[BaseModel] = Settings, path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield each section's path and model, as a reader of the annotations sees them."""
    yield path, model
    for name, field in model.model_fields.items():
        queue = [field.annotation]
        while queue:
            kind = queue.pop()
            if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
                yield from models(kind, f"{path}.{name}".lstrip("."))
            queue.extend(get_args(kind))


def section_of(text: str, path: str) -> str:
    """Return what stands in the file between the head of a section, or of its example, and the next head."""
    found = re.search(rf"^#?\[+{re.escape(path)}(?:\.example)?\]+$(.*?)(?=^#?\[|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {path}"
    return found[1]


def prose(text: str) -> str:
    return " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#")).replace("  ", " ")


@pytest.mark.parametrize(("path", "model"), [each for each in models() if each[0]])
def test_each_key_of_each_section_is_there_once_under_its_docstring(path: str, model: type[BaseModel]) -> None:
    section, comments = section_of(EMPTY, path), field_comments(model)

    for name, field in model.model_fields.items():
        if any(known == f"{path}.{name}" for known, _ in models()):
            continue
        assert len(re.findall(rf"^#?{name} = ", section, re.MULTILINE)) == 1, f"{path}.{name}"
        assert comments.get(name), f"{path}.{name} has no docstring"
        assert comments[name] in prose(section)
        unset = field.is_required() or field.get_default(call_default_factory=True) is None
        example = any(f"\n#{head}\n" in EMPTY for head in (f"[{path}]", f"[{path}.example]", f"[[{path}]]"))
        assert bool(re.search(rf"^#{name} = ", section, re.MULTILINE)) is (unset or example), f"{path}.{name}"


def test_each_section_says_what_it_is_for() -> None:
    assert all(" ".join((model.__doc__ or "").split()) in prose(EMPTY) for path, model in models() if path)


def test_the_file_says_exactly_the_defaults() -> None:
    assert Settings(**tomllib.loads(EMPTY)) == Settings()


def test_unset_keys_show_examples_that_toml_can_read() -> None:
    shown = [line.removeprefix("#") for line in EMPTY.splitlines() if re.match(r"#[a-z_]+ = ", line)]

    assert len(shown) > 20
    assert all(tomllib.loads(line) for line in shown)


def test_the_example_of_an_upstream_is_one_that_can_be_used() -> None:
    example = section_of(EMPTY, "upstreams")
    lines = [line.removeprefix("#") for line in example.splitlines() if re.match(r"#[a-z_]+ = ", line)]
    read = Settings(**tomllib.loads("\n".join(["[upstreams.example]", *lines])))

    assert read.upstreams["example"].base_url.startswith("https://")


def test_what_is_set_stands_in_its_section_and_nothing_else_changes() -> None:
    row = {"base_url": "http://127.0.0.1:1/v1", "models": ["a b", 'q"uote'], "trust": "private"}
    text = config_text({"upstreams": {"my server": row}, "policy": {"cloud": "my server/m"}}, {})
    told = tomllib.loads(text)

    assert told["upstreams"] == {"my server": row}
    assert Settings(**told) == Settings(upstreams={"my server": row}, policy={"cloud": "my server/m"})  # type: ignore[arg-type]


def test_notes_become_comments_under_the_head_that_they_are_for() -> None:
    text = config_text({}, {"policy": ["first", "  second"]})

    assert text.index("# first\n#   second\n") < text.index("[policy]")
    assert tomllib.loads(text) == tomllib.loads(EMPTY)


class Inner(BaseModel):
    """An inner section."""

    model_config = ConfigDict(extra="forbid")

    share: float = 0.5
    """A share."""
    mode: Literal["soft", "hard"] | None = None
    """How."""


class Newer(BaseModel):
    """A section of tomorrow."""

    day_usd: float | None = Field(None, ge=0)
    """Dollars
    a day."""
    inner: Inner = Inner()
    maybe: Inner | None = None
    rows: dict[str, Inner] = {}
    many: tuple[Inner, ...] = ()


def test_sections_that_nobody_foresaw_are_written_as_they_are_read() -> None:
    text = config_text({"rows": {"a": {"share": 0.1}}}, {}, Newer)

    assert Newer(**tomllib.loads(text)) == Newer(rows={"a": Inner(share=0.1)})
    assert "# Dollars a day.\n#day_usd = 1.0" in text
    assert "#[maybe]" in text
    assert "#[rows.example]" in text
    assert "#[[many]]" in text
    assert '#mode = "soft"' in text


@settings(max_examples=200)
@given(
    st.recursive(
        st.text() | st.integers(-(2**62), 2**62) | st.booleans() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=8,
    )
)
def test_a_value_is_read_back_as_it_was_written(value: object) -> None:
    assert json.dumps(tomllib.loads(f"key = {toml_value(value)}")["key"]) == json.dumps(value)


def test_a_file_is_private_whole_and_never_overwritten_unasked(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "modelbreeder.toml"
    write_config(file, "a = 1\n", force=False)

    with pytest.raises(ConflictError, match="--force"):
        write_config(file, "a = 2\n", force=False)
    assert file.read_text() == "a = 1\n"
    assert file.stat().st_mode & 0o777 == 0o600

    write_config(file, "a = 3\n", force=True)
    assert file.read_text() == "a = 3\n"
    assert [each.name for each in file.parent.iterdir()] == ["modelbreeder.toml"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--home"):
        write_config(tmp_path / "file" / "modelbreeder.toml", "", force=False)
