"""Numbers, addresses and tokens with a structure: what fits is found, what does not fit by one digit is not."""

from __future__ import annotations

import ipaddress
import random
import string
import zlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from router.redaction.account_numbers import Ibans, SocialSecurityNumbers, fits_mod_97
from router.redaction.addresses import IpAddresses, Urls
from router.redaction.detectors import default_detectors, find_spans
from router.redaction.personal import PaymentCards, passes_luhn
from router.redaction.phones import Phones
from router.redaction.randomness import is_filler, is_random, surprise
from router.redaction.token_shapes import TokenShapes, has_checksum

DETECTORS = default_detectors()
BBAN = st.text(string.ascii_uppercase + string.digits, min_size=18, max_size=18)
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def found(detector: object, text: str) -> list[str]:
    return [text[span.start : span.end] for span in detector.find(text)]  # type: ignore[attr-defined]


def iban(bban: str) -> str:
    """Return a British number with the check digits of ISO 7064, which leave 1 when divided by 97."""
    number = int("".join(str(int(letter, 36)) for letter in f"{bban}GB00"))
    return f"GB{98 - number % 97:02d}{bban}"


@given(BBAN, st.integers(1, 9))
def test_an_iban_is_found_and_not_with_another_digit(bban: str, more: int) -> None:
    number = iban(bban)
    grouped = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    assert found(Ibans(), f"pay {number}, {number.lower()} or {grouped}.") == [number, number.lower(), grouped]
    wrong = f"{number[:3]}{(int(number[3]) + more) % 10}{bban}"
    assert found(Ibans(), f"pay {wrong}.") == []


def test_an_iban_has_the_length_of_its_country() -> None:
    assert fits_mod_97("DE89370400440532013000")
    assert found(Ibans(), "DE89370400440532013000 DE8937040044053201300 XX89370400440532013000") == [
        "DE89370400440532013000"
    ]


@example(666, 1, 1)
@example(900, 1, 1)
@example(123, 0, 1)
@example(123, 1, 0)
@given(st.integers(0, 999), st.integers(0, 99), st.integers(0, 9999))
def test_a_social_security_number_is_one_that_can_be_issued(area: int, group: int, serial: int) -> None:
    written = f"{area:03d}-{group:02d}-{serial:04d}"
    issued = area not in (0, 666) and area < 900 and group != 0 and serial != 0
    assert found(SocialSecurityNumbers(), f"it is {written}.") == ([written] if issued else [])


@given(st.text(string.digits, min_size=12, max_size=18))
def test_one_check_digit_in_ten_passes_luhn(body: str) -> None:
    assert sum(passes_luhn(body + digit) for digit in string.digits) == 1


@given(st.ip_addresses())
@example(ipaddress.ip_address("2002::"))
@example(ipaddress.ip_address("2a00::1"))
def test_an_address_of_the_public_internet_is_found_and_no_other(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    written = str(address)
    public = address.is_global and not address.is_multicast and not address.is_reserved
    if public:
        assert found(IpAddresses(), f"from {written}, again") == [written]
    elif address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert found(IpAddresses(), f"from {written}, again") == []


@pytest.mark.parametrize(
    "text",
    [
        "version 4.18.2.1",
        "app_version: 4.18.2.1",
        "v1.2.3.4",
        "driver ver. 4.18.2.1",
        "pkg ~4.18.2.1",
        "pkg==10.20.30.40",
        "127.0.0.1:80",
        "8.8.8.8",
        "12:34:56",
        "std::vector",
        "1.2.3.4.5",
        "300.1.2.3",
    ],
)
def test_what_only_looks_like_an_address_is_left(text: str) -> None:
    assert found(IpAddresses(), text) == []


@pytest.mark.parametrize("before", ["server ", "driver ", "HOST=", "host: ", "<td>", "a > ", "rev ", "from v6 to "])
def test_an_address_is_found_behind_whatever_is_no_version(before: str) -> None:
    assert found(IpAddresses(), f"{before}51.15.22.9") == ["51.15.22.9"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("call me on +44 7700 900123 today", "+44 7700 900123"),
        ("Ann is at +44 7700 900123 today", "+44 7700 900123"),
        ("my phone: 0171 2345678", "0171 2345678"),
        ("(212) 555-0123 is the desk", "(212) 555-0123"),
        ("212-555-0123x77", "212-555-0123x77"),
        ("fax 01.84.17.61.18.", "01.84.17.61.18"),
    ],
)
def test_a_telephone_number_is_found_whole(text: str, number: str) -> None:
    assert found(Phones(), text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "on 2024-11-21 and 21.11.2024", "call on 2024-11-21", "the call of 21.11.2024",
        "took 1834 ms of 12000", "ids 12 345 678 901", "0x12345678", "10.0.0.1 8080",
        "lines 100-200, 300-400", "size 1024 2048 4096", "1732190912345", "(1) (2) (3) (4) (5) (6) (7)",
        "3.14159265358979",
    ],
)  # fmt: skip
def test_numbers_of_code_and_logs_are_no_telephones(text: str) -> None:
    assert found(Phones(), text) == []


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("my site is https://anns-garden.co.uk/.", "https://anns-garden.co.uk/"),
        ("see www.smith-family.com for more", "www.smith-family.com"),
        ("http://www.jones.com/tags/list.html", "http://www.jones.com/tags/list.html"),
    ],
)
def test_a_site_that_may_be_somebodys_is_found(text: str, url: str) -> None:
    assert found(Urls(), text) == [url]


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/a/b", "http://localhost:8080/x", "https://example.com/", "https://docs.acme.io/api/v2",
        "https://api.acme.com/v1", "http://PIIURL1.masked.invalid", "https://10.0.0.7/", "https://pypi.org",
    ],
)  # fmt: skip
def test_well_known_and_reserved_sites_are_left(text: str) -> None:
    assert found(Urls(), text) == []


def base62(number: int) -> str:
    return (base62(number // 62) if number >= 62 else "") + BASE62[number % 62]


@given(st.text(BASE62, min_size=30, max_size=30))
def test_a_token_with_a_checksum_is_one_only_with_the_right_one(body: str) -> None:
    token = f"zzq_{body}{base62(zlib.crc32(body.encode())).rjust(6, '0')}"
    assert has_checksum(token)
    assert not has_checksum(token[:-1] + ("0" if token[-1] != "0" else "1"))


@given(st.randoms(use_true_random=False), st.sampled_from(["acme_", "zk-live-", "vendorx_pat_", "tok_"]))
def test_a_token_of_an_unknown_vendor_is_found(rng: random.Random, prefix: str) -> None:
    body = "".join(rng.choice(BASE62) for _ in range(36))
    assume(surprise(body) > 0.55 * len(body) and not is_filler(body, 0.4) and not body.isalpha())
    token = prefix + body
    assert found(TokenShapes(), f"run it with {token} please") == [token]


@pytest.mark.parametrize(
    "text",
    [
        "chatcmpl-9xQ2LkT8mVb3Nd7Rw5Yc1Hj6Ze0Pa", "toolu_01A09q90qw90lq917835lq9", "call_Ab3dE6gH9kLm2Nq5Rt8Vw1Yz",
        "req_011CSHoEeqs5C35K2UUqR7Fy", "sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU",
        "acme_xxxxxxxxxxxxxxxxxxxxxxxx",
        "acme_1234567890abcdefghij1234567890", "test_a_token_of_an_unknown_vendor_is_found",
        "XMLHttpRequestEventTargetFactory",
        "https://cdn.acme.io/f/app_9fKq2LxT8mVb3Nd7Rw5Yc1Hj6Z.js", "key-3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ],
)  # fmt: skip
def test_ids_hashes_names_and_examples_are_no_tokens(text: str) -> None:
    assert found(TokenShapes(), text) == []


def drawn(seed: int, alphabet: str, *sizes: int, between: str = ".") -> str:
    rng = random.Random(seed)
    return between.join("".join(rng.choices(alphabet, k=size)) for size in sizes)


UUID = "-".join(drawn(3, "0123456789abcdef", 8, 4, 4, 4, 12, between="-").split("-"))
BARE = drawn(5, BASE62, 40)


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("why does {} fail?", BARE),
        ("- {}", BARE),
        ("login({}, now)", BARE),
        ("bot {} is offline", drawn(6, BASE62, 26, 6, 38)),
        ("see {}", f"access-production-{UUID}"),
        ("see {}", f"vendor_live_{UUID}"),
        ("see {}", f"ABCKEY-{drawn(7, '0123456789abcdef', 32)}-X"),
        ("see {}", f"ABCKEY-{drawn(8, '0123456789abcdef', 24, 34, between='-')}"),
    ],
)
def test_a_token_stands_for_itself_by_its_length_its_parts_or_its_prefix(line: str, token: str) -> None:
    assert found(TokenShapes(), line.format(token)) == [token]


@pytest.mark.parametrize(
    "line",
    [
        f"table = {BARE}",  # its name judges what is assigned
        f'"cursor": "{BARE}"',
        f"https://files.acme.io/{BARE}/plan",
        f"{BARE}/{BARE}+{BARE}",
        f"-----BEGIN CERTIFICATE-----\n{BARE}{BARE[:24]}\n{BARE[:24]}{BARE}\n-----END CERTIFICATE-----",
        f"os.{BARE}",
        f"task {UUID} and order-{UUID} and node_{UUID}",
        f"font-{drawn(9, '0123456789abcdef', 63)}",  # no whole bytes
        f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB{BARE} ann",
    ],
)
def test_what_is_named_part_of_a_path_or_of_a_block_does_not(line: str) -> None:
    assert found(TokenShapes(), line) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("ref 1234 4111 1111 1111 1111", "4111 1111 1111 1111"), ("5105-4111-1111-1111-1111", "4111-1111-1111-1111")],
)
def test_a_card_behind_another_group_of_digits_is_found(text: str, number: str) -> None:
    assert found(PaymentCards(), text) == [number]


WORDS = (
    "import", "return", "value", "request", "response", "handler", "config", "settings", "update", "merge", "branch",
    "commit", "review", "customer", "order", "invoice", "garden", "window", "token", "password", "key", "secret",
    "session", "cookie", "author", "version", "number", "phone", "call", "contact", "please", "the", "a", "of",
)  # fmt: skip


@given(
    st.lists(
        st.sampled_from([*WORDS, "=", "(", ")", ":", ".", "\n", "self.", "42", "None", "-> str:", "# "]), max_size=60
    )
)
def test_code_and_prose_of_everyday_words_is_left(words: list[str]) -> None:
    text = " ".join(words)
    assert [text[span.start : span.end] for span in find_spans(text, DETECTORS)] == []


def test_words_and_chance_are_told_apart() -> None:
    rng = random.Random(7)
    drawn = ["".join(rng.choice(BASE62) for _ in range(24)) for _ in range(500)]
    written = [
        "configurationManager",
        "redactionSettings",
        "getElementsByClassName",
        "max_completion_tokens",
        "interoperability",
    ]
    assert sum(map(is_random, drawn)) > 490
    assert not any(map(is_random, written))
