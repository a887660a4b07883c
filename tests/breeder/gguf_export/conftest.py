"""Pico models of every shape, each built once for all tests; the largest logit differences end the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.pico_hf import pico_llama, pico_qwen2, pico_qwen3, random_adapter

LLAMA3_ROPE: Final = {
    "rope_type": "llama3",
    "rope_theta": 1000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES: Final[Mapping[str, Callable[[Path], Path]]] = {
    "llama-tied": pico_llama,
    "llama-untied": partial(pico_llama, tie_word_embeddings=False, pre="gpt-2"),
    "llama-all-heads": partial(pico_llama, num_key_value_heads=4, head_dim=16),
    "llama-biased": partial(pico_llama, attention_bias=True, mlp_bias=True),
    "llama-scaled-rope": partial(pico_llama, rope_parameters=LLAMA3_ROPE, pre="llama-bpe", bos=True),
    "qwen2-tied": pico_qwen2,
    "qwen2-untied": partial(pico_qwen2, tie_word_embeddings=False),
    "qwen3-tied": pico_qwen3,
    "qwen3-untied": partial(pico_qwen3, tie_word_embeddings=False),
}


DIFFERENCES: Final = pytest.StashKey[dict[str, float]]()
State = Callable[[str, float], None]


@pytest.fixture
def state_difference(pytestconfig: pytest.Config) -> State:
    """Keep the largest difference seen of each kind, for the report."""
    seen = pytestconfig.stash.setdefault(DIFFERENCES, {})

    def keep(kind: str, difference: float) -> None:
        seen[kind] = max(difference, seen.get(kind, 0.0))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seen = config.stash.get(DIFFERENCES, {})
    if seen:
        stated = ", ".join(f"{kind} {difference:.1e}" for kind, difference in seen.items())
        terminalreporter.write_line(f"largest logit difference between engine and transformers, f32: {stated}")


@pytest.fixture(scope="session", params=SHAPES)
def model_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every shape in turn."""
    return SHAPES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def adapter_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter of the shape in turn."""
    return random_adapter(model_dir, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="session")
def llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pico_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def llama_adapter_dir(llama_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(llama_dir, tmp_path_factory.mktemp("llama-adapter"))
