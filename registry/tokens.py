"""Clients of the daemon and their tokens, of which only salted digests are kept.

A token is 256 random bits, so nobody can guess one from its digest, and one pass of a fast hash is enough; a slow one,
made for passwords that people choose, would only hold up every request. A salt keeps equal tokens from looking equal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import RowMapping, delete, func, insert, select, update

from registry.columns import utc_text, utc_time
from registry.database import Database
from registry.errors import ConfigError, ConflictError, NotFoundError
from registry.tables import tokens

LOCAL_CLIENT = "local"
"""What the ledger calls a client without a token."""
PREFIX = "mbt_"
"""What every token begins with, so that people and secret scanners know one."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_RANDOM_BYTES = 32


class TrustTier(StrEnum):
    """What a client's tasks may teach, most first: whatever answers them, what a person vouches for, nothing."""

    TRUSTED = "trusted"
    NORMAL = "normal"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, and what its tasks may cost a day in US dollars; None is no limit of its own.

    Whoever needs no token is the user of the machine, and trusted.
    """

    name: str = LOCAL_CLIENT
    day_usd: float | None = None
    trust_tier: TrustTier = TrustTier.TRUSTED


@dataclass(frozen=True, slots=True)
class ClientToken:
    """A client's token as it is kept: never the token itself."""

    client: Client
    salt: str = field(repr=False)
    digest: str = field(repr=False)
    created_at_utc: datetime
    revoked_at_utc: datetime | None = None

    def is_of(self, presented: str) -> bool:
        """Say whether this is the digest of a token, in a time that tells nothing of either."""
        return hmac.compare_digest(_digest(self.salt, presented), self.digest)


class Tokens:
    """The tokens of one database; usable from any thread and any process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        name: str,
        at: datetime,
        *,
        day_usd: float | None = None,
        trust_tier: TrustTier = TrustTier.TRUSTED,
        random_text: Callable[[int], str] = secrets.token_urlsafe,
    ) -> str:
        """Make a client's token and return it: it is not kept, so it cannot be shown again.

        Args:
            name: letters, digits, `.`, `_` and `-`, at most 80; the ledger's name of the client.
            at: now.
            day_usd: what its tasks may cost a day in US dollars.
            trust_tier: what its tasks may teach.
            random_text: gives URL-safe text of so many random bytes.

        Raises:
            ConfigError: the name or the budget cannot be used.
            ConflictError: the client has a token.
        """
        _check(name, day_usd)
        token = PREFIX + random_text(_RANDOM_BYTES)
        salt = random_text(16)
        row = {
            "client": name,
            "salt": salt,
            "digest": _digest(salt, token),
            "day_usd": day_usd,
            "trust_tier": trust_tier,
        }
        with self._database.write() as connection:
            known = connection.execute(select(tokens).where(tokens.c.client == name)).mappings().first()
            if known is not None and known["revoked_at_utc"] is None:
                raise ConflictError(f"client {name!r} has a token; `modelbreeder token revoke {name}` first, or rename")
            connection.execute(delete(tokens).where(tokens.c.client == name))
            connection.execute(insert(tokens).values(**row, created_at_utc=utc_text(at), revoked_at_utc=None))
        return token

    def all(self) -> list[ClientToken]:
        """Return every client's token by name, the revoked ones too."""
        with self._database.read() as connection:
            return [_decode(row) for row in connection.execute(select(tokens).order_by(tokens.c.client)).mappings()]

    def revoke(self, name: str, at: datetime) -> None:
        """Take a client's token back for good; NotFoundError where it has none that is good."""
        good = (tokens.c.client == name, tokens.c.revoked_at_utc.is_(None))
        with self._database.write() as connection:
            if connection.execute(update(tokens).where(*good).values(revoked_at_utc=utc_text(at))).rowcount == 0:
                raise _unknown(name)

    def forget(self, name: str) -> int:
        """Remove a client and its token; return how many clients are left, the revoked ones too."""
        with self._database.write() as connection:
            if connection.execute(delete(tokens).where(tokens.c.client == name)).rowcount == 0:
                raise _unknown(name)
            return connection.scalar(select(func.count()).select_from(tokens)) or 0


def _check(name: str, day_usd: float | None) -> None:
    if not _NAME.fullmatch(name) or name == LOCAL_CLIENT:
        raise ConfigError(
            f"a client cannot be called {name[:80]!r}; take letters, digits, '.', '_' and '-', at most 80, "
            f"and not {LOCAL_CLIENT!r}, which is whoever has no token"
        )
    if day_usd is not None and not 0 <= day_usd < float("inf"):
        raise ConfigError(f"a budget of {day_usd} US dollars a day cannot be kept; give 0 or more")


def _digest(salt: str, token: str) -> str:
    return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32, key=salt.encode()).hexdigest()


def _decode(row: RowMapping) -> ClientToken:
    revoked = row["revoked_at_utc"]
    return ClientToken(
        client=Client(row["client"], row["day_usd"], TrustTier(row["trust_tier"])),
        salt=row["salt"],
        digest=row["digest"],
        created_at_utc=utc_time(row["created_at_utc"]),
        revoked_at_utc=None if revoked is None else utc_time(revoked),
    )


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"no client {name!r} has a token; `modelbreeder token ls` shows those that have")
