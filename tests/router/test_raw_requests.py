"""`ledger.keep_raw` from the daemon to `ledger show --raw`, and no further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.router.daemon import ask, daemon, post, run_command, write_config
from tests.router.recording_upstream import Upstream, recording_upstream

VALUE = "ann@example.org"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with recording_upstream() as running:
        yield running


def test_an_encrypted_ledger_shows_a_request_as_it_came_and_is_not_made_plain_with_it(
    tmp_path: Path, upstream: Upstream
) -> None:
    home = tmp_path / "home"
    key = tmp_path / "keys" / "ledger.key"
    more = f'[ledger]\nencryption = "file"\nkey_file = "{key}"\nkeep_raw = true\n'
    write_config(home, upstream.url, more=more)
    assert run_command(home, "ledger", "encrypt").returncode == 0
    with daemon(home, TEST_VENDOR_KEY="k") as router:
        status, headers, _ = post(f"{router.url}/v1/chat/completions", ask(f"mail {VALUE}"))
        assert router.stop() == 0
    interaction = headers["x-modelbreeder-interaction"]
    shown = run_command(home, "ledger", "show", interaction)
    raw = run_command(home, "ledger", "show", interaction, "--raw", "--json")
    plain = run_command(home, "ledger", "decrypt")

    assert status == 200
    assert VALUE not in upstream.everything
    assert VALUE not in shown.stdout
    assert json.loads(raw.stdout)["messages"] == [{"role": "user", "content": f"mail {VALUE}"}]
    assert plain.returncode == 5
    assert "keeps 1 requests unmasked" in plain.stderr
    stored = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(VALUE.encode() in one for one in stored)
