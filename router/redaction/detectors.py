"""Which detectors look at a request by default, and how a user adds rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import re2  # type: ignore[import-untyped]  # it ships no types

from registry.errors import ConfigError
from router.redaction.account_numbers import Ibans, SocialSecurityNumbers
from router.redaction.addresses import IpAddresses, UrlCredentials, Urls
from router.redaction.command_lines import CommandLines
from router.redaction.credentials import AuthorizationHeaders, PrivateKeys
from router.redaction.encoded import EncodedTexts
from router.redaction.named_entities import ORGANISATION, PLACE
from router.redaction.named_secrets import NamedSecrets
from router.redaction.personal import Emails, PaymentCards
from router.redaction.phones import Phones
from router.redaction.presidio import PAPERS
from router.redaction.scanning import Marked, MarkedDetectors
from router.redaction.spans import TYPE_NAME, Detector, Span, find_spans
from router.redaction.sql_statements import SqlStatements
from router.redaction.token_shapes import TokenShapes
from router.redaction.user_rules import NAME, PATH, Sifted, SiftedMarked
from router.redaction.vendor_keys import TelegramTokens, VendorKeys

__all__ = ["DEFAULT_RULES", "DEFAULT_TYPES", "Detector", "PatternRule", "Span", "default_detectors", "find_spans"]

DEFAULT_RULES: Final[Mapping[str, str]] = MappingProxyType({"CUSTOMER": r"(?i:customer_[0-9]+)"})
DEFAULT_TYPES: Final = frozenset(
    {"SECRET", "PIIEMAIL", "PIICARD", "PIIIBAN", "PIISSN", "PIIIP", "PIIURL", "PIIPHONE", *DEFAULT_RULES}
)
OPTIONAL_TYPES: Final = frozenset({NAME, PATH, PAPERS, PLACE, ORGANISATION})
"""The types that only a name list, paths, Presidio or a model of names find."""


class PatternRule:
    """A user's own rule: a type name and a regular expression, matched in linear time.

    Python's own `re` needs longer than the universe for `(a+)+$` on 60 letters. The price: no look-around and no
    back-references.
    """

    def __init__(self, type_name: str, pattern: str) -> None:
        if not TYPE_NAME.fullmatch(type_name):
            raise ConfigError(
                f"redaction rule {type_name!r}: a type name is 2 to 24 capital letters, for example CUSTOMER"
            )
        options = re2.Options()
        options.log_errors = False
        try:
            self._pattern = re2.compile(pattern, options)
        except re2.error as error:
            said = error.args[0].decode(errors="replace") if error.args else "it does not parse"
            raise ConfigError(
                f"redaction.rules.{type_name}: {pattern!r} cannot be used ({said}); correct it"
            ) from error
        self._type = type_name

    def find(self, text: str) -> Iterator[Span]:
        """Yield what the expression matches, empty matches aside."""
        for match in self._pattern.finditer(text):
            if match.end() > match.start():
                yield Span(match.start(), match.end(), self._type, f"rule:{self._type}")


def default_detectors(
    extra_rules: Mapping[str, str] = MappingProxyType({}),
    *,
    off: Collection[str] = (),
    allowed: Sequence[str] = (),
    without_vendors: Collection[str] = (),
) -> tuple[Detector, ...]:
    """Return the built-in detectors and the rules by type name; a user's CUSTOMER replaces the default one.

    Types that are `off` and values `allowed` as globs are left. `without_vendors` leaves out the rules of vendors, to
    measure what structure alone finds.
    """
    rules = {**DEFAULT_RULES, **extra_rules}
    built_in = built_in_detectors(without_vendors)
    own = [PatternRule(type_name, pattern) for type_name, pattern in rules.items()]
    if not (off or allowed):
        return (MarkedDetectors(built_in), *own)
    return (
        MarkedDetectors(SiftedMarked(one, off, allowed) for one in built_in),
        *(Sifted(one, off, allowed) for one in own),
    )


def built_in_detectors(without_vendors: Collection[str] = ()) -> tuple[Marked, ...]:
    """Return the built-in detectors, each by itself."""
    plain = (
        PrivateKeys(),
        VendorKeys(without_vendors),
        TelegramTokens(),
        TokenShapes(),
        AuthorizationHeaders(),
        UrlCredentials(),
        NamedSecrets(),
        CommandLines(),
        SqlStatements(),
        Emails(),
        PaymentCards(),
        Ibans(),
        SocialSecurityNumbers(),
        IpAddresses(),
        Urls(),
        Phones(),
    )
    # A token without a name, inside of base64, is most often a piece of something else that is encoded.
    return (*plain, EncodedTexts(one for one in plain if not isinstance(one, TokenShapes)))
