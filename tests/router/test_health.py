"""What `/readyz` says of who could answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from registry.settings import PolicySettings, Settings
from router.health import backend_state
from tests.router.making import run, world

CLOUD = {"base_url": "https://vendor.test/v1", "models": ("m",), "api_key_env": "VENDOR_KEY"}
MINE = {"base_url": "http://127.0.0.1:9/v1", "models": ("q",), "trust": "private", "context": 4096}
GENERAL = {"runtime": "mine", "base": "q"}
MISSING = "upstream 'vendor' needs VENDOR_KEY set; set it and restart the daemon"
BARE = "no upstream is configured and no specialist is promoted"
BARRED = "policy.offline is set and no specialist is promoted"


def state(root: Path, environ: dict[str, str], *, specialist: bool = False, engine: str = "", **given: Any) -> str:
    async def scene() -> str:
        async with world(root, Settings(**given), engine_missing=engine) as made:
            if specialist:
                made.promote()
            return backend_state(made.deps, environ)

    return run(scene())


@pytest.mark.parametrize(
    ("upstreams", "environ", "told"),
    [
        ({}, {}, BARE),
        ({"vendor": CLOUD}, {}, MISSING),
        ({"vendor": CLOUD}, {"VENDOR_KEY": ""}, MISSING),
        ({"vendor": CLOUD}, {"VENDOR_KEY": "k"}, "ok"),
        ({"vendor": CLOUD, "mine": MINE}, {}, "ok"),
        (
            {"vendor": CLOUD, "other": {**CLOUD, "api_key_env": "OTHER_KEY"}},
            {},
            f"{MISSING} and upstream 'other' needs OTHER_KEY set; set it and restart the daemon",
        ),
        ({"vendor": CLOUD, "other": {**CLOUD, "api_key_env": "OTHER_KEY"}}, {"OTHER_KEY": "k"}, "ok"),
    ],
)
def test_a_model_server_counts_once_its_key_is_set(
    tmp_path: Path, upstreams: dict[str, Any], environ: dict[str, str], told: str
) -> None:
    assert state(tmp_path, environ, upstreams=upstreams) == told


def test_a_specialist_that_can_be_run_is_enough(tmp_path: Path) -> None:
    assert state(tmp_path / "a", {}, specialist=True, upstreams={"vendor": CLOUD}) == "ok"
    assert state(tmp_path / "b", {}, specialist=True, upstreams={"vendor": CLOUD}, engine="no engine") == (
        f"{MISSING} and no engine"
    )
    assert state(tmp_path / "c", {}, specialist=True, engine="no engine") == "no engine"


def test_offline_only_a_general_base_of_ones_own_counts(tmp_path: Path) -> None:
    offline, both = PolicySettings(offline=True), {"vendor": CLOUD, "mine": MINE}
    keyed = {**both, "mine": {**MINE, "api_key_env": "MY_KEY"}}

    assert state(tmp_path / "a", {"VENDOR_KEY": "k"}, upstreams=both, policy=offline) == BARRED
    assert state(tmp_path / "b", {}, upstreams=both, policy=offline, local=GENERAL) == "ok"
    assert "needs MY_KEY set" in state(tmp_path / "c", {}, upstreams=keyed, policy=offline, local=GENERAL)
