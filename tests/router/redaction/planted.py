"""Secrets and personal data made at random by their public shape; nothing here reads the rules under test."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Final

ALNUM: Final = ascii_letters + digits
URL64: Final = ALNUM + "-_"
HEX: Final = "0123456789abcdef"


def some(rng: random.Random, alphabet: str, count: int) -> str:
    """Return `count` characters; where the alphabet has digits and capitals the last two are one of each."""
    drawn = [rng.choice(alphabet) for _ in range(count)]
    if set(digits + ascii_uppercase) <= set(alphabet):
        drawn[-2:] = [rng.choice(digits), rng.choice(ascii_uppercase)]
    return "".join(drawn)


def json_web_token(rng: random.Random) -> str:
    """Return header, payload and signature."""
    parts = (
        f'{{"alg":"HS256","kid":"{some(rng, ALNUM, 6)}"}}',
        f'{{"sub":"{some(rng, digits, 9)}"}}',
        some(rng, ALNUM, 32),
    )
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def private_key(rng: random.Random, kind: str = "RSA ") -> str:
    """Return a block of the length of a small key."""
    lines = "\n".join(some(rng, ALNUM + "+/", 64) for _ in range(8))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n{some(rng, ALNUM, 22)}==\n-----END {kind}PRIVATE KEY-----"


def card(rng: random.Random, prefix: str = "4", length: int = 16) -> str:
    """Return a card number whose check digit makes the Luhn sum a multiple of ten."""
    body = prefix + some(rng, digits, length - len(prefix) - 1)
    total = sum(int(d) if i % 2 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(body)))
    return body + str(-total % 10)


def grouped(number: str) -> str:
    """Write a 16-digit card number as on the card."""
    return "-".join(number[i : i + 4] for i in range(0, 16, 4))


# What must not survive -> how to make one. The rest of the line is in LINES.
SECRETS: Final[Mapping[str, Callable[[random.Random], str]]] = {
    "openai": lambda r: "sk-" + some(r, ALNUM, 48),
    "openai project": lambda r: "sk-proj-" + some(r, URL64, 120),
    "anthropic": lambda r: "sk-ant-api03-" + some(r, URL64, 93) + "AA",
    "openrouter": lambda r: "sk-or-v1-" + some(r, HEX, 64),
    "google": lambda r: "AIza" + some(r, URL64, 35),
    "aws key id": lambda r: r.choice(("AKIA", "ASIA")) + some(r, ascii_uppercase + "234567", 16),
    "github": lambda r: r.choice(("ghp_", "gho_", "ghu_", "ghs_", "ghr_")) + some(r, ALNUM, 36),
    "github fine-grained": lambda r: "github_pat_" + some(r, ALNUM, 22) + "_" + some(r, ALNUM, 59),
    "gitlab": lambda r: "glpat-" + some(r, URL64, 20),
    "slack bot": lambda r: f"xoxb-{some(r, digits, 12)}-{some(r, digits, 13)}-{some(r, ALNUM, 24)}",
    "slack user": lambda r: f"xoxp-{some(r, digits, 12)}-{some(r, digits, 12)}-{some(r, HEX, 32)}",
    "stripe": lambda r: r.choice(("sk_live_", "rk_live_", "sk_test_")) + some(r, ALNUM, 24),
    "hugging face": lambda r: "hf_" + some(r, ascii_letters, 33) + "Q",
    "npm": lambda r: "npm_" + some(r, ALNUM, 36),
    "pypi": lambda r: "pypi-AgEIcHlwaS5vcmc" + some(r, URL64, 150),
    "groq": lambda r: "gsk_" + some(r, ALNUM, 52),
    "xai": lambda r: "xai-" + some(r, ALNUM, 80),
    "telegram": lambda r: f"{some(r, digits, 10)}:AA{some(r, URL64, 33)}",
    "sendgrid": lambda r: f"SG.{some(r, URL64, 22)}.{some(r, URL64, 43)}",
    "twilio": lambda r: "SK" + some(r, HEX, 32),
    "json web token": json_web_token,
    "private key": private_key,
    "private key, other kinds": lambda r: private_key(r, r.choice(("", "EC ", "OPENSSH ", "ENCRYPTED "))),
    "e-mail": lambda r: f"{some(r, ascii_lowercase, 6)}.{some(r, digits, 2)}+x@mail.{some(r, ascii_lowercase, 8)}.org",
    "visa": card,
    "mastercard": lambda r: card(r, str(r.randint(51, 55))),
    "amex": lambda r: card(r, r.choice(("34", "37")), 15),
    "customer id": lambda r: f"customer_{r.randint(1, 10**9)}",
}

# Secrets that only their surroundings give away: `{}` is what must not survive, the rest must.
LINES: Final[Mapping[str, tuple[str, Callable[[random.Random], str]]]] = {
    "authorization bearer": ("Authorization: Bearer {}", lambda r: some(r, ALNUM, 40)),
    "authorization in code": ('headers = {{"Authorization": "Bearer {}"}}', lambda r: some(r, HEX, 40)),
    "authorization basic": (
        "authorization: Basic {}",
        lambda r: base64.b64encode(f"admin:{some(r, ALNUM, 12)}".encode()).decode(),
    ),
    "bare bearer": ("curl -H 'Bearer {}'", lambda r: some(r, ALNUM, 32)),
    "url": ("url = '{}'", lambda r: f"redis://:{some(r, ALNUM, 12)}@cache.example.org:6379/0"),
    "url with @ in the password": ("{} is down", lambda r: f"amqp://:p@{some(r, ALNUM, 10)}@queue.internal:5672"),
    "url token": ("git clone {}/team/app.git", lambda r: f"https://{some(r, ALNUM, 24)}@git.example.org"),
    "webhook": (
        "post to {} please",
        lambda r: f"https://hooks.chat.example.org/T{some(r, ALNUM, 8)}/{some(r, ALNUM, 24)}",
    ),
    "command": ("curl -u {} https://api.example.org/items", lambda r: f"app:{some(r, ALNUM, 14)}"),
    "long command": ("curl --user {} -X POST https://api.example.org", lambda r: f"app:{some(r, ALNUM, 14)}"),
    "session cookie": ("Cookie: theme=dark; session_id={}; n=1", lambda r: some(r, ALNUM, 32)),
    "pin": ("the PIN for the side door is {}, tell nobody", lambda r: some(r, digits, 4)),
    "environment": ("export DB_PASSWORD={}", lambda r: some(r, ascii_lowercase, 12)),
    "password literal": ('    password = "{}"', lambda r: some(r, ascii_lowercase, 10)),
    "yaml": ("api_key: {}", lambda r: some(r, ALNUM, 32)),
    "json": ('{{"client_secret": "{}", "n": 1}}', lambda r: some(r, ALNUM + "~._-", 40)),
    "escaped json": (r'"{{\"token\": \"{}\"}}"', lambda r: some(r, ALNUM, 36)),
    "aws secret": ("aws_secret_access_key = {}", lambda r: some(r, ALNUM + "/+", 40)),
    "query": ("https://api.example.org/v1/items?access_token={}&page=2", lambda r: some(r, ALNUM, 28)),
    "go": ('apiToken := "{}"', lambda r: some(r, HEX, 32)),
    "prose": ("ok so the password is {} and it still fails", lambda r: some(r, ALNUM, 9) + "!"),
    "grouped card": ("pay with {} please", lambda r: grouped(card(r))),
}


# Everyday lines without secrets: hashes, ids, code that talks about secrets, logs, prose.
BENIGN: Final = (
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "index 8c7e5a6..e69de29 100644",
    "id: 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    '"integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",',
    "FROM python@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "h1:vR7hzQXu2zJy9AVAgeJqvqgH9Q5CA+iKCZ2gyEVpxRU=",
    'completion id="chatcmpl-9xQ2LkT8mVb3Nd7Rw5Yc1Hj6Ze0Pa"',
    "request-id: req_011CSHoEeqs5C35K2UUqR7Fy",
    "2026-11-21T11:48:32.123456Z INFO worker-3 took 1834 ms, 99.97 % of 1732190912345 ns",
    '10.0.0.1 - - [21/Nov/2026:11:48:32 +0000] "GET /v1/models HTTP/1.1" 200 5316 192.168.178.20 fe80::1ff:fe23:4567',
    "The bearer of this letter is a basic authorization problem: secret keys, passwords and tokens are explained.",
    "max_tokens=4096, total_tokens: 128000, tokenizer = AutoTokenizer.from_pretrained(name)",
    "def token(self, password: str, api_key: str | None = None) -> str:",
    "password = os.environ['DB_PASSWORD']",
    "const password = result.groups?.password;",
    "api_key = settings.openai.api_key or get_secret('openai')",
    'headers = {"Authorization": f"Bearer {token}"}',
    "DATABASE_URL=postgres://${DB_USER}:${DB_PASSWORD}@localhost:5432/app",
    "git remote add origin git@github.com:team/app.git",
    "@app.route('/users/<int:customer_id>')",
    "public_key = 'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE'",
    "primary_key: user_id, sort_key: created_at_2026",
    "# Forward pass: context-line distance; Backward pass: token-wise",
    'parser.add_argument("-p", "--password", dest="password")',
    "Generate a passphrase:\n\n`pwqgen`",
    "class sk-toggleable__label-arrow, .hf_servingcellpriority, disk-usage-per-partition-and-host",
    "order 4111111111111112 and 1234567890123456 are no cards; 3.14159265358979 neither",
    "assets/vipul-f0eb1acf0da84c06a50c5b2c59932001997786b176dec02bd1.png",
    "import { tokenSecretKeyring } from '@company/secrets';",
    "see RFC 6749 section 4.1 (authorization code grant): the token endpoint",
)
