from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from registry.settings import RedactionSettings, Settings
from router.setting_notes import redaction_problems, setting_notes

NOW = datetime(2026, 11, 22, tzinfo=UTC)
VENDOR = {"base_url": "https://vendor.test/v1", "models": ["m"]}


def told(**given: Any) -> str:
    return " ".join(setting_notes(Settings(**given), NOW))


@pytest.mark.parametrize("glob", ["*", "**", "*.*", "*@*", " * "])
def test_a_glob_that_fits_values_of_every_kind_is_a_problem(glob: str) -> None:
    (problem,) = redaction_problems(RedactionSettings(allow=("help@ours.com", glob)))

    assert problem.line.startswith(f"redaction.allow {glob!r} fits values of every kind")


def test_whole_values_and_globs_with_a_word_are_none() -> None:
    assert list(redaction_problems(RedactionSettings(allow=("help@ours.com", "*.ours.com", "*@äö")))) == []


@pytest.mark.parametrize(
    ("pattern", "meant"), [("TCK-[0-9]{6", "{6}"), (r"a{2}\d{2,", "{2,}"), (r"\p{Lu}[}]{1,3", "{1,3}")]
)
def test_a_count_that_is_not_closed_is_noted(pattern: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in told(redaction={"rules": {"TICKET": pattern}})


@pytest.mark.parametrize("pattern", ["x{6}", "x{2,}", "x{2,3}", r"x\{3", "x[{3]", r"\x{1F600}", '{"id"', r"[]{3]"])
def test_counts_that_are_closed_and_braces_that_are_meant_are_not(pattern: str) -> None:
    assert told(redaction={"rules": {"TICKET": pattern}}) == ""


def test_a_glob_of_whole_paths_is_noted_as_it_fits_no_relative_one() -> None:
    classes = [{"name": "client", "paths": ["/clients/**", "clients/**"]}]

    assert "redaction.paths '/a/**' fits no relative path" in told(redaction={"paths": ["/a/**", "b/**"]})
    assert told(policy={"classes": classes}).count("did you mean 'clients/**'?") == 1


def test_the_models_that_a_budget_does_not_count_are_named() -> None:
    priced = {**VENDOR, "usd_per_million_input": 1, "usd_per_million_output": 2}
    own = {"base_url": "http://127.0.0.1:9/v1", "models": ["llama"], "trust": "private"}
    policy = {"cloud": "vendor/big", "budget": {"day_usd": 5}}

    assert "known of vendor/big, vendor/m, whose" in told(policy=policy, upstreams={"vendor": VENDOR, "own": own})
    assert told(policy=policy, upstreams={"vendor": priced}) == ""
    assert told(policy={"cloud": "vendor/big"}, upstreams={"vendor": VENDOR}) == ""
