"""What a run trains on: tokenizer, examples and plain text, made once in its work folder."""

from __future__ import annotations

import os
from random import Random

from tokenizers import Tokenizer

from breeder.progress import Report
from breeder.seedling.batches import BatchSource
from breeder.seedling.checkpoint import write_text
from breeder.seedling.corpus import Shards, encode_text, find_shards, text_pieces
from breeder.seedling.families import draw_example
from breeder.seedling.packing import ExampleSource, FreshExamples, Packing, Reading, load_tasks, pack_examples
from breeder.seedling.places import Places
from breeder.seedling.recipe import SeedlingRecipe
from breeder.seedling.vocabulary import load_tokenizer, prompt_text, train_tokenizer


def load_material(recipe: SeedlingRecipe, places: Places, report: Report) -> tuple[Tokenizer, BatchSource]:
    """Make what is not there yet, and open it.

    Raises:
        DataError: a text shard is damaged.
    """
    places.work.mkdir(parents=True, exist_ok=True)
    shards = find_shards(places.data, recipe.text_shards)
    if shards.note:
        report(shards.note)
    tokenizer = _tokenizer(recipe, places, shards)
    encoded = places.work / "text.u16"
    if shards.paths and not encoded.exists():
        report(f"reading plain text from {len(shards.paths)} shards")
    text = encode_text(tokenizer, (text for _, text in text_pieces(shards, recipe.text_limit_bytes)), encoded)
    examples = _examples(recipe, tokenizer, shards, places, report)
    return tokenizer, BatchSource(examples, tokenizer.get_vocab_size(), text, recipe.seed)


def _tokenizer(recipe: SeedlingRecipe, places: Places, shards: Shards) -> Tokenizer:
    """The tokenizer of an interrupted run or of the seedling that it starts from, else a new one."""
    kept = places.work / "tokenizer.json"
    if not kept.exists():
        tokenizer = load_tokenizer(places.start) if places.start else _new_tokenizer(recipe, shards)
        write_text(kept, tokenizer.to_str(pretty=True))
    return load_tokenizer(places.work)


def _new_tokenizer(recipe: SeedlingRecipe, shards: Shards) -> Tokenizer:
    rng = Random(f"tokenizer:{recipe.seed}")
    drawn = (draw_example(rng) for _ in range(recipe.tokenizer.examples))
    texts = [prompt_text(example).replace("<|", "\n<|") + example.answer for example in drawn]
    texts += (text for _, text in text_pieces(shards, recipe.tokenizer.text_bytes))
    return train_tokenizer(texts, recipe.tokenizer.vocabulary_size)


def _examples(
    recipe: SeedlingRecipe, tokenizer: Tokenizer, shards: Shards, places: Places, report: Report
) -> ExampleSource:
    reading = Reading(shards if recipe.reading_share else Shards(), recipe.text_limit_bytes, recipe.reading_share)
    if not recipe.packed_examples:
        return FreshExamples(tokenizer, load_tasks(reading))
    return pack_examples(Packing(places.work, recipe.seed, recipe.packed_examples, reading), _processors(), report)


def _processors() -> int:
    """Return how many processors this process may use; macOS does not say which are its own."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
