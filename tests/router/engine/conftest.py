"""Files that the engine's tests share, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pico import PicoShape, write_pico, write_pico_adapter

SLOW = PicoShape(hidden=256, layers=4, feed=1024, context=16_384)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="session")
def base(folder: Path) -> Path:
    return write_pico(folder / "base.gguf")


@pytest.fixture(scope="session")
def adapters(folder: Path) -> list[Path]:
    return [write_pico_adapter(folder / f"adapter-{seed}.gguf", seed=seed) for seed in (1, 2)]


@pytest.fixture(scope="session")
def slow_base(folder: Path) -> Path:
    """A base that needs seconds for its whole context, so that cancelling it can be seen."""
    return write_pico(folder / "slow.gguf", shape=SLOW)
