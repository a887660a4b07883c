"""What the built-in detectors find, leave alone, and how a bad detector is caught."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import ConfigError, RedactionError
from router.redaction.detectors import PatternRule, Span, built_in_detectors, default_detectors, find_spans
from router.redaction.personal import passes_luhn
from router.redaction.scanning import MarkedDetectors
from router.redaction.spans import merge
from tests.router.redaction.planted import ALNUM, BENIGN, LINES, SECRETS, some

DETECTORS = default_detectors()
BUILT_IN = built_in_detectors()
TEMPLATES = (
    "{}",
    "please use {} from now on",
    '  "value": "{}",',
    "x={};y=1",
    "({})",
    "`{}`",
    "line\n{}\nline",
    r"print('a\n{}\n')",
)


class Fixed:
    """Returns what it is told, or raises it."""

    def __init__(self, found: object) -> None:
        self._found = found

    def find(self, text: str) -> Iterable[Span]:
        """Ignore the text."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found  # type: ignore[return-value]  # wrong on purpose


def uncovered(text: str, secret: str) -> str:
    """Return the characters of `secret` that no finding covers."""
    start = text.index(secret)
    covered = {i for span in find_spans(text, DETECTORS) for i in range(span.start, span.end)}
    return "".join(text[i] for i in range(start, start + len(secret)) if i not in covered)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_whole_wherever_it_stands(name: str) -> None:
    rng = random.Random(name)
    for template in TEMPLATES * 5:
        secret = SECRETS[name](rng)
        text = template.format(secret)
        assert uncovered(text, secret) == "", text


@pytest.mark.parametrize("name", SECRETS)
def test_only_the_secret_is_found(name: str) -> None:
    secret = SECRETS[name](random.Random(name))
    text = f"before it: {secret} and after it"
    assert [text[span.start : span.end] for span in find_spans(text, DETECTORS)] == [secret]


@pytest.mark.parametrize("name", LINES)
def test_surroundings_give_a_secret_away_and_are_left(name: str) -> None:
    template, make = LINES[name]
    rng = random.Random(name)
    for _ in range(40):
        secret = make(rng)
        text = template.format(secret)
        assert [text[span.start : span.end] for span in find_spans(text, DETECTORS)] == [secret]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "see postgresql://app@corp.example:hunter2@db.internal:5432/app?ssl=1.",
            "postgresql://app@corp.example:hunter2@db.internal:5432/app?ssl=1",
        ),
        ("get https://app:hunter2@api.internal/v1/items now", "https://app:hunter2@api.internal"),
        ("jdbc:mysql://root:hunter2@db.internal/app", "jdbc:mysql://root:hunter2@db.internal/app"),
    ],
)
def test_a_web_address_with_credentials_is_found_up_to_its_path_and_a_databases_whole(text: str, found: str) -> None:
    assert [text[span.start : span.end] for span in find_spans(text, DETECTORS)] == [found]


PASSWORD = "".join(random.Random(4).choices(ALNUM, k=9)) + "!7Qx"
HEX = "".join(random.Random(4).choices("0123456789abcdef", k=32))


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('{{"name": "DB_PASSWORD", "value": "{}"}}', PASSWORD),
        ("- name: API_TOKEN\n  value: {}", HEX),
        ('<add key="ApiKey" value="{}"/>', HEX),
        ('variable "db_password" {{ default = "{}" }}', PASSWORD),
        ('let api_key: &str = "{}";', HEX),
        ("app.secret_key = b'{}'", HEX),
        ("docker login -u app --password {} registry.test", PASSWORD),
        ("deploy --api-token {}", HEX),
        ("I used the password {} and it fails", PASSWORD),
        ("Das Passwort lautet {} bis morgen", PASSWORD),
        ("la contraseña es {} por si acaso", PASSWORD),
        ("le mot de passe est {} ici", PASSWORD),
        ("login: ann / pw: {}", PASSWORD),
        ("https://acme.blob.core.test/c/f?sv=2022&sig={}", "".join(random.Random(8).choices(ALNUM, k=40)) + "%3D"),
        ("Authorization: SSWS {}", HEX),
        ("see {} please", f"https://chat.test/api/webhooks/{HEX[:10]}/{HEX}"),
        ("see {} please", f"https://acme.webhook.office.test/webhookb2/{HEX}/x"),
    ],
)
def test_what_a_name_a_pair_an_option_or_a_sentence_promises_is_found(line: str, secret: str) -> None:
    text = line.format(secret)
    assert [text[span.start : span.end] for span in find_spans(text, DETECTORS)] == [secret]


@pytest.mark.parametrize(
    "line",
    [
        "the password policy asks for Version12 of it",
        "use --password to be asked, --password-file=/run/x and --token-file a.txt",
        "password reset emails, password hashing, token bucket2 and key 4711",
        "pw = PlaywrightPage(); pw.click(1); width_pw=320",
        'POST https://api.acme.io/v1/webhooks/stripe with {"name": "token", "value": "string"}',
        "https://docs.acme.io/webhooks/signature-verification?sig=the-signature-that-we-sent-you",
        "Authorization: the header that a client sends",
        '<input name="authenticity_token" value="7SWa-Fo1_hsC6oovfBsJFLGPUl2EhkSWPbJhWANwgaJWBDl1" />',
    ],
)
def test_words_about_secrets_promise_nothing(line: str) -> None:
    assert find_spans(line, DETECTORS) == []


@pytest.mark.parametrize("line", BENIGN)
def test_an_everyday_line_is_left_alone(line: str) -> None:
    assert find_spans(line, DETECTORS) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mail to ann@example.org", "PIIEMAIL"),
        ("card 4111 1111 1111 1111", "PIICARD"),
        ("about customer_123", "CUSTOMER"),
        ("about Customer_123", "CUSTOMER"),
        ("key AKIAQ3EGRT7LMX5WZN4D", "SECRET"),
    ],
)
def test_each_finding_has_its_type(text: str, kind: str) -> None:
    assert [span.type for span in find_spans(text, DETECTORS)] == [kind]


def test_a_key_block_without_an_end_is_found_as_far_as_it_goes() -> None:
    body = "\n".join("Ab1+" * 16 for _ in range(5))
    text = f"-----BEGIN PRIVATE KEY-----\n{body}\n\nand then some prose\n-----BEGIN EC PRIVATE KEY-----\nshort"
    found = [text[span.start : span.end] for span in find_spans(text, DETECTORS)]
    assert found == [f"-----BEGIN PRIVATE KEY-----\n{body}", "-----BEGIN EC PRIVATE KEY-----"]


def test_a_long_secret_is_found_to_its_end() -> None:
    secret = some(random.Random(3), ALNUM, 4000)
    assert uncovered(f"session_token={secret} next", secret) == ""


def test_a_users_rule_joins_the_built_in_ones_and_may_replace_customer() -> None:
    detectors = default_detectors({"TICKET": r"T-[0-9]+", "CUSTOMER": r"K[0-9]{5}"})
    found = [(span.type, span.detector) for span in find_spans("T-12 K12345 customer_1", detectors)]
    assert found == [("TICKET", "rule:TICKET"), ("CUSTOMER", "rule:CUSTOMER")]


@pytest.mark.parametrize(
    ("name", "pattern", "said"),
    [("ticket", "x", "capital letters"), ("TICKET", "(", "missing"), ("TICKET", "(?=x)y", "perl operator")],
)
def test_a_rule_that_cannot_be_used_says_so(name: str, pattern: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        default_detectors({name: pattern})


def test_a_rule_that_matches_nothing_at_all_finds_nothing() -> None:
    assert find_spans("abc", default_detectors({"EMPTY": "x*"})) == []


def test_overlapping_findings_join_under_the_longest_and_lose_no_character() -> None:
    detectors = (Fixed([Span(0, 4, "SHORT", "a")]), Fixed([Span(2, 9, "LONG", "b")]), Fixed([Span(8, 10, "TAIL", "c")]))
    assert find_spans("0123456789abc", detectors) == [Span(0, 10, "LONG", "b")]


def test_the_first_detector_names_what_two_find_alike() -> None:
    detectors = (Fixed([Span(1, 4, "ONE", "a")]), Fixed([Span(1, 4, "TWO", "b")]))
    assert find_spans("012345", detectors) == [Span(1, 4, "ONE", "a")]


@pytest.mark.parametrize(
    "found",
    [
        ValueError("the text was hunter2"),
        RecursionError(),
        None,
        ["no span"],
        [Span(-1, 2, "SECRET", "x")],
        [Span(2, 2, "SECRET", "x")],
        [Span(3, 1, "SECRET", "x")],
        [Span(0, 99, "SECRET", "x")],
        [Span(0, 3, "SECRET", "x"), Span(2, 5, "SECRET", "x")],
        [Span(0, 3, "secret 1", "x")],
        [Span(0.5, 3, "SECRET", "x")],  # type: ignore[arg-type]  # wrong on purpose
        [Span("0", "3", "SECRET", "x")],  # type: ignore[arg-type]  # wrong on purpose
    ],
    ids=repr,
)
def test_a_misbehaving_detector_stops_the_request_and_quotes_nothing(found: object) -> None:
    with pytest.raises(RedactionError, match="Fixed") as caught:
        find_spans("hunter2 is it", (*DETECTORS, Fixed(found)))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_luhn_agrees_with_the_published_example() -> None:
    assert [digit for digit in "0123456789" if passes_luhn(f"7992739871{digit}")] == ["3"]


def test_two_runs_find_the_same() -> None:
    rng = random.Random(5)
    text = " ".join(make(rng) for make in SECRETS.values()) + "\n".join(
        line.format(make(rng)) for line, make in LINES.values()
    )
    assert find_spans(text, DETECTORS) == find_spans(text, default_detectors())


TRAPS = (
    "sk-", "eyJ-", "eyJ.", "a@", "key=", "token: ", 'secret="\\', "://a:b@", "-----BEGIN PRIVATE KEY-----", "4111 ",
    "12345678:", "pass is ", "(1) ", "1.1.1.", "::a", "a:a:", "GB82 WEST ", "hooks.", "https://a", "www.a", "-u a:",
    "cookie: ", "pin ", "_a9Z", "xoxb-1", "+1 ", "pat", "AKIA", "bearer ", "é@", "Private-Lines: 1\n", "LS0tLS1CRUdJTi",
    "\\n", "a9-", "?sig=", "&x-sig=a", "webhook/", "http://webhook", "password ", "key value",
    "key {", "a9B.", "key: a", "hooks.a/", "http://webhook/", "password is", "login: a / ", "creds a:", "mysql -p",
    "| password |", "password,", "password:\n ", "credentials: {", "credentials: [", "kind: Secret\n", "data:\n a: b\n",
    "пароль ", "echo a|", "U2VjcmV0", "net use \\\\", "htpasswd -b a ", "password\t", "\nPassword,",
    "\n| password | a |", "\nPasswort,", 'JWT_SECRET="a b', "password is „a b", "API_KEY=a1b2-",
    "create user password '", "IDENTIFIED BY '", "grant ", "insert into t (password) values ('",
    "insert into t (password,", "a%40b.", "a@2x.png",
    ",+49 170 ", "key AKIAQ3EGRT7LMX5WZN4D ",
)  # fmt: skip


def seconds(text: str) -> float:
    """Return the shortest of three times that a text takes of a core, whoever else has it meanwhile."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        found = find_spans(text, DETECTORS)
        times.append(time.thread_time() - begun)
        assert all(0 <= span.start < span.end <= len(text) for span in found)
    return min(times)


@pytest.mark.parametrize("unit", TRAPS)
def test_repetition_is_no_trap(unit: str) -> None:
    """Sixteen times the text takes 256 times as long where a search is quadratic."""
    short, long = (unit * (size // len(unit)) for size in (8_000, 128_000))
    assert seconds(long) < 100 * max(seconds(short), 0.0005)


@settings(max_examples=100)
@given(st.lists(st.sampled_from([*TRAPS, " ", "\n", "x", "é", "7", '"']), max_size=40))
def test_what_one_scan_tells_each_detector_alone_tells_too(pieces: list[str]) -> None:
    text = "".join(pieces)
    alone = [span for detector in BUILT_IN for span in detector.find(text)]
    assert MarkedDetectors(BUILT_IN).find(text) == merge(alone)


def test_the_table_plants_distinct_values() -> None:
    """Guards the table itself: a maker that returns a constant would test nothing."""
    rng = random.Random(1)
    assert all(make(rng) != make(rng) for make in SECRETS.values())
    assert all(re.search(r"\S", make(rng)) for _, make in LINES.values())


def test_a_run_of_digits_is_not_cut_into_groups_in_all_ways() -> None:
    """Forty digits have a quarter of a million ways, which is 0.1 s for each such number of a text."""
    assert seconds(("1" * 45 + "k ") * 100) < 1


def test_a_rule_of_the_users_own_takes_linear_time_and_finds_places_in_characters() -> None:
    text = "größe " + "a" * 5000 + "b ticket-7 ä"
    greedy, ticket = PatternRule("GREEDY", "(a+)+$"), PatternRule("TICKET", "(?i:TICKET-[0-9]+)")

    assert list(greedy.find(text)) == []
    assert [text[span.start : span.end] for span in ticket.find(text)] == ["ticket-7"]
