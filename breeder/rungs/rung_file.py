"""Write a simple rung as the one safetensors file that the router loads, and ask it as the router will."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.numpy import save

from breeder.answering import NO_ANSWER
from breeder.dataset import write_atomically
from breeder.labelling import LocalAnswer
from registry.entities import PromptTrim
from registry.prompting import Prompt, fits
from router.rungs.features import seen
from router.rungs.loading import load_rung
from router.rungs.rung import LinearRecord, Rung, TableRecord
from router.rungs.tensor_file import RECORD_KEY, Tensor


def write_rung(path: Path, record: TableRecord | LinearRecord, arrays: Mapping[str, Tensor]) -> None:
    """Write a rung; the same record and arrays give the same bytes."""
    write_atomically(path, save(dict(arrays), metadata={RECORD_KEY: record.model_dump_json()}))


def ask_rung(path: Path, trim: PromptTrim, prompts: Sequence[Prompt]) -> list[LocalAnswer]:
    """Answer every prompt from the file itself; one that does not fit the trim would go to the cloud."""
    rung = load_rung(path)
    return [_ask(rung, trim, prompt) for prompt in prompts]


def _ask(rung: Rung, trim: PromptTrim, prompt: Prompt) -> LocalAnswer:
    started = time.monotonic()
    if not fits(prompt, trim):
        return LocalAnswer("", NO_ANSWER, 0, 0, 0.0)
    answer = rung.answer(seen(prompt, trim))
    return LocalAnswer(answer.text, answer.confidence, 0, 0, time.monotonic() - started)
