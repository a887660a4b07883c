"""What stands for a value keeps the form that code must parse, and is found again however a model spells it."""

from __future__ import annotations

import ipaddress
from email.headerregistry import Address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.redaction.masking import Masker
from router.redaction.placeholders import StreamRestorer, Vocabulary, placeholder
from router.redaction.spans import Span

TYPES = ("PIIEMAIL", "PIIIP", "PIIURL", "SECRET")
MAIL, NAME = "bob@example.org", "PIIEMAIL1"


class Marked:
    """Finds `<TYPE:value>` whole, so that a test says itself what is to be masked as what."""

    def __init__(self, *values: tuple[str, str]) -> None:
        self.values = values

    def find(self, text: str) -> list[Span]:
        """Yield where the values stand."""
        return [
            Span(text.index(value), text.index(value) + len(value), kind, "marked")
            for kind, value in self.values
            if value in text
        ]


def masker(*values: tuple[str, str]) -> Masker:
    return Masker((Marked(*values),), TYPES)


def test_a_mail_address_is_still_one() -> None:
    masked = masker(("PIIEMAIL", MAIL)).mask(f'send(to="{MAIL}")')

    assert masked == 'send(to="PIIEMAIL1@masked.invalid")'
    assert Address(addr_spec=masked.split('"')[1]).domain == "masked.invalid"


def test_a_url_keeps_its_scheme_and_is_still_one() -> None:
    url = "https://intern.example.org/a?b=c"
    conversation = masker(("PIIURL", url))
    masked = conversation.mask(f'get("{url}")')

    assert masked == 'get("https://PIIURL1.masked.invalid")'
    assert urlsplit(masked.split('"')[1]).hostname == "piiurl1.masked.invalid"
    assert conversation.restore(masked) == f'get("{url}")'


@pytest.mark.parametrize(("address", "stands"), [("192.168.7.12", "240.0.0.1"), ("fe80::1:2", "100::1")])
def test_an_ip_address_is_still_one_of_its_version(address: str, stands: str) -> None:
    conversation = masker(("PIIIP", address))
    masked = conversation.mask(f'bind("{address}")')

    assert masked == f'bind("{stands}")'
    assert ipaddress.ip_address(stands).version == ipaddress.ip_address(address).version
    assert conversation.restore(masked) == f'bind("{address}")'
    assert conversation.counts == {"PIIIP": 1}


@pytest.mark.parametrize(
    "answer",
    ["PIIEMAIL1", "piiemail1@MASKED.invalid", "**PIIEMAIL1@masked.invalid**.", "mailto:PIIEMAIL1@masked.invalid"],
)
def test_a_placeholder_that_lost_its_domain_or_changed_its_case_is_restored(answer: str) -> None:
    conversation = masker(("PIIEMAIL", MAIL))
    conversation.mask(MAIL)
    bare = answer.replace("@masked.invalid", "").replace("@MASKED.invalid", "")

    assert conversation.restore(answer) == bare.replace("PIIEMAIL1", MAIL).replace("piiemail1", MAIL)


@pytest.mark.parametrize(
    "answer",
    [
        "PIIEMAIL2@masked.invalid",
        "240.0.0.2",
        "240.0.0.11",
        "240.0.0",
        "2100::1",
        "100::12",
        "a240.0.0.1",
    ],
)
def test_what_only_looks_like_a_placeholder_in_use_is_left(answer: str) -> None:
    conversation = masker(("PIIEMAIL", MAIL), ("PIIIP", "10.0.0.7"), ("PIIIP", "fe80::7"))
    conversation.mask(f"{MAIL} 10.0.0.7 fe80::7")

    assert conversation.restore(answer) == answer


def test_a_clients_own_address_that_looks_like_a_placeholder_is_not_taken_for_one() -> None:
    conversation = masker(("PIIIP", "10.0.0.7"))
    before = conversation.mask("the class E address 240.0.0.1")
    masked = conversation.mask("and 10.0.0.7")

    assert (before, masked) == ("the class E address 240.0.0.1", "and 240.0.0.2")
    assert conversation.restore("240.0.0.1, 240.0.0.2") == "240.0.0.1, 10.0.0.7"


def test_a_secret_that_touches_a_url_is_no_scheme() -> None:
    secret, url = "ghp_abcDEF123456ghiJKL-", "https://intern.example.org/a"
    masked = masker(("SECRET", secret), ("PIIURL", url)).mask(f"see {secret}{url}")

    assert masked == "see PIIURL1.masked.invalid"


def test_a_report_keeps_the_placeholder_of_a_url() -> None:
    url = "https://intern.example.org/a"
    conversation = masker(("PIIURL", url), ("PIIURL", "https://PIIURL1.masked.invalid"))
    report = f"{conversation.mask(url)} is gone"

    assert conversation.mask_report(report) == report == "https://PIIURL1.masked.invalid is gone"
    assert conversation.counts == {"PIIURL": 1}


BESIDE = st.text(st.sampled_from(".:@-/ \n([1x"), max_size=3)


@given(st.sampled_from(["10.2.3.4", "fe80::7", MAIL]), BESIDE, BESIDE)
def test_whatever_stands_beside_a_value_it_comes_back(value: str, before: str, after: str) -> None:
    kind = "PIIEMAIL" if value == MAIL else "PIIIP"
    conversation = masker((kind, value))

    assert conversation.restore(conversation.mask(f"{before}{value}{after}")) == f"{before}{value}{after}"


def test_more_ipv6_addresses_than_a_block_has_are_words() -> None:
    assert placeholder("PIIIP", 0xFFFF, "fe80::7").text == "100::ffff"
    assert placeholder("PIIIP", 0x10000, "fe80::7").text == "PIIIP65536"


@given(st.integers(1, 2**20), st.sampled_from(TYPES), st.sampled_from(["10.0.0.7", "fe80::7"]))
def test_every_placeholder_is_a_word_of_its_vocabulary_under_its_own_name(ordinal: int, kind: str, value: str) -> None:
    stands = placeholder(kind, ordinal, value)
    found = Vocabulary(TYPES).find(f"at {stands.text}, or so")

    assert [(word.name, word.type, word.start, word.end) for word in found] == [
        (stands.name, kind, 3, 3 + len(stands.text))
    ]


SPELLED = st.sampled_from(
    [
        "PIIEMAIL1", "PIIEMAIL1@masked.invalid", "piiemail1@MASKED.INVALID", "@masked.invalid", "@mas", "240.0.0.1",
        "240.0", ".0.1", "100::1", "100:", ":2", "PIIURL1.masked.invalid", "https://PIIURL1", ".masked.invalid",
        "SECRET1", "SECRET1@", ".", "@", "1", " ", "x", "\\n",
    ]
)  # fmt: skip


@given(st.lists(SPELLED, max_size=12).map("".join), st.lists(st.integers(1, 9), max_size=40))
def test_any_cutting_of_an_answer_restores_alike(answer: str, sizes: list[int]) -> None:
    conversation = masker(
        ("PIIEMAIL", MAIL), ("PIIIP", "10.0.0.7"), ("PIIIP", "fe80::7"), ("PIIURL", "http://a.b/c"), ("SECRET", "s3")
    )
    conversation.mask(f"{MAIL} 10.0.0.7 fe80::7 http://a.b/c s3")
    stream, pieces, at = conversation.restorer(), [], 0
    for size in [*sizes, len(answer)]:
        pieces.append(stream.feed(answer[at : at + size]))
        at += size

    assert "".join(pieces) + stream.flush() == conversation.restore(answer)


def test_a_stream_waits_for_the_domain_and_no_longer() -> None:
    stream = StreamRestorer(Vocabulary(TYPES), {NAME: MAIL}, ["PIIEMAIL1@masked.invalid"])
    fed = ["to PIIEMAIL1", "@mask", "ed.invalid", " and PIIEMAIL1@", "mine"]

    assert [stream.feed(piece) for piece in fed] == ["to ", "", "", f"{MAIL} and ", f"{MAIL}@mine"]
