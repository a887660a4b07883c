"""Secrets and personal data made at random by what their issuers publish; nothing here reads the rules under test.

What is promised of a planted value: it has a published shape, or it stands beside words that say what it is. Out of
reach and never planted: bare random words, values cut by a line break, spelled out, or encoded (base64, %-escapes);
of sites, pages deeper than the first one.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Final

ALNUM: Final = ascii_letters + digits
URL64: Final = ALNUM + "-_"
HEX: Final = "0123456789abcdef"
BASE32: Final = ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True)
class Planted:
    """A value, and the text around it that its promise needs."""

    kind: str
    value: str
    text: str


def some(random: Random, alphabet: str, count: int) -> str:
    """Return random characters that end in a letter and a digit, as what ends in punctuation ends nowhere in a text."""
    drawn = [random.choice(alphabet) for _ in range(count - 2)]
    letters = [one for one in alphabet if one.isalpha()] or list(alphabet)
    numbers = [one for one in alphabet if one.isdigit()] or list(alphabet)
    return "".join([*drawn, random.choice(letters), random.choice(numbers)])


# Issuers' published shapes: prefix, alphabet, how many characters follow.
_PREFIXED: Final[Sequence[tuple[str, str, int]]] = (
    ("sk-", ALNUM, 48), ("sk-svcacct-", URL64, 130), ("sk-admin-", URL64, 130), ("sk-or-v1-", HEX, 64),
    ("sk-ant-admin01-", URL64, 93), ("sk-ant-oat01-", URL64, 93), ("AIza", URL64, 35), ("GOCSPX-", URL64, 28),
    ("ya29.", URL64, 120), ("AKIA", BASE32, 16), ("ASIA", BASE32, 16), ("ghp_", ALNUM, 36), ("gho_", ALNUM, 36),
    ("ghs_", ALNUM, 36), ("ghr_", ALNUM, 36), ("glpat-", URL64, 20), ("gldt-", URL64, 20), ("glrt-", URL64, 20),
    ("sk_live_", ALNUM, 24), ("rk_live_", ALNUM, 24), ("sk_test_", ALNUM, 99), ("whsec_", ALNUM, 32),
    ("hf_", ascii_letters, 34), ("npm_", ALNUM, 36), ("pypi-AgEIcHlwaS5vcmc", URL64, 150), ("gsk_", ALNUM, 52),
    ("xai-", ALNUM, 80), ("pplx-", ALNUM, 48), ("r8_", ALNUM, 37), ("tvly-dev-", ALNUM, 32), ("dapi", HEX, 32),
    ("dop_v1_", HEX, 64), ("doo_v1_", HEX, 64), ("shpat_", HEX, 32), ("shpss_", HEX, 32), ("NRAK-", BASE32, 27),
    ("lin_api_", ALNUM, 40), ("ntn_", ALNUM, 46), ("figd_", URL64, 40), ("sbp_", HEX, 40), ("dckr_pat_", URL64, 27),
    ("pscale_tkn_", URL64, 43), ("nfp_", ALNUM, 36), ("rubygems_", HEX, 48), ("hvs.", URL64, 90),
    ("ATATT3xFfGF0", URL64, 180), ("glc_", ALNUM, 80), ("key-", HEX, 32), ("CLOJARS_", HEX, 60),
)  # fmt: skip


def _prefixed(random: Random) -> str:
    prefix, alphabet, count = random.choice(_PREFIXED)
    return prefix + some(random, alphabet, count)


def _built(random: Random) -> str:
    """Return a key whose published shape has parts."""
    shapes: Sequence[Callable[[Random], str]] = (
        lambda r: f"sk-proj-{some(r, URL64, 74)}T3BlbkFJ{some(r, URL64, 74)}",
        lambda r: f"sk-ant-api03-{some(r, URL64, 93)}AA",
        lambda r: f"github_pat_{some(r, ALNUM, 22)}_{some(r, ALNUM, 59)}",
        lambda r: f"xoxb-{some(r, digits, 12)}-{some(r, digits, 13)}-{some(r, ALNUM, 24)}",
        lambda r: f"xoxp-{some(r, digits, 12)}-{some(r, digits, 12)}-{some(r, digits, 13)}-{some(r, HEX, 32)}",
        lambda r: f"xapp-1-A{some(r, BASE32, 10)}-{some(r, digits, 13)}-{some(r, HEX, 64)}",
        lambda r: f"SG.{some(r, URL64, 22)}.{some(r, URL64, 43)}",
        lambda r: f"{some(r, digits, 10)}:AA{some(r, URL64, 33)}",
        lambda r: f"lsv2_pt_{some(r, HEX, 32)}_{some(r, HEX, 10)}",
        lambda r: f"glsa_{some(r, ALNUM, 32)}_{some(r, HEX, 8)}",
        lambda r: f"pat{some(r, ALNUM, 14)}.{some(r, HEX, 64)}",
        lambda r: f"PMAK-{some(r, HEX, 24)}-{some(r, HEX, 34)}",
        lambda r: f"tskey-auth-{some(r, ALNUM, 12)}CNTRL-{some(r, ALNUM, 32)}",
        lambda r: f"dp.pt.{some(r, ALNUM, 43)}",
        lambda r: f"AGE-SECRET-KEY-1{some(r, 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L', 58)}",
        lambda r: f"https://hooks.slack.com/services/T{some(r, BASE32, 9)}/B{some(r, BASE32, 9)}/{some(r, ALNUM, 24)}",
    )
    return random.choice(shapes)(random)


def _jwt(random: Random) -> str:
    header = {"alg": "RS256", "typ": "JWT", "kid": some(random, ALNUM, 8)}
    claims = {"iss": "me", "sub": some(random, digits, 10), "exp": random.randint(10**9, 2 * 10**9)}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), random.randbytes(64)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _pem(random: Random) -> str:
    kind = random.choice(("RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""))
    body = base64.b64encode(random.randbytes(random.randint(120, 600))).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


_NAMES: Final = (
    "api_key", "API_KEY", "apiKey", "client_secret", "CLIENT_SECRET", "secret_key", "SECRET_KEY", "access_token",
    "accessToken", "auth_token", "AUTH_TOKEN", "db_password", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY",
    "private_key", "MISTRAL_API_KEY", "COHERE_API_KEY", "cloudflare_api_token", "webhook_secret",
)  # fmt: skip
_FORMS: Final = (
    "{name}={value}", "export {name}={value}", "{name}: {value}", '{name} = "{value}"', "const {name} = '{value}';",
    '"{name}": "{value}"', "{name} := `{value}`", "--{name}={value}", "-D{name}={value}", "  {name}: '{value}'",
    "<{name}>{value}</{name}>", '{{"{name}": "{value}"}}', "?page=2&{name}={value}&x=1",
    'os.environ["{name}"] = "{value}"',
)  # fmt: skip


def _assigned(random: Random) -> Planted:
    value = random.choice((some(random, ALNUM, random.randint(20, 48)), some(random, HEX, random.choice((32, 40)))))
    text = random.choice(_FORMS).format(name=random.choice(_NAMES), value=value)
    return Planted("assignment", value, text)


_BESIDE: Final[Sequence[tuple[str, str, str, int]]] = (
    ("bearer", "Authorization: Bearer {}", ALNUM + "-._~", 40),
    ("bearer", "curl -H 'Authorization: Bearer {}' https://api.github.com/user", HEX, 40),
    ("header", "X-Api-Key: {}", ALNUM, 32),
    ("cookie", "Cookie: theme=dark; sessionid={}; lang=de", ALNUM, 32),
    ("url", "postgres://app:{}@db.internal:5432/orders", ALNUM, 16),
    ("url", "mongodb+srv://svc:{}@cluster0.abcde.mongodb.net/x?retryWrites=true", ALNUM, 18),
    ("url", "redis://:{}@10.1.2.3:6379/0", ALNUM, 20),
    ("url", "git clone https://oauth2:{}@gitlab.com/team/app.git", ALNUM, 26),
    ("url", "amqps://guest:{}@mq.internal/vhost", ALNUM, 14),
    ("dsn", "Server=tcp:sql.internal,1433;User ID=app;Password={};Encrypt=true;", ALNUM, 18),
    ("dsn", "host=db user=app password={} dbname=orders", ALNUM, 16),
    ("dsn", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={}==;EndpointSuffix=core.windows.net", ALNUM, 86),
    ("curl", "curl -u admin:{} https://jenkins.internal/job/x", ALNUM, 18),
    ("prose", "ok, the password is {} but do not tell", ALNUM, 12),
    ("prose", "My API key is {}, please rotate it.", ALNUM, 32),
    ("netrc", "machine api.internal login me password {}", ALNUM, 16),
)


def _beside(random: Random) -> Planted:
    kind, form, alphabet, count = random.choice(_BESIDE)
    value = some(random, alphabet, count)
    return Planted(kind, value, form.format(value))


def _email(random: Random) -> str:
    user = random.choice(("ann", "j.doe", "o_brien", "max-mustermann", "li.wei", "x")) + some(random, ALNUM, 4)
    host = random.choice(("gmail.com", "web.de", f"{some(random, ascii_lowercase, 7)}.io", "mail.corp-x.co.uk"))
    return f"{user}{random.choice(('', '+news'))}@{host}"


def luhn(body: str) -> str:
    """Return a number with its check digit (ISO/IEC 7812)."""
    total = sum(sum(divmod(int(d) * (2 - place % 2), 10)) for place, d in enumerate(reversed(body)))
    return body + str(-total % 10)


def _card(random: Random) -> str:
    prefix, size = random.choice(
        (("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("6011", 16), ("34", 15), ("37", 15))
    )
    number = luhn(prefix + "".join(random.choices(digits, k=size - len(prefix) - 1)))
    groups = (4, 6, 5) if size == 15 else (4, 4, 4, 4)
    parts = [number[sum(groups[:place]) : sum(groups[: place + 1])] for place in range(len(groups))]
    return random.choice(("", "", " ", "-")).join(parts)


def _iban(random: Random) -> str:
    country, size, letters = random.choice((("DE", 18, 0), ("FR", 23, 0), ("GB", 18, 4), ("NL", 14, 4), ("CH", 17, 0)))
    account = "".join(random.choices(ascii_uppercase, k=letters) + random.choices(digits, k=size - letters))
    number = "".join(str(int(one, 36)) for one in f"{account}{country}00")
    whole = f"{country}{98 - int(number) % 97:02d}{account}"
    return random.choice((whole, " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))))


def _ssn(random: Random) -> str:
    area = random.choice([one for one in range(1, 900) if one != 666])
    return f"{area:03d}-{random.randint(1, 99):02d}-{random.randint(1, 9999):04d}"


_RESOLVERS: Final = {"1.1.1.1", "8.8.8.8", "9.9.9.9"}


def _ip(random: Random) -> str:
    while True:
        found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(random.randbytes(4))
        if random.random() < 0.3:
            found = ipaddress.IPv6Address(b"\x2a\x01" + random.randbytes(14))
        # A version has four small numbers too, and nobody could tell them apart.
        small = found.version == 4 and max(found.packed) < 100
        if found.is_global and not found.is_multicast and not small and str(found) not in _RESOLVERS:
            return str(found)


def _phone(random: Random) -> str:
    def number(count: int) -> str:
        return "".join(random.choices("23456789", k=count))

    area = random.choice(("212", "415", "617", "312", "206", "305"))
    return random.choice(
        (
            f"+1 {area} {number(3)} {number(4)}", f"({area}) {number(3)}-{number(4)}", f"+1{area}{number(7)}",
            f"{area}-{number(3)}-{number(4)}", f"+49 30 {number(8)}", f"+49 176 {number(8)}",
            f"+44 20 7{number(3)} {number(4)}",
            f"+33 6 {number(2)} {number(2)} {number(2)} {number(2)}", f"+41 44 {number(3)} {number(2)} {number(2)}",
        )
    )  # fmt: skip


def _site(random: Random) -> str:
    host = f"{some(random, ascii_lowercase, 9)}.{random.choice(('com', 'de', 'io', 'co.uk'))}"
    return f"https://{host}{random.choice(('', '/'))}"


_SHAPES: Final[Sequence[tuple[str, Callable[[Random], str]]]] = (
    ("key", _prefixed), ("key", _prefixed), ("key", _prefixed), ("key", _built), ("key", _built), ("jwt", _jwt),
    ("pem", _pem), ("mail", _email), ("mail", _email), ("card", _card), ("iban", _iban), ("ssn", _ssn), ("ip", _ip),
    ("phone", _phone), ("site", _site),
)  # fmt: skip
_SENTENCES: Final = (
    "{}", "see {} please", "It is {}.", "({})", "[{}]", '"{}"', "'{}'", "`{}`", "**{}**", "- {}\n- other", "a, {}, b",
    "> {}", "| a | {} |", "```\n{}\n```", "<b>{}</b>", "Zugang: {} (neu)", "密钥是 {} 。", "مفتاح {} هنا", "😀 {} 😀",
    "\t{}\n", "x = '{}'  # old", "{};", "first\nsecond {} third\nfourth", "Ключ — {}!", "{}\r\n", "value={}",
    "«{}»", "{}?", "see: {}, and so on", "password reset for {}", "\u200b{}\u200b", "{}\u2028",
)  # fmt: skip


def plant(random: Random) -> Planted:
    """Return a value in a text that keeps its promise."""
    dice = random.random()
    if dice < 0.2:
        return _assigned(random)
    if dice < 0.35:
        return _beside(random)
    kind, make = random.choice(_SHAPES)
    value = make(random)
    sentence = random.choice(_SENTENCES)
    if value.isdigit() and sentence == "[{}]":
        # A list in JSON: its number comes back as a string, as `mask_json` says.
        sentence = "[ {} ]."
    return Planted(kind, value, sentence.replace("{}", value))


def bare(random: Random) -> Planted:
    """Return a value that stands alone, as in an id or a name: one whose shape nobody has to explain."""
    value = random.choice((_prefixed, _built, _email))(random)
    return Planted("bare", value, value)
