"""The redactor at the request's edge: it covers every string, refuses what it cannot see, and fails closed."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable

import pytest

from registry.errors import RedactionError
from router.redaction.detectors import default_detectors
from router.redaction.opaque import put_back
from router.redaction.redactor import RuleRedactor, default_redactor, spans_of
from router.redaction.spans import CleanTexts, Span, find_spans

KEY = "sk-proj-" + "aB3dE6gH9" * 5
BODY = {
    "model": "gpt-5.4",
    "user": "ann@example.org",
    "metadata": {"note": "for customer_77", "password": "correct-horse"},
    "stop": ["customer_77"],
    "temperature": 0.2,
    "stream": True,
    "messages": [
        {"role": "system", "content": f"use {KEY}"},
        {"role": "user", "content": [{"type": "text", "text": "mail ann@example.org, card 4111 1111 1111 1111"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"k": KEY})}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": f"Authorization: Bearer {'x1' * 20}"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": f"default key {KEY}",
                "parameters": {"properties": {"file": {"type": "string"}}},
            },
        }
    ],
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["customer_77"]}}},
}


class Broken:
    """A detector that dies."""

    def find(self, text: str) -> Iterable[Span]:
        """Fail."""
        raise OSError(text)


def test_every_string_of_a_chat_request_is_covered_and_the_rest_is_untouched() -> None:
    redaction = default_redactor().redact(BODY)
    sent = json.dumps(redaction.body)
    for secret in ("ann@example.org", "customer_77", "correct-horse", KEY, "4111", "x1x1"):
        assert secret not in sent
    assert redaction.body["model"] == "gpt-5.4"
    assert redaction.body["temperature"] == BODY["temperature"]
    assert redaction.counts == {"CUSTOMER": 1, "PIICARD": 1, "PIIEMAIL": 1, "SECRET": 3}
    assert redaction.masker.restore_json(redaction.body) == BODY


def test_the_request_itself_is_not_changed() -> None:
    before = copy.deepcopy(BODY)
    default_redactor().redact(BODY)
    assert before == BODY


def test_the_same_request_is_masked_the_same() -> None:
    redactor = default_redactor()
    assert redactor.redact(BODY).body == redactor.redact(BODY).body


def test_a_users_rule_is_applied() -> None:
    assert default_redactor({"TICKET": "T-[0-9]+"}).redact({"prompt": "see T-12"}).body == {"prompt": "see TICKET1"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_image", "image_url": "https://example.org/a.png"},
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "text", "text": "look: data:image/png;base64," + "iVBORw0KGgo" * 4},
    ],
)
def test_a_part_that_cannot_be_read_is_refused_or_named_to_whoever_decides_on_it(part: dict[str, object]) -> None:
    body = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "customer_1"}]}]}
    with pytest.raises(RedactionError, match=r"cannot be inspected for secrets, so it reaches no cloud"):
        default_redactor().redact(body)
    named = default_redactor().redact(body, sets_aside=True)
    masked = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "CUSTOMER1"}]}]}
    assert len(named.opaque) == 1
    assert put_back(named.body, named.payloads) == masked


def test_talking_about_files_and_data_urls_is_allowed() -> None:
    body = {
        "prompt": "a data:image/png;base64,... URL",
        "tools": [{"parameters": {"properties": {"image_url": {"type": "string"}}}}],
    }
    assert default_redactor().redact(body).body == body


def test_a_detector_that_dies_stops_the_request_without_quoting_it() -> None:
    with pytest.raises(RedactionError, match="Broken failed with OSError") as caught:
        RuleRedactor((*default_detectors(), Broken())).redact({"prompt": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_body_nested_beyond_reach_is_refused() -> None:
    body: dict[str, object] = {}
    for _ in range(100_000):
        body = {"a": body}
    with pytest.raises(RedactionError, match="nested too deeply"):
        default_redactor().redact(body)


def test_spans_for_the_command_line_hold_no_value() -> None:
    assert spans_of("a customer_12 b", default_detectors()) == [(2, 13, "CUSTOMER", "rule:CUSTOMER")]


def test_repr_of_a_redaction_shows_no_value() -> None:
    assert "ann@example.org" not in repr(default_redactor().redact(BODY))


class Counting:
    """Finds the word `rosebud`, and notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def find(self, text: str) -> list[Span]:
        self.seen.append(text)
        return [Span(text.index("rosebud"), text.index("rosebud") + 7, "SECRET", "word")] if "rosebud" in text else []


def test_a_text_is_looked_at_once_but_a_short_one_with_a_finding_always() -> None:
    detector = Counting()
    redactor = RuleRedactor((detector,))
    history = "and then " * 40 + "rosebud"
    body = {"messages": [{"role": "user", "content": "it was rosebud"}, {"role": "user", "content": history}]}

    first = redactor.redact(body).body
    assert redactor.redact(body).body == first
    assert "rosebud" not in json.dumps(first)
    assert detector.seen.count("user") == 1
    assert detector.seen.count(history) == 1
    assert detector.seen.count("it was rosebud") == 2


def test_no_secret_of_a_long_text_stays_in_the_memory_of_findings() -> None:
    clean = CleanTexts(b"key")
    detector = Counting()
    find_spans("x" * 300 + "rosebud", (detector,), clean)

    assert "rosebud" not in repr(vars(clean))
    assert find_spans("x" * 300 + "rosebud", (detector,), clean) == [Span(300, 307, "SECRET", "word")]
    assert len(detector.seen) == 1


def test_the_memory_of_findings_is_bounded() -> None:
    clean = CleanTexts(b"key")
    for number in range(9000):
        clean.remember(f"{number:300d}", [])
        clean.remember(str(number), [])

    assert sum(len(kept) for kept in vars(clean).values() if not isinstance(kept, bytes)) <= 2 * 4096


def test_a_text_that_only_its_name_gives_away_is_masked_also_where_it_was_clean_before_and_not_remembered() -> None:
    redactor = default_redactor()
    redactor.redact({"content": "Tr0ub4dor&3x"})
    masked = redactor.redact({"password": "Tr0ub4dor&3x", "db_password": "Zk81-mmQ2&3x"}).body

    assert masked == {"password": "SECRET1", "db_password": "SECRET2"}
    assert "Zk81-mmQ2&3x" not in redactor.clean


@pytest.mark.parametrize(
    "given",
    [
        {"env": [{"name": "MODE", "value": "fast"}, {"name": "DB_PASSWORD", "value": "correct-horse"}]},
        {"headers": [{"key": "X-Api-Token", "value": "aB3dE6gH9aB3"}]},
        {"Name": "Authorization", "Value": "Bearer aB3dE6gH9aB3"},
        {"args": ["run", "--password", "correct-horse", "--fast"]},
        {"senha": "correct-horse"},
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_the_name_of_a_pair_and_an_option_before_say_what_a_value_is(
    given: dict[str, object], *, as_text: bool
) -> None:
    body: dict[str, object] = {"input": json.dumps(given) if as_text else given}
    redaction = default_redactor().redact(body)

    assert not {"correct-horse", "aB3dE6gH9aB3"} & set(re.findall(r"[\w-]+", json.dumps(redaction.body)))
    assert dict(redaction.counts) == {"SECRET": 1}
    assert redaction.masker.restore_json(redaction.body) == body
    assert [place.type for place in redaction.masker.places(body)] == ["SECRET"]


def test_a_type_that_was_found_inside_of_another_still_tells() -> None:
    """A longer finding gives the placeholder its name, and must not hide what makes a task local-only."""
    redaction = default_redactor({"TICKET": r"ticket for [a-z_0-9]+ of today"}).redact(
        {"prompt": "the ticket for customer_12 of today"}
    )
    assert redaction.counts == {"TICKET": 1}
    assert redaction.found == {"CUSTOMER": 1, "TICKET": 1}


def test_what_is_not_joined_is_found_as_it_is_counted() -> None:
    redaction = default_redactor().redact({"prompt": "customer_12 and customer_13"})
    assert redaction.found == redaction.counts == {"CUSTOMER": 2}


def test_numbers_that_are_somebodys_go_and_those_of_requests_stay() -> None:
    card = 4_111_111_111_111_111
    body = {
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "input": {"card": card, "ssn": 536904399}}]}
        ],
        "max_tokens": 100_000,
        "seed": 1_763_800_000,
        "created": 1_763_800_000_123,
        "temperature": 0.25,
        "stream": True,
    }
    redaction = default_redactor().redact(body)

    assert redaction.body["messages"] == [
        {"role": "assistant", "content": [{"type": "tool_use", "input": {"card": "PIICARD1", "ssn": "PIISSN1"}}]}
    ]
    assert {key: redaction.body[key] for key in body if key != "messages"} == {
        key: value for key, value in body.items() if key != "messages"
    }
    assert [place.path for place in redaction.masker.places(body)] == [
        "messages[0].content[0].input.card",
        "messages[0].content[0].input.ssn",
    ]
