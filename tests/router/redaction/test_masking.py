"""Masking and restoring: nothing planted survives, everything comes back, in texts, JSON and streams."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import RedactionError
from router.redaction.detectors import default_detectors
from router.redaction.masking import MOST_PUT_BACK, Masker
from router.redaction.placeholders import placeholder
from router.redaction.spans import Span
from tests.router.redaction.planted import LINES, SECRETS, private_key

DETECTORS = default_detectors()

SEEDS = st.integers(0, 2**32)
PLANTED = st.builds(lambda make, seed: make(random.Random(seed)), st.sampled_from(list(SECRETS.values())), SEEDS)
PLANTED_LINES = st.builds(
    lambda line, seed: line[0].format(line[1](random.Random(seed))), st.sampled_from(list(LINES.values())), SEEDS
)
# Words that look like placeholders, and what may stand beside them.
LOOKALIKES = st.builds(
    lambda word, number, change: change(f"{word}{number}"),
    st.sampled_from(["SECRET", "PIIEMAIL", "PIICARD", "CUSTOMER", "TOPSECRET", "PII"]),
    st.sampled_from(["1", "2", "3", "12", "01", "0", "", "1x"]),
    st.sampled_from([str, str.lower, str.title]),
)
GLUE = st.sampled_from(
    [
        "",
        " ",
        "\n",
        r"\n",
        r"\t",
        r"\u003c",
        "\\",
        "\\u00",
        '"',
        "'",
        "_",
        "%20",
        "a",
        "7",
        ":",
        "=",
        "@",
        "://",
        "\u017f",
        "İ",
        "é",
        "x" * 9,
    ]
)
TEXTS = st.lists(st.one_of(st.text(max_size=12), GLUE, LOOKALIKES, PLANTED, PLANTED_LINES), max_size=12).map("".join)


def masker() -> Masker:
    """A masker with the built-in detectors."""
    return Masker(DETECTORS)


@given(TEXTS)
def test_restoring_what_was_masked_gives_any_text_back(text: str) -> None:
    conversation = masker()
    assert conversation.restore(conversation.mask(text)) == text


@given(st.lists(TEXTS, min_size=2, max_size=4))
def test_the_texts_of_one_conversation_come_back_whatever_words_they_use(texts: list[str]) -> None:
    conversation = masker()
    masked = [conversation.mask(text) for text in texts]
    assert [conversation.restore(text) for text in masked] == texts


@given(st.text(), PLANTED, st.text())
def test_nothing_planted_survives(before: str, secret: str, after: str) -> None:
    assert secret not in masker().mask(f"{before}\n{secret}\n{after}")


@given(TEXTS)
def test_masking_is_deterministic(text: str) -> None:
    assert masker().mask(text) == masker().mask(text)


def test_placeholders_are_typed_and_numbered_by_first_appearance() -> None:
    conversation = masker()
    masked = conversation.mask(
        "a@example.org, customer_7, b@example.org, a@example.org, 4111111111111111, customer_7, AKIAQ3EGRT7LMX5WZN4D"
    )
    first, second = "PIIEMAIL1@masked.invalid", "PIIEMAIL2@masked.invalid"
    assert masked == f"{first}, CUSTOMER1, {second}, {first}, PIICARD1, CUSTOMER1, SECRET1"
    assert conversation.counts == {"CUSTOMER": 1, "PIICARD": 1, "PIIEMAIL": 2, "SECRET": 1}


def test_a_value_keeps_its_placeholder_over_the_conversation() -> None:
    conversation = masker()
    first, second = conversation.mask("customer_1 and customer_2"), conversation.mask("customer_2 and customer_3")
    assert (first, second) == ("CUSTOMER1 and CUSTOMER2", "CUSTOMER2 and CUSTOMER3")


def test_a_longer_history_begins_with_the_same_placeholders() -> None:
    """An upstream caches prompts by their prefix."""
    history = ["mail a@example.org", "SECRET1 is my word", "mail b@example.org", "key AKIAQ3EGRT7LMX5WZN4D"]
    short, long = masker(), masker()
    assert [long.mask(text) for text in history][:3] == [short.mask(text) for text in history[:3]]


def test_a_clients_own_word_is_never_taken_for_a_placeholder() -> None:
    conversation = masker()
    before = conversation.mask("PIIEMAIL1 is a word of mine")
    masked = conversation.mask("write to a@example.org")
    after = conversation.mask("piiemail2 is another")
    assert (before, masked) == ("PIIEMAIL1 is a word of mine", "write to PIIEMAIL2@masked.invalid")
    assert conversation.restore("PIIEMAIL1 wrote to PIIEMAIL2") == "PIIEMAIL1 wrote to a@example.org"
    assert conversation.restore(after) == "piiemail2 is another"
    assert conversation.counts == {"PIIEMAIL": 1}


def test_a_secret_that_its_name_gave_away_is_masked_where_it_stands_alone_later() -> None:
    """The restored answer is part of the next request, and says the password without calling it one."""
    conversation = masker()
    masked = [conversation.mask(text) for text in ("password: hunter2zz (hunter2zz!)", "I wrote hunter2zz into .env")]
    assert masked == ["password: SECRET1 (SECRET1!)", "I wrote SECRET1 into .env"]


def test_a_common_word_used_as_password_is_not_hunted_elsewhere() -> None:
    conversation = masker()
    masked = [conversation.mask(text) for text in ('password = "postgres"', "the postgres server")]
    assert masked == ['password = "SECRET1"', "the postgres server"]


def test_a_finding_beside_a_clients_own_word_is_masked_with_it() -> None:
    text = "customer_1 CUSTOMER99-----BEGIN PRIVATE KEY-----"
    conversation = masker()
    assert conversation.mask(text) == "CUSTOMER1 SECRET1"
    assert conversation.restore("CUSTOMER1 SECRET1") == text


def test_masking_masked_text_again_changes_nothing() -> None:
    text = "\n".join([line.format(make(random.Random(name))) for name, (line, make) in LINES.items()])
    masked = masker().mask(text)
    assert masked != text
    assert masker().mask(masked) == masked


@pytest.mark.parametrize(
    "answer", ["secret1", "Secret1", "**SECRET1**", "_SECRET1_", "`SECRET1`.", r"\nSECRET1", "見SECRET1よ"]
)
def test_a_model_may_change_case_and_add_emphasis(answer: str) -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    assert "AKIAQ3EGRT7LMX5WZN4D" in conversation.restore(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "SECRET12",
        "SECRET2",
        "SECRET01",
        "TOPSECRET1",
        "clientSecret1",
        "SECRET1a",
        "SECRET",
        "PIISECRET1",
        "\u017fecret1",
    ],
)
def test_only_exact_placeholders_are_restored(answer: str) -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    assert conversation.restore(answer) == answer


def test_twelve_values_are_not_confused_with_one() -> None:
    conversation = masker()
    text = " ".join(f"customer_{n}" for n in range(100, 112))
    masked = conversation.mask(text)
    assert masked.split()[-1] == "CUSTOMER12"
    assert conversation.restore(masked) == text


class Everything:
    """Finds the whole of a long text."""

    def find(self, text: str) -> list[Span]:
        return [Span(0, len(text), "PIINAME", "x")] if len(text) > 1 << 18 else []


def test_a_long_value_that_is_said_again_and_again_fills_no_memory() -> None:
    value = "Ann" * (1 << 18)
    masker = Masker((Everything(),), {"PIINAME"})
    times = MOST_PUT_BACK // len(value)
    masked = masker.mask(value)
    restored = masker.restore_json([f"{masked} " * (times + 9), masked])

    assert masked == "PIINAME1"
    assert restored == [f"{value} " * times + f"{masked} " * 9, masked]


def test_repr_shows_no_value() -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    assert repr(conversation) == "Masker(counts={'SECRET': 1})"
    assert "AKIA" not in repr(conversation.restorer())


def test_a_type_that_nobody_declared_stops_the_request() -> None:
    class Foreign:
        def find(self, text: str) -> list[Span]:
            return [Span(0, len(text), "IBAN", "foreign")]

    with pytest.raises(RedactionError, match="IBAN"):
        Masker((Foreign(),)).mask("DE00")
    assert Masker((Foreign(),), {"IBAN"}).mask("DE00") == "IBAN1"


# --- JSON


INNER = st.recursive(
    # Longer numbers may be a finding, and come back as a string.
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 9_999), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
WITH_JSON_INSIDE = st.recursive(
    INNER,
    lambda value: st.dictionaries(
        st.sampled_from("abc"), value.map(lambda v: json.dumps([v], ensure_ascii=False)), max_size=2
    ),
)


@given(WITH_JSON_INSIDE)
def test_restoring_json_that_was_masked_gives_it_back_byte_for_byte(value: object) -> None:
    conversation = masker()
    assert conversation.restore_json(conversation.mask_json(value)) == value


@given(PLANTED, st.integers(0, 3), st.booleans())
def test_a_secret_in_json_inside_json_is_masked_and_stays_json(secret: str, depth: int, ascii_only: bool) -> None:
    value: object = {"note": f"é {secret} ü"}
    for _ in range(depth):
        value = {"arguments": json.dumps(value, ensure_ascii=ascii_only, indent=depth)}
    conversation = masker()
    masked = conversation.mask_json(value)
    restored = conversation.restore_json(masked)
    assert restored == value
    for _ in range(depth):
        assert isinstance(masked, dict)
        masked = json.loads(masked["arguments"])
    (kind,) = conversation.counts
    assert masked == {"note": f"é {placeholder(kind, 1, secret).text} ü"}


def test_a_key_block_in_tool_arguments_comes_back_as_valid_json() -> None:
    conversation = masker()
    key = private_key(random.Random(7))
    conversation.mask(key)
    for answer in ('{"path": "id_rsa", "text": "SECRET1\\n"}', '{"path": "id_rsa", "text": "SECRET1\\n'):
        restored = conversation.restore_json_text(answer)
        assert json.loads(restored.removesuffix('"}') + '"}') == {"path": "id_rsa", "text": key + "\n"}


def test_a_value_is_the_same_however_often_json_has_escaped_it() -> None:
    key = private_key(random.Random(7))
    once = json.dumps({"key": key})
    value = {"plain": key, "once": once, "twice": json.dumps({"file": once})}
    conversation = masker()
    masked = conversation.mask_json(value)
    assert masked == {"plain": "SECRET1", "once": '{"key": "SECRET1"}', "twice": r'{"file": "{\"key\": \"SECRET1\"}"}'}
    assert conversation.restore_json(masked) == value
    assert conversation.restore_json_text(r'{"file": "{\"key\": \"SECRET1\"}"}') == value["twice"]


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"password": "correct-horse"}, {"password": "SECRET1"}),
        ({"headers": {"Authorization": "Bearer abcdef123456789"}}, {"headers": {"Authorization": "Bearer SECRET1"}}),
        ({"to": {"a@example.org": 1}}, {"to": {"PIIEMAIL1@masked.invalid": 1}}),
        ({"stop": ["customer_1", "x"]}, {"stop": ["CUSTOMER1", "x"]}),
        (
            {"n": [4111111111111111, -4111111111111111], "t": True, "z": None, "f": 0.5},
            {"n": ["PIICARD1", -4111111111111111], "t": True, "z": None, "f": 0.5},
        ),
        ('{"password": "correct-horse", "n": 1.50}', '{"password": "SECRET1", "n": 1.50}'),
        ('{"card": 4111111111111111}', '{"card": "PIICARD1"}'),
        (
            '{"x": [0.4111111111111111, -4111111111111111, 1e16, 12]}',
            '{"x": [0.4111111111111111, -4111111111111111, 1e16, 12]}',
        ),
        ('{"customer_1": {"mail": "a\\u0040example.org"}}', '{"CUSTOMER1": {"mail": "PIIEMAIL1@masked.invalid"}}'),
        ('{"broken": "customer_1', '{"broken": "CUSTOMER1'),
        ("[not json: customer_1]", "[not json: CUSTOMER1]"),
    ],
)
def test_every_string_of_a_json_value_is_masked(value: object, masked: object) -> None:
    assert masker().mask_json(value) == masked


@pytest.mark.parametrize("value", [b"bytes", {"a": {1, 2}}, {1: "a"}, [object()]])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(RedactionError, match="cannot be inspected"):
        masker().mask_json(value)


# --- streams


def chunked(text: str, cuts: list[int]) -> list[str]:
    """Cut a text at the given places, wherever they fall."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(places)]


@given(TEXTS, TEXTS, st.lists(st.integers(0, 10**4), max_size=30))
def test_any_cutting_of_an_answer_restores_alike(text: str, answer: str, cuts: list[int]) -> None:
    conversation = masker()
    answer = conversation.mask(text) + " " + answer + " secret1 PIIEMAIL2" + answer
    stream = conversation.restorer()
    pieces = [stream.feed(piece) for piece in chunked(answer, cuts)]
    assert "".join(pieces) + stream.flush() == conversation.restore(answer)


@given(TEXTS, st.lists(st.integers(0, 10**4), max_size=30))
def test_any_cutting_of_tool_arguments_restores_valid_json(text: str, cuts: list[int]) -> None:
    conversation = masker()
    arguments = json.dumps({"text": conversation.mask(text)}, ensure_ascii=False)
    stream = conversation.restorer(json_text=True)
    pieces = [stream.feed(piece) for piece in chunked(arguments, cuts)]
    assert json.loads("".join(pieces) + stream.flush()) == {"text": text}


def test_a_stream_holds_back_only_what_may_be_a_placeholder() -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    stream = conversation.restorer()
    fed = ["Hello S", "ilent S", "EC", "RET", "1", "2 xS", "ECRET1 x", "SECRET1 ", "secret1", ", ok"]
    assert [stream.feed(piece) for piece in fed] == [
        "Hello ",
        "Silent ",
        "",
        "",
        "",
        "SECRET12 xS",
        "ECRET1 x",
        "SECRET1 ",
        "",
        "AKIAQ3EGRT7LMX5WZN4D, ok",
    ]
    assert stream.flush() == ""


def test_an_escape_may_be_cut_anywhere() -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    answer = r"\u00e9SECRET1\nSECRET1\\SECRET1"
    for size in range(1, 8):
        stream = conversation.restorer(json_text=True)
        pieces = [stream.feed(answer[at : at + size]) for at in range(0, len(answer), size)]
        assert "".join(pieces) + stream.flush() == answer.replace("SECRET1", "AKIAQ3EGRT7LMX5WZN4D")


def test_a_placeholder_at_the_end_of_a_stream_is_restored_by_flush() -> None:
    conversation = masker()
    conversation.mask("AKIAQ3EGRT7LMX5WZN4D")
    stream = conversation.restorer()
    assert (stream.feed("it is SECRET1"), stream.flush(), stream.flush()) == ("it is ", "AKIAQ3EGRT7LMX5WZN4D", "")


def test_a_stream_without_masked_values_holds_nothing_back() -> None:
    stream = masker().restorer()
    assert [stream.feed(letter) for letter in "SECRET1"] == list("SECRET1")


def test_a_report_about_a_masked_text_keeps_its_placeholders_and_loses_new_findings() -> None:
    masker = Masker(DETECTORS)
    masker.mask("mail bob@example.org")

    assert masker.mask_report("PIIEMAIL1 is not eve@example.org, but bob@example.org") == (
        "PIIEMAIL1 is not PIIEMAIL2@masked.invalid, but PIIEMAIL1@masked.invalid"
    )


@pytest.mark.parametrize(
    ("key", "value", "masked"),
    [
        ("phone", "0301234567", "PIIPHONE1"),
        ("user_ssn", "123456789", "PIISSN1"),
        ("order", "0301234567", "0301234567"),
    ],
)
def test_a_key_says_what_its_number_is_as_words_in_a_text_do(key: str, value: str, masked: str) -> None:
    assert Masker(default_detectors()).mask_json({key: value}) == {key: masked}
    inner = json.dumps({key: value})
    assert Masker(default_detectors()).mask_json({"arguments": inner}) == {"arguments": json.dumps({key: masked})}
