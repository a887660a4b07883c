"""Forgetting while the daemon serves: it goes on, it does not bring anything back, and it sweeps by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from breeder.descent import Descent
from breeder.forgetting import chosen, forget, plan_forgetting
from registry.erasing import scrub
from registry.selection import Selection
from tests.breeder.homes import SECRET, files_with, opened_home, record
from tests.breeder.makers import interaction
from tests.router.daemon import ask, daemon, post, write_config
from tests.router.recording_upstream import recording_upstream
from tests.router.test_daemon_streams import eventually


def test_a_daemon_serves_on_and_brings_nothing_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with recording_upstream() as upstream:
        write_config(home, upstream.url)
        home.chmod(0o700)
        with daemon(home) as router:
            where = f"{router.url}/v1/chat/completions"
            status, headers, _ = post(where, ask(f"write to {SECRET}"), {"X-ModelBreeder-Session": SECRET})
            assert status == 200
            assert files_with(home, SECRET)
            with opened_home(home) as deps:
                plan = plan_forgetting(deps, chosen(deps, Selection(sessions=[SECRET])), Descent())
                assert plan.interactions == (headers["x-modelbreeder-interaction"],)
                forget(deps, plan)
            assert files_with(home, SECRET) == []
            assert post(where, ask("and now something else"))[0] == 200
            assert router.stop() == 0
        assert files_with(home, SECRET) == []
        with opened_home(home) as deps:
            assert deps.ledger.verify().problems == ()
            assert [one.erased for one in deps.ledger.interactions()] == [True, False]


def test_a_daemon_erases_at_its_start_what_is_kept_no_longer(tmp_path: Path) -> None:
    home, old = tmp_path / "home", interaction(1, f"about {SECRET}")
    at = datetime.now(UTC) - timedelta(days=40)
    write_config(home, "http://127.0.0.1:9/v1", more="[ledger.retention]\ndefault_days = 30\n")
    home.chmod(0o700)
    with opened_home(home) as deps:
        record(deps, [replace(old, intent=replace(old.intent, at_utc=at)), interaction(2)])
        scrub(deps.database)
    assert files_with(home, SECRET) == ["data/ledger.db"]
    with daemon(home) as router:
        eventually(lambda: files_with(home, SECRET) == [])
        assert router.stop() == 0
    with opened_home(home) as deps:
        assert sum(one.erased for one in deps.ledger.interactions()) == 2
        assert deps.ledger.verify().problems == ()
