"""What a network address gives away: URLs with credentials or of webhooks, personal sites, public IP addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from router.redaction.passwords import looks_random
from router.redaction.randomness import is_filler, surprise
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span, merge

_SCHEME_REVERSED: Final = re.compile(r"[A-Za-z0-9+.:-]{0,24}")
_USERINFO: Final = re.compile(r"""[^\s/?#"'`<>\\]{1,512}@""")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::[0-9]{1,5})?", re.ASCII)
_REST: Final = re.compile(
    r"""(?:[/?#][^\s"'`<>\\{}|^\[\]()\u00ab\u00bb\u2039\u203a\u201c\u201d\u201e\u2018\u2019\u3001\u3002\uff0c\uff01\uff1f\uff1b"""
    r"""\uff1a\u200b-\u200f\u2060\ufeff]*)?"""
)
_DATABASE_REST: Final = re.compile(r"""[^\s"'`<>\\]*""", re.ASCII)
_TRAILING: Final = ".,;:!?*"
_WEB: Final = frozenset({"http", "https", "ftp", "ftps", "ws", "wss", "sftp", "ssh", "git", "svn", "rtsp"})

_TEMPLATE: Final = re.compile(
    r"\$?(?:\w*|\{.*\}|\(.*\))(?<=[$})])|\$\w+|%\w*%?|[*.xX]+|(?:my|your)?-?_?pass(?:word|wd)|[A-Z]+(?:_[A-Z]+)+"
)
_LONE_TOKEN: Final = re.compile(r"(?=\D*[0-9])[\w.~-]{16,}", re.ASCII)


_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]{12,}")
_LONGEST_HOST: Final = 120
_BEFORE_WEBHOOK: Final = re.compile(r"https?://[\w.:/-]*", re.ASCII)
_SITE: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,6}([a-z]{2,18})", re.IGNORECASE | re.ASCII)
# Names that belong to nobody (RFC 2606, RFC 6761), to a private network or to every developer.
_NOBODYS: Final = re.compile(
    r"(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|test|invalid|local(?:host|domain)?|internal|lan|home|corp|arpa|onion"
    r"|yourdomain\.\w+|mycompany\.com|test\.com|company\.com|domain\.com|foo\.com|bar\.com|your-?\w*\.\w+|my-?(?:app|site|domain|host)\.\w+)$",
    re.IGNORECASE,
)
_PUBLIC_SITES: Final = re.compile(
    r"(?:^|\.)(?:github|gitlab|bitbucket|githubusercontent|npmjs|yarnpkg|pypi|pub|pythonhosted|readthedocs|crates|docs|rust-lang"
    r"|python|golang|go|nodejs|mozilla|w3|whatwg|ietf|iana|rfc-editor|ecma-international|unicode|json-schema|schemastore|xml"
    r"|schema|apache|gnu|kernel|debian|ubuntu|opensource|creativecommons|spdx|wikipedia|wikimedia|stackoverflow"
    r"|stackexchange|google|googleapis|gstatic|microsoft|azure|windows|visualstudio|apple|amazon|amazonaws|cloudflare"
    r"|jsdelivr|unpkg|cdnjs|docker|kubernetes|k8s|openai|anthropic|claude|mistral|huggingface|deepseek|groq|x|youtube"
    r"|reactjs|react|vuejs|angular|eslint|typescriptlang|babeljs|webpack|maven|gradle|oracle|java|mysql|postgresql|sqlite"
    r"|redis|mongodb|elastic|slack|notion|stripe|figma|atlassian|android|swift|php|ruby-lang|rubygems|perl|haskell|nuget"
    r"|sourceforge|jquery|bootstrapcdn|fontawesome|arxiv|doi|openapis|swagger|graphql|opentelemetry|gitea)"
    r"\.(?:com|org|net|io|dev|ai|co|rs|js|sh|app|edu|in|cn|run|land|st|gov|xyz|us|me|be|se|it|wiki)$",
    re.IGNORECASE,
)
_TECHNICAL_LABEL: Final = re.compile(
    r"^(?:docs?|developers?|api|cdn|registry|packages?|static|assets|raw|support|help|learn|wiki|schemas?|spec|repo|mirrors?"
    r"|download|downloads|dl|status|console|dashboard|gateway|hooks)\.",
    re.IGNORECASE,
)
_PAGE: Final = re.compile(r"(?:/[a-z-]{1,24}){1,4}(?:/|\.(?:html?|php|aspx?|jsp))?", re.IGNORECASE | re.ASCII)
_TECHNICAL_ENDS: Final = frozenset(
    {"io", "dev", "org", "sh", "rs", "ai", "app", "edu", "gov", "mil", "int", "js", "py"}
)

_V4: Final = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])", re.ASCII)
_V6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|\.\w)", re.ASCII)
_VERSION: Final = re.compile(
    r"(?:version|\b(?:ver\.?|release|build|v)|[=~<>]=|[~^])[\"'`]?\s{0,2}[:=]?\s{0,2}[\"'`]?$", re.IGNORECASE
)
_ASSIGNED_V6: Final = ipaddress.IPv6Network("2000::/3")
_RESOLVERS: Final = frozenset(
    {
        "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220",
        "2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe",
        "2620:fe::9", "2620:119:35::35", "2620:119:53::53",
    }
)  # fmt: skip


class UrlCredentials:
    """Finds URLs that carry a secret: `scheme://user:password@host`, a token before the @, the path of a webhook."""

    def __init__(self) -> None:
        self.marks = r"""://[^\s/?#"'`<>\\]+@|hooks?\.|(?i:webhook)[A-Za-z0-9_.-]{0,40}/|/hooks/"""
        self._marks = Scan(self.marks)

    def find(self, text: str) -> list[Span]:
        """Return a web address up to its path, a database's or webhook's whole; templates (`${PASSWORD}`) stay."""
        found: list[Span] = []
        judged = {_webhook: 0, _named_webhook: 0}  # a path may hold the mark again and again
        for start, _ in self._marks.spans(searchable(text)):
            if found and start < found[-1].end:
                continue
            if text[start] == ":":
                found += _web_secret(text, start, start + len("://"))
                continue
            rule = _webhook if text[start] == "h" else _named_webhook
            url = rule(text, start) if start >= judged[rule] else None
            if url is not None:
                span, is_secret = url
                judged[rule] = span.end
                found += [span] if is_secret else []
        return merge(found)


class Urls:
    """Finds the addresses of sites that may be somebody's own."""

    def __init__(self) -> None:
        self.marks = "(?i:https?|ftp)://|(?i:www\\.)[A-Za-z0-9]"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield URLs, without reserved names, well-known public sites and deep links into technical ones."""
        end = 0
        for start, stop in self._marks.spans(searchable(text)):
            if start < end or text[start - 1 : start].isalnum():
                continue
            begin = stop if text[stop - 1] == "/" else start
            host = _HOST.match(text, begin)
            if host is None:
                continue
            end = _end_of_url(text, host.end())
            if _is_personal(host[0].partition(":")[0].strip("."), text[host.end() : end]):
                yield Span(start, end, "PIIURL", "url")


class IpAddresses:
    """Finds IP addresses of the public internet."""

    def __init__(self) -> None:
        self.marks = r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield addresses that are neither private, reserved nor of a public resolver, and no version numbers."""
        end = 0
        for start, _ in self._marks.spans(searchable(text)):
            if start < end:
                continue
            found = _V4.search(text, max(0, start - 2), start + 16) or _V6.match(text, start)
            if found and found.start() >= end and _is_public(found[0]) and not _is_version(text, found):
                end = found.end()
                yield Span(found.start(), end, "PIIIP", "ip-address")


def _web_secret(text: str, start: int, end: int) -> list[Span]:
    """Return what a URL with credentials must not show: a web address up to its path, any other whole."""
    userinfo = _USERINFO.match(text, end)
    if userinfo is None:
        return []
    user, colon, password = userinfo[0][:-1].partition(":")
    if colon:
        if not password or _TEMPLATE.fullmatch(password) or is_filler(password) or _is_named_so(user, password):
            return []
    elif not _LONE_TOKEN.fullmatch(user):
        return []
    host = _HOST.match(text, userinfo.end())
    if host is None:
        return [Span(end, userinfo.end() - 1, "SECRET", "url-credentials")]
    run = _SCHEME_REVERSED.match(text[max(0, start - 24) : start][::-1])
    begin = start - len(run[0]) if run else start
    while begin < start and not text[begin].isalpha():
        begin += 1
    rest = host.end()
    if text[begin:start].lower().rpartition(":")[2] not in _WEB and (whole := _DATABASE_REST.match(text, rest)):
        rest = whole.end()
    return [Span(begin, max(rest - _trailing(text[host.start() : rest]), host.start()), "SECRET", "url-credentials")]


def _is_named_so(user: str, password: str) -> bool:
    """Tell whether a password is none: the name of its user once more, or the word for it."""
    return user == password or password.lower() in {"secret", "passwd", "pwd"}


def _webhook(text: str, start: int) -> tuple[Span, bool] | None:
    """Return a webhook's URL, and whether a random segment of its path is its secret."""
    # Asked first: a host is then walked once, however often the mark stands in it.
    if start and (text[start - 1].isalnum() or text[start - 1] in ".-_@"):
        return None
    host = _HOST.match(text, start)
    if host is None:
        return None
    end = _end_of_url(text, host.end())
    path = text[host.end() : end]
    is_secret = _has_random_segment(path) or any(looks_random(piece, 6) for piece in path.split("/"))
    scheme = next((one for one in ("https://", "http://") if text.endswith(one, 0, start)), "")
    return Span(start - len(scheme), end, "SECRET", "webhook"), is_secret


def _named_webhook(text: str, start: int) -> tuple[Span, bool] | None:
    """Return a URL whose host or path says `webhook`, as at `start`, and whether a random segment follows."""
    begin = text.rfind("http", max(0, start - _LONGEST_HOST), start)
    if begin < 0 or not _BEFORE_WEBHOOK.fullmatch(text, begin, start):
        return None
    end = _end_of_url(text, text.index("/", start))
    return Span(begin, end, "SECRET", "webhook"), _has_random_segment(text[start:end])


def _has_random_segment(path: str) -> bool:
    return any(surprise(piece[0]) > 0 for piece in _SEGMENT.finditer(path))


def _end_of_url(text: str, start: int) -> int:
    rest = _REST.match(text, start)
    end = rest.end() if rest else start
    return end - _trailing(text[start:end])


def _trailing(text: str) -> int:
    return len(text) - len(text.rstrip(_TRAILING))


def _is_personal(host: str, path: str) -> bool:
    site = _SITE.fullmatch(host)
    if site is None or _NOBODYS.search(host) or _PUBLIC_SITES.search(host):
        return False
    if not path.strip("/"):
        return True
    technical = site[1].lower() in _TECHNICAL_ENDS or _TECHNICAL_LABEL.match(host)
    return (
        not technical
        and _PAGE.fullmatch(path) is not None
        and (host.count(".") == 1 or host.lower().startswith("www."))
    )


def _is_public(address: str) -> bool:
    if address.count(":") and "::" not in address and address.count(":") != 7:
        return False
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # Not `is_global`: a carrier's shared block tells as much as a public one, and IPv6 is not all assigned yet.
    if found.is_private or found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not found.is_reserved and str(found) not in _RESOLVERS
    if str(found) in _RESOLVERS:
        return False
    # All that is assigned so far begins so (RFC 4291), and no scope of C++ does, as `a::b` is one.
    return found in _ASSIGNED_V6 or address.count(":") > 2


def _is_version(text: str, found: re.Match[str]) -> bool:
    return "." in found[0] and _VERSION.search(text, max(0, found.start() - 12), found.start()) is not None
