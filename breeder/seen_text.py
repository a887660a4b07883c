"""What a specialist sees and says, measured on the dataset: token agreement, answer length, few-shot examples."""

from __future__ import annotations

import asyncio
import random

from breeder.bases import Base
from breeder.dataset import Dataset
from breeder.deps import Deps
from breeder.gguf_export.vocabulary import load_tokenizer
from breeder.training import encode_prompt
from registry.errors import ArtifactError
from registry.prompting import chat_messages, trimmed
from router.engine.protocol import Message
from router.engines import engine_for

_CHECKED_PROMPTS = 20
_ANSWER_ROOM = 1.5
"""A served answer may be this many times as long as the longest one in the training rows."""


def check_tokens_agree(deps: Deps, base: Base, dataset: Dataset) -> None:
    """Compare the engine's token ids with the trainer's on the first training prompts: trained as served.

    Raises:
        ArtifactError: they differ, so the GGUF's tokenizer or chat template is not the model's.
    """
    tokenizer = load_tokenizer(base.model_dir)
    chats = [chat_messages(row.prompt, dataset.trim) for row in dataset.rows["train"][:_CHECKED_PROMPTS]]
    served = asyncio.run(_engine_tokens(deps, base, chats))
    for chat, tokens in zip(chats, served, strict=True):
        trained = encode_prompt(tokenizer, chat)
        if trained != tokens:
            raise ArtifactError(
                f"engine and trainer disagree on a prompt's tokens ({len(tokens)} and {len(trained)}): the GGUF's "
                f"tokenizer or chat template is not that of {base.model_dir.name}; choose another base"
            )


async def _engine_tokens(deps: Deps, base: Base, chats: list[list[dict[str, str]]]) -> list[list[int]]:
    async with engine_for(base.gguf, deps.settings.local, deps.socket_dir) as engine:
        return [
            list(await engine.tokenize([Message(turn["role"], turn["content"]) for turn in chat])) for chat in chats
        ]


def longest_answer(base: Base, dataset: Dataset, limit: int) -> int:
    """Return how many tokens a served answer may have, from the longest training answer."""
    tokenizer = load_tokenizer(base.model_dir)
    longest = max(len(tokenizer(row.answer, add_special_tokens=False)["input_ids"]) for row in dataset.rows["train"])
    return min(limit, round(longest * _ANSWER_ROOM) + 8)


def few_shot_examples(dataset: Dataset, count: int, seed: int) -> tuple[tuple[str, str], ...]:
    """Return examples for the few-shot base, from judged training rows where there are enough of them."""
    rows = dataset.rows["train"]
    judged = [row for row in rows if row.judged]
    pool = judged if len(judged) >= count else list(rows)
    chosen = random.Random(seed).sample(pool, min(count, len(pool)))
    return tuple((trimmed(row.prompt, dataset.trim).user, row.answer) for row in chosen)
