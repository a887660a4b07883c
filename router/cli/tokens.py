"""`token add|ls|revoke`: the clients that may ask the daemon; it hears of a change within a second or two."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from registry.home import Home
from router.cli.frame import JsonOption, home_of, say, say_json, say_table, settings_of, short

if TYPE_CHECKING:
    from registry.tokens import ClientToken, Tokens, TrustTier

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the tokens of the daemon's clients.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The client, as the ledger will call it.")]


@app.command()
def add(
    context: typer.Context,
    name: NameArgument,
    budget_day_usd: Annotated[
        float | None, typer.Option(min=0, help="What its tasks may cost a day in US dollars, beside policy.budget.")
    ] = None,
    trust_tier: Annotated[
        str, typer.Option(help="What its tasks may teach: trusted, normal (what people accepted), untrusted (nothing).")
    ] = "trusted",
    as_json: JsonOption = False,
) -> None:
    """Make a client's token and print it, this once; from the first one on, the daemon refuses whoever has none."""
    from registry.ids import utc_now

    tier = _tier(trust_tier)
    with opened(home_of(context)) as tokens:
        first = not tokens.all()
        token = tokens.add(name, utc_now(), day_usd=budget_day_usd, trust_tier=tier)
    if as_json:
        say_json({"client": name, "token": token, "budget_day_usd": budget_day_usd, "trust_tier": trust_tier})
        return
    say(token)
    # Beside standard output, so that a script gets the token alone.
    sys.stderr.write("It is not shown again. Clients send it as Authorization: Bearer or as x-api-key.\n")
    if first:
        sys.stderr.write("It is the first one: from now on, the daemon refuses requests without a token.\n")


@app.command()
def ls(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the clients that have, or had, a token."""
    with opened(home_of(context)) as tokens:
        found = tokens.all()
    if as_json:
        from router.explaining import plain

        say_json([plain(_shown(one)) for one in found])
    else:
        say_table(("client", "trust", "usd a day", "since", "revoked"), [_row(one) for one in found])


@app.command()
def revoke(
    context: typer.Context,
    name: NameArgument,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the client too; without any, loopback is open to all again.")
    ] = False,
) -> None:
    """Take a client's token back for good."""
    from registry.ids import utc_now

    with opened(home_of(context)) as tokens:
        if forget:
            left = tokens.forget(name)
            say(f"client {name} is removed" + ("" if left else "; no client is left, so on loopback anybody may ask"))
            return
        tokens.revoke(name, utc_now())
        good = [one for one in tokens.all() if one.revoked_at_utc is None]
    say(f"the token of client {name} is revoked" + ("" if good else "; no good token is left, so nobody may ask"))


def _tier(name: str) -> TrustTier:
    from registry.tokens import TrustTier

    if name not in {tier.value for tier in TrustTier}:
        raise typer.BadParameter(f"{name!r} is no trust tier; give one of {', '.join(TrustTier)}")
    return TrustTier(name)


@contextmanager
def opened(home: Home) -> Iterator[Tokens]:
    """Give the tokens of a home's database."""
    from registry.home_database import open_home_database
    from registry.tokens import Tokens

    settings = settings_of(home)
    home.prepare()
    database = open_home_database(home, settings.ledger)
    try:
        yield Tokens(database)
    finally:
        database.close()


def _shown(one: ClientToken) -> dict[str, object]:
    revoked = one.revoked_at_utc
    return {
        "client": one.client.name,
        "budget_day_usd": one.client.day_usd,
        "trust_tier": one.client.trust_tier,
        "created_at_utc": one.created_at_utc,
        "revoked_at_utc": revoked,
    }


def _row(one: ClientToken) -> tuple[str, ...]:
    revoked = one.revoked_at_utc
    since = f"{one.created_at_utc:%Y-%m-%d %H:%M}"
    until = f"{revoked:%Y-%m-%d %H:%M}" if revoked else "-"
    return one.client.name, one.client.trust_tier, short(one.client.day_usd), since, until
