"""Credentials that vendors give a recognisable shape: a prefix and a body, or a JSON Web Token."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from router.redaction.randomness import is_named_filler, is_repeated, surprise
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import END, START, Span, merge

_WRITTEN: Final = -0.4  # bits a character; nineteen of twenty words and identifiers have fewer, a random one in 10^4
_PIECE: Final = re.compile("[A-Za-z0-9]+")
_NUMBER: Final = re.compile("[A-Za-z]{0,4}[0-9]+")
_MIXED: Final = re.compile("[A-Za-z][0-9]+[A-Za-z]|[0-9][A-Za-z]+[0-9]")
_ELIDED: Final = re.compile(r"[#*.]{3}|…")
_WORDS: Final = re.compile(r"[a-z_.\-]+")

# name of the rule -> prefix, which a first pass looks for, and body. Order matters where one prefix begins another.
VENDOR_KEYS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # Models.
        "anthropic": ("sk-ant-", r"(?:(?:api|admin)[0-9]{2}-[\w-]{80,}AA|(?!(?:api|admin)[0-9])[\w-]{16,})" + END),
        "openrouter": ("sk-or-", r"[\w-]{16,}"),
        "langfuse": ("sk-lf-", r"[0-9a-f-]{30,}"),
        "openai": ("sk-|sess-[A-Za-z0-9]{20}", r"(?!ant-|or-|lf-)(?:(?:proj|svcacct|admin|service|None)-)?[\w-]{20,}"),
        "google": (
            r"AIza|GOCSPX-|ya29\.|1//0|AQ\.Ab",
            r"(?<!AIza)[\w-]{20,}|(?<=AIza)(?=[a-zA-Z]*[0-9_-])[\w-]{35}(?![\w-])",
        ),
        "huggingface": ("hf_|api_org_", r"[A-Za-z0-9]{30,}"),
        "groq": ("gsk_", r"[A-Za-z0-9]{20,}"),
        "xai": ("xai-", r"[\w-]{20,}"),
        "perplexity": ("pplx-", r"[A-Za-z0-9]{30,}"),
        "replicate": ("r8_", r"[A-Za-z0-9]{30,}"),
        "fireworks": ("fw_", r"[A-Za-z0-9]{20,}"),
        "together": ("tgp_v1_", r"[\w-]{20,}"),
        "cerebras": ("csk-", r"[A-Za-z0-9]{30,}"),
        "nvidia": ("nvapi-", r"[\w-]{40,}"),
        "langsmith": ("lsv2_(?:pt|sk)_", r"[0-9a-f_]{32,}"),
        "tavily": ("tvly-", r"[\w-]{20,}"),
        "firecrawl": ("fc-", r"[0-9a-f]{32}" + END),
        "jina": ("jina_", r"[\w-]{40,}"),
        "voyage": ("pa-", r"[\w-]{40,}"),
        "pinecone": ("pcsk_", r"[\w-]{40,}"),
        "weights": ("wandb_v1_", r"[\w-]{20,}"),
        "bedrock": ("ABSK|bedrock-api-key-", r"[A-Za-z0-9+/]{60,}={0,2}"),
        # Clouds and hosts.
        "aws": ("AKIA|ASIA|ABIA|ACCA", "[A-Z0-9]{16}" + END),
        "azure": (r"[\w~.][\w~.][\w~.][0-9]Q~", r"[\w~.-]{31,34}(?![\w~.-])"),
        "alibaba": ("LTAI", "[A-Za-z0-9]{12,20}" + END),
        "tencent": ("AKID", "[A-Za-z0-9]{32}" + END),
        "yandex": (r"YC[A-Z]|t1\.[A-Za-z0-9]|AQVN", r"[\w-]{35,}(?:={0,2}\.[\w-]{40,}={0,2})?"),
        "digitalocean": ("do[opr]_v1_", r"[0-9a-f]{40,}"),
        "cloudflare": (r"cf(?:at|ut|k)_|v1\.0-", r"[A-Za-z0-9-]{40,}"),
        "heroku": ("HRKU-", r"[\w-]{30,}"),
        "flyio": ("fo1_|fm1[ar]_|fm2_", r"[\w+/-]{30,}={0,3}"),
        "vercel": ("vc[piakr]_", r"[A-Za-z0-9]{30,}"),
        "netlify": ("nf[pcoub]_", r"[A-Za-z0-9]{36,}"),
        "supabase": ("sbp_|sb_secret_", r"[\w-]{20,}"),
        "neon": ("npg_|napi_", r"[A-Za-z0-9]{12,}"),
        "planetscale": ("pscale_(?:pw|tkn|oauth)_", r"[\w.=-]{20,}"),
        "tailscale": ("tskey-", r"[a-z]+-[\w-]{20,}"),
        "doppler": (r"dp\.(?:pt|st|sa|ct|scim|audit)\.", r"[\w.-]{20,}"),
        "vault": (r"hv[sbr]\.", r"[\w-]{20,}"),
        "databricks": ("dapi", r"[0-9a-fA-F]{32}(?:-[0-9])?" + END),
        "onepassword": ("ops_eyJ|A3-", r"[\w+/-]{34,}={0,2}"),
        # Code.
        "github": ("gh[oprsu]_|github_pat_", r"[A-Za-z0-9][\w.-]{21,}"),
        "gitlab": ("gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct)-|GR1348941", r"[\w.-]{16,}"),
        "npm": ("npm_", r"[A-Za-z0-9]{30,}"),
        "pypi": ("pypi-", r"[\w-]{30,}"),
        "docker": ("dckr_(?:pat|oat)_", r"[\w-]{20,}"),
        "atlassian": ("AT(?:ATT|CTT|BB)[A-Za-z0-9]", r"[\w=-]{20,}"),
        "sourcegraph": ("sgp_", r"(?:local_|[A-Fa-f0-9]{16}_)?[A-Fa-f0-9]{40,}"),
        "openshift": ("sha256~", r"[\w-]{43}"),
        # Everything else.
        "stripe": ("(?:sk|rk)_(?:live|test|prod)_|whsec_", r"[A-Za-z0-9+/=]{12,}"),
        "slack": (r"xox[abceoprs](?:\.xox[a-z])?-|xapp-[0-9]-", r"(?![0-9]{2,4}-)[A-Za-z0-9-]{19,}"),
        "sendgrid": (r"SG\.", r"[\w-]{16,}\.[\w-]{16,}"),
        "twilio": ("SK[0-9a-f]{8}", r"[0-9a-f]{24}" + END),
        "figma": ("fig[dor]_", r"[\w-]{20,}"),
        "grafana": ("gl(?:sa|c)_", r"[\w+/]{20,}={0,3}"),
        "postman": ("PMAK-", r"[0-9a-f]{24}-[0-9a-f]{34}" + END),
        "clojars": ("CLOJARS_", r"[0-9a-f]{60}" + END),
        "newrelic": ("NR(?:AK|RA|II|JS|BR)-", r"[A-Za-z0-9]{19,}"),
        # Not the end of another name: `cache-key-` stands before many a hash.
        "mailgun": ("key-", r"(?<![\w-]key-)[0-9a-f]{32}" + END),
        "linear": ("lin_(?:api|oauth)_", r"[A-Za-z0-9]{30,}"),
        "notion": ("ntn_", r"[A-Za-z0-9]{40,}"),
        "sentry": ("sntry[su]_", r"(?:(?<=u_)[0-9a-f]{64}" + END + r"|(?<=s_)[\w+/-]{40,}(?:={0,2}_[\w+/-]{40,})?)"),
        "shopify": ("shp(?:at|ca|pa|ss|ua)_", r"[A-Za-z0-9]{20,}"),
        "age": ("AGE-SECRET-KEY-1", r"[A-Z0-9]{50,}"),
        "airtable": (r"pat[A-Za-z0-9]{14}\.", r"[0-9a-f]{60,}"),
        "dynatrace": (r"dt0[a-z][0-9][0-9]\.", r"[\w.-]{40,}"),
        "easypost": ("EZ[AT]K", r"[A-Za-z0-9]{50,}"),
        "facebook": ("EAA", r"[A-Za-z0-9]{80,}"),
        # One start per run of [A-Za-z0-9_-] keeps a text full of `eyJ-` linear.
        "jwt": ("eyJ", r"(?<![_-]eyJ)[\w-]{10,}+(?:\.[\w-]+){1,4}"),
    }
)
_AWS_SECRET: Final = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")
_NEAR: Final = 160
_TELEGRAM: Final = re.compile(r":(?<=[0-9]{8}:)[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")


class VendorKeys:
    """Finds keys of known vendors at the beginning of a word."""

    def __init__(self, without: Collection[str] = ()) -> None:
        """Take the names of rules to leave out, to measure what structure alone finds."""
        kept = {name: shape for name, shape in VENDOR_KEYS.items() if name not in without}
        self.marks = "|".join(prefix for prefix, _ in kept.values())
        self._prefixes = Scan(self.marks)
        self._key = re.compile(
            START
            + "(?:"
            + "|".join(f"(?P<{name}>(?:{prefix})(?:{body}))" for name, (prefix, body) in kept.items())
            + ")",
            re.ASCII,
        )

    def find(self, text: str) -> list[Span]:
        """Return keys; words behind a prefix (`sk-learn-...`), examples and pieces of base64 are none."""
        return merge(self._found(text))

    def _found(self, text: str) -> Iterator[Span]:
        end = 0
        for place, _ in self._prefixes.spans(searchable(text)):
            if place < end:
                continue
            key = self._key.match(text, place)
            if key is None:
                continue
            start, end = key.span()
            shown = is_written(key.group()) or is_named_filler(key.group()) or _ELIDED.match(text, end)
            if not (shown or _inside_base64(text, start, end)):
                yield Span(start, end, "SECRET", f"{key.lastgroup}-key")
                if key.lastgroup == "aws":
                    yield from _secrets_of_aws(text, start, end)


def is_written(value: str) -> bool:
    """Tell whether a value is made of words or a plain number: `sk-learn-pipeline`, `hf_requiredTypesForDisplay`."""
    if _WORDS.fullmatch(value):
        return True
    pieces = _PIECE.findall(value)
    piece = max(pieces, key=len)
    if _NUMBER.fullmatch(piece) and len(pieces) <= 2:
        return True
    if len(set(piece)) <= 2:
        return False  # published test keys are often one letter again and again
    if is_repeated(piece):
        return True
    mixed = any(_MIXED.search(one) for one in pieces)
    return surprise(piece) < _WRITTEN * len(piece) and piece.isalpha() and not mixed


def _secrets_of_aws(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield what looks like the secret of an access key id, near it: forty characters of base64."""
    for found in _AWS_SECRET.finditer(text, max(0, start - _NEAR), end + _NEAR):
        value = found[0]
        kinds = (str.islower, str.isupper, str.isdigit)
        if all(any(map(kind, value)) for kind in kinds) and surprise(value) > 0 and not is_named_filler(value):
            yield Span(found.start(), found.end(), "SECRET", "aws-secret")


def _inside_base64(text: str, start: int, end: int) -> bool:
    return start > 0 and text[start - 1] in "+/" and text[end : end + 1] in ("/", "+")


class TelegramTokens:
    """Finds bot tokens: digits, a colon, 35 characters."""

    marks = "[0-9]{8}:[A-Za-z0-9_-]"

    def find(self, text: str) -> Iterator[Span]:
        """Yield bot tokens with their bot id of 8 digits or more."""
        end = 0
        for token in _TELEGRAM.finditer(text):
            start = token.start()
            while start > end and text[start - 1] in "0123456789":
                start -= 1
            end = token.end()
            yield Span(start, end, "SECRET", "telegram-token")
