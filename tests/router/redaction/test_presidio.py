"""Presidio's patterns behind our Protocol: offline, typed as ours, merged with ours, failing closed."""

from __future__ import annotations

import random
import socket
import sys

import pytest

from registry.errors import ConfigError, RedactionError
from registry.settings import RedactionSettings
from router.redaction.redactor import RuleRedactor, redactor_of
from router.redaction.spans import find_spans, is_unbounded
from tests.router.redaction.planted import SECRETS

presidio = pytest.importorskip("presidio_analyzer", reason="Presidio, the [pii] extra, is not installed")
PASSPORT = "C0" + "3005988"


@pytest.fixture(scope="module")
def redactor() -> RuleRedactor:
    return redactor_of(RedactionSettings(presidio=True))


def types_in(text: str, redactor: RuleRedactor) -> list[tuple[str, str]]:
    return [(text[span.start : span.end], span.type) for span in find_spans(text, redactor.detectors)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"her passport number is {PASSPORT}", PASSPORT),
        ('{"passport_no": "912803456"}', "912803456"),
        ("driver license H12234567, valid", "H12234567"),
        ("DEA certificate BB1388568", "BB1388568"),
        ("NHS id: 4010232137", "4010232137"),
        ("bank account 945456787654", "945456787654"),
        ("send it to 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"),
    ],
)
def test_papers_accounts_and_wallets_are_found_as_ids(text: str, value: str, redactor: RuleRedactor) -> None:
    assert types_in(text, redactor) == [(value, "PIIID")]


@pytest.mark.parametrize(
    "text",
    [
        "commit 1b5A5ff4bad15af9b545d98144da8707892",  # the check digit of a licence fits by chance
        "build 912803456 took 1732190912 ns",  # digits without a word that speaks for a paper
        "at 4010232137 or 401-023-2137",  # the check digit of an NHS number fits by chance
        "open router/redaction/spans.py, see README.md",
        "on 2026-11-22 from 10.0.0.1 and fe80::1",
        "id 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ],
)
def test_what_no_context_speaks_for_stays(text: str, redactor: RuleRedactor) -> None:
    assert [kind for _, kind in types_in(text, redactor) if kind == "PIIID"] == []
    assert types_in(text, redactor) == types_in(text, redactor_of(RedactionSettings()))


def test_ours_name_what_both_find_and_presidio_is_named_where_it_found_alone(redactor: RuleRedactor) -> None:
    text = f"mail ann@corp.co.uk about passport {PASSPORT}"
    found = [(span.type, span.detector) for span in find_spans(text, redactor.detectors)]
    assert found == [("PIIEMAIL", "email"), ("PIIID", "presidio:US_PASSPORT")]


def test_two_runs_find_the_same_and_what_is_remembered_is_the_same(redactor: RuleRedactor) -> None:
    rng = random.Random(11)
    text = f"passport {PASSPORT} and MAC 00:1B:44:11:3A:B7 " + " ".join(make(rng) for make in SECRETS.values())
    first, again, other = (
        one.redact({"text": text}).body for one in (redactor, redactor, redactor_of(RedactionSettings(presidio=True)))
    )
    assert first == again == other
    assert PASSPORT not in str(first)


def test_what_it_found_in_a_long_text_is_remembered_as_other_findings_are() -> None:
    redactor, text = redactor_of(RedactionSettings(presidio=True)), f"passport {PASSPORT} and {'more words ' * 30}"
    assert redactor.clean.recall(text) is None
    redactor.redact({"text": text})
    assert [span.type for span in redactor.clean.recall(text) or ()] == ["PIIID"]


def test_nothing_is_looked_up_in_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(*where: object, **_: object) -> object:
        asked.append(where)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    text = f"mail ann@corp.co.uk or bob@nothing.zz about passport {PASSPORT}"
    found = redactor_of(RedactionSettings(presidio=True)).redact({"text": text})
    assert PASSPORT not in str(found.body)
    assert asked == []


def test_a_higher_score_leaves_what_only_context_speaks_for() -> None:
    strict = redactor_of(RedactionSettings(presidio=True, presidio_score=0.9))
    assert types_in(f"passport {PASSPORT}", strict) == []
    assert types_in("DEA certificate BB1388568", strict) == [("BB1388568", "PIIID")]


def test_allowed_values_and_types_that_are_off_stay() -> None:
    settings = RedactionSettings(presidio=True, allow=(PASSPORT,))
    assert types_in(f"passport {PASSPORT}", redactor_of(settings)) == []
    off = redactor_of(RedactionSettings(presidio=True, off=("PIIID",)))
    assert types_in(f"passport {PASSPORT}", off) == []
    assert "PIIID" not in off.types


def test_only_outside_code_says_that_nothing_bounds_it(redactor: RuleRedactor) -> None:
    assert [is_unbounded(one) for one in redactor.detectors] == [False, False, True]


def test_a_pattern_that_takes_too_long_stops_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presidio's own loop would skip the pattern, and the value would leave."""
    monkeypatch.setattr("router.redaction.presidio._PATTERN_LIMIT_S", 1e-9)
    slow = redactor_of(RedactionSettings(presidio=True))
    with pytest.raises(RedactionError, match="TimeoutError"):
        slow.redact({"text": "passport 912803456 " * 5000})


def test_a_missing_extra_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigError, match=r"pip install 'modelbreeder\[pii\]'"):
        redactor_of(RedactionSettings(presidio=True))


def test_what_is_not_asked_for_is_not_imported() -> None:
    import subprocess

    code = (
        "import sys; from registry.settings import RedactionSettings;"
        "from router.redaction.redactor import redactor_of; redactor_of(RedactionSettings()).redact({'a': 'b@c.org'});"
        "print(*sorted({'presidio_analyzer', 'spacy', 'regex'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_it_is_made_quietly_and_without_what_only_models_need() -> None:
    import subprocess

    code = (
        "import logging, sys; logging.basicConfig();"
        "from router.redaction.presidio import PresidioPatterns; PresidioPatterns(0.4);"
        "print(*sorted({'torch', 'transformers'} & sys.modules.keys()), logging.getLogger('presidio-analyzer').level)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("0", "")
