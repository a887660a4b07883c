"""Clients' tokens: shown once, kept as digests, taken back for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from sqlalchemy import select

from registry import tables
from registry.database import Database
from registry.errors import ConfigError, ConflictError, NotFoundError
from registry.tokens import PREFIX, Client, ClientToken, Tokens, TrustTier, _digest
from tests.registry.making import at


def test_a_token_is_known_again_and_no_other_text_is(database: Database) -> None:
    tokens = Tokens(database)
    token = tokens.add("ci", at(0), day_usd=2.5)
    other = tokens.add("laptop", at(1))
    ci, laptop = tokens.all()

    assert token.startswith(PREFIX)
    assert len(token) >= len(PREFIX) + 43
    assert (ci.client, ci.created_at_utc, ci.revoked_at_utc) == (Client("ci", 2.5), at(0), None)
    assert ci.is_of(token) and laptop.is_of(other)
    assert not any(ci.is_of(text) for text in (other, "", token[:-1], f"{token} ", ci.digest, ci.salt))


def test_the_database_holds_no_token_and_equal_tokens_look_unlike(database: Database) -> None:
    tokens = Tokens(database)
    salts = iter(["same-token", "salt one", "same-token", "salt two"])
    token = tokens.add("ci", at(0), random_text=lambda _: next(salts))
    assert token == tokens.add("laptop", at(0), random_text=lambda _: next(salts))
    with database.read() as connection:
        rows = connection.execute(select(tables.tokens)).all()

    assert token not in str(rows)
    assert rows[0].digest != rows[1].digest
    assert token not in repr(tokens.all())
    assert rows[0].digest not in repr(tokens.all())


def test_a_revoked_token_stays_known_as_such_and_its_client_may_get_a_new_one(database: Database) -> None:
    tokens = Tokens(database)
    old = tokens.add("ci", at(0))
    tokens.revoke("ci", at(5))
    (revoked,) = tokens.all()
    new = tokens.add("ci", at(6))
    (good,) = tokens.all()

    assert revoked.revoked_at_utc == at(5)
    assert revoked.is_of(old)
    assert good.is_of(new) and not good.is_of(old)
    assert good.revoked_at_utc is None


def test_a_client_has_one_token(database: Database) -> None:
    tokens = Tokens(database)
    tokens.add("ci", at(0))
    with pytest.raises(ConflictError, match="token revoke ci"):
        tokens.add("ci", at(1))


def test_who_has_no_token_cannot_lose_one(database: Database) -> None:
    tokens = Tokens(database)
    with pytest.raises(NotFoundError, match="'ci'"):
        tokens.revoke("ci", at(0))
    with pytest.raises(NotFoundError, match="'ci'"):
        tokens.forget("ci")
    tokens.add("ci", at(0))
    tokens.revoke("ci", at(1))
    with pytest.raises(NotFoundError, match="'ci'"):
        tokens.revoke("ci", at(2))


def test_a_client_that_is_forgotten_leaves_nothing(database: Database) -> None:
    tokens = Tokens(database)
    tokens.add("ci", at(0))
    tokens.add("laptop", at(0))
    tokens.revoke("ci", at(1))

    assert tokens.forget("laptop") == 1
    assert tokens.forget("ci") == 0
    assert tokens.all() == []


@pytest.mark.parametrize("name", ["", "local", "a b", "-x", "x" * 81, "a\n", "ü", "a/b"])
def test_a_name_that_the_ledger_could_confuse_is_refused(database: Database, name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits"):
        Tokens(database).add(name, at(0))


@pytest.mark.parametrize("budget", [-1.0, float("inf"), float("nan")])
def test_a_budget_that_cannot_be_kept_is_refused(database: Database, budget: float) -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        Tokens(database).add("ci", at(0), day_usd=budget)


@bounded(max_examples=100)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
def test_only_the_token_itself_has_its_digest(token: str, presented: str, salt: str) -> None:
    salt = salt.encode("utf-8", "ignore").decode()[:16]
    kept = ClientToken(Client("ci"), salt, _digest(salt, token), at(0))

    assert kept.is_of(token)
    assert kept.is_of(presented) is (presented == token)


def test_a_client_keeps_its_trust_tier_and_is_trusted_by_default(database: Database) -> None:
    tokens = Tokens(database)
    tokens.add("web", at(0), trust_tier=TrustTier.UNTRUSTED)
    tokens.add("ann", at(0), trust_tier=TrustTier.NORMAL)
    tokens.add("ci", at(0))

    assert [one.client.trust_tier for one in tokens.all()] == [TrustTier.NORMAL, TrustTier.TRUSTED, TrustTier.UNTRUSTED]
    assert Client().trust_tier is TrustTier.TRUSTED
