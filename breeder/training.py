"""Train one LoRA descendant: trl's SFTTrainer on answers only, resumable from sealed checkpoints.

Rows are tokenized here, from the same chat that the router serves (`registry.prompting`), so that training and
serving see the same token ids. Heavy imports stay inside the functions.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import orjson
from typing_extensions import override

from breeder.checkpoints import is_sealed, latest_sealed, seal
from breeder.dataset import write_atomically
from breeder.heap import return_freed_memory, trim_heap
from breeder.progress import Paced, Report
from breeder.recipe import Recipe, TrainingPart
from registry.errors import DataError

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer


@dataclass(frozen=True, slots=True)
class ChatExample:
    """One training row: the chat as served, and the answer."""

    messages: tuple[Mapping[str, str], ...]
    answer: str


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """A peft adapter folder, and how its training went; `losses` are (step, loss)."""

    folder: Path
    steps: int
    losses: tuple[tuple[int, float], ...]
    seconds: float
    rows_too_long: int


def train_adapter(
    model_dir: Path, examples: Sequence[ChatExample], recipe: Recipe, out: Path, report: Report, seal_key: str
) -> TrainedAdapter:
    """Train into `out/adapter`, or return what is already there; an interrupted training goes on where it was.

    Both only where it was sealed with this key: to go on, transformers unpickles what lies in a checkpoint.

    Raises:
        DataError: no row fits `training.max_length`, or the loss is no longer a number.
    """
    adapter = out / "adapter"
    if is_sealed(adapter, seal_key):
        return _recorded(out)
    import torch
    from transformers import set_seed

    from breeder.gguf_export.vocabulary import load_tokenizer

    _quieten()
    return_freed_memory()
    set_seed(recipe.seed)
    tokenizer = load_tokenizer(model_dir)
    rows = [encode(tokenizer, example) for example in examples]
    fitting = [row for row in rows if len(row["input_ids"]) <= recipe.training.max_length]
    if not fitting:
        raise DataError(
            f"none of {len(rows)} rows fits training.max_length = {recipe.training.max_length} tokens; "
            "raise it in the recipe"
        )
    started = time.monotonic()
    watcher = _watcher(recipe.training.checkpoint_seconds, Paced(report), seal_key)
    trainer = _trainer(model_dir, tokenizer, fitting, recipe, out / "checkpoints", watcher)
    checkpoint = latest_sealed(out / "checkpoints", seal_key, report)
    if checkpoint:
        report(f"  going on from step {checkpoint.name.rpartition('-')[2]}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    cast("PeftModel", trainer.model).save_pretrained(str(adapter))
    losses = [(int(entry["step"]), float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry]
    record = {
        "steps": trainer.state.global_step,
        "losses": losses,
        "seconds": time.monotonic() - started,
        "rows_too_long": len(rows) - len(fitting),
        "torch": torch.__version__,
    }
    write_atomically(out / "training.json", orjson.dumps(record))
    seal(adapter, seal_key)
    return _recorded(out)


def encode(tokenizer: PreTrainedTokenizerBase, example: ChatExample) -> dict[str, list[int]]:
    """Return token ids of prompt, answer and end of turn, and a mask that is 1 on answer and end of turn."""
    prompt = encode_prompt(tokenizer, example.messages)
    answer = [*tokenizer(example.answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]]) -> list[int]:
    """Return the token ids that the engine must see for these messages."""
    text = tokenizer.apply_chat_template([dict(m) for m in messages], add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _recorded(out: Path) -> TrainedAdapter:
    record = orjson.loads((out / "training.json").read_bytes())
    losses = tuple((step, loss) for step, loss in record["losses"])
    return TrainedAdapter(out / "adapter", record["steps"], losses, record["seconds"], record["rows_too_long"])


def _trainer(
    model_dir: Path,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, list[int]]],
    recipe: Recipe,
    checkpoints: Path,
    watcher: TrainerCallback,
) -> SFTTrainer:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback, ProgressCallback

    targets = recipe.lora.targets
    lora = LoraConfig(
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=["embed_tokens"] if recipe.lora.embeddings else None,
        ensure_weight_tying=recipe.lora.embeddings,
        task_type="CAUSAL_LM",
    )
    trainer = _bounded_trainer(recipe.training.micro_batch_tokens)(
        model=_base_model(model_dir, recipe),
        args=_arguments(
            recipe, checkpoints, epochs_within(recipe.training, sum(len(row["input_ids"]) for row in rows))
        ),
        train_dataset=Dataset.from_list([dict(row) for row in rows]),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[watcher],
    )
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    return trainer


def _bounded_trainer(limit: int) -> type[SFTTrainer]:
    """Return trl's trainer with every batch fed through the model in parts of at most so many tokens."""
    import torch
    from trl.trainer.sft_trainer import SFTTrainer

    class Bounded(SFTTrainer):
        @override
        def training_step(
            self,
            model: torch.nn.Module,
            inputs: dict[str, torch.Tensor],
            num_items_in_batch: torch.Tensor | int | None = None,
        ) -> torch.Tensor:
            # The loss is a sum over `num_items_in_batch` tokens of the whole step, so the parts add up to it.
            step = super().training_step
            parts = split_batch(inputs, limit) if num_items_in_batch is not None else [inputs]
            losses = [step(model, part, num_items_in_batch) for part in parts]  # type: ignore[no-untyped-call] # untyped upstream
            return torch.stack(losses).sum()

    return Bounded


def split_batch(inputs: Mapping[str, torch.Tensor], limit: int) -> list[dict[str, torch.Tensor]]:
    """Split a right-padded batch, longest rows first, into parts of at most `limit` tokens with padding.

    Every tensor is (rows, length); a single row longer than the limit is a part of its own. Each part is cut to its
    longest row, so that memory follows the limit and not the batch size.
    """
    lengths = inputs["attention_mask"].sum(dim=1)
    order = lengths.argsort(descending=True)
    parts, start = [], 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + max(1, limit // longest)]
        parts.append({name: values[rows, :longest] for name, values in inputs.items()})
        start += len(rows)
    return parts


def _base_model(model_dir: Path, recipe: Recipe) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantized = (
        BitsAndBytesConfig(  # type: ignore[no-untyped-call] # untyped upstream
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
        if recipe.training.load_in_4bit
        else None
    )
    return AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, quantization_config=quantized)


def epochs_within(training: TrainingPart, tokens: int) -> float:
    """Return how often rows of so many tokens are passed over: as the recipe says, less where that is too much."""
    return training.epochs if training.max_tokens is None else min(training.epochs, training.max_tokens / tokens)


def _arguments(recipe: Recipe, checkpoints: Path, epochs: float) -> SFTConfig:
    import torch
    from trl.trainer.sft_config import SFTConfig

    training, cuda = recipe.training, torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(checkpoints),
        num_train_epochs=epochs,
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_length=None,
        completion_only_loss=True,
        packing=False,
        train_sampling_strategy="group_by_length",
        activation_checkpointing=False,
        use_cpu=not cuda,
        bf16=has_bf16(cuda=cuda) if training.precision == "auto" else training.precision == "bf16",
        logging_steps=10,
        logging_nan_inf_filter=False,
        save_strategy="no",
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=cuda,
        seed=recipe.seed,
        data_seed=recipe.seed,
    )


def _quieten() -> None:
    """Turn the libraries' progress bars and stale warnings off: `report` tells how training goes."""
    import datasets
    from transformers.utils import logging

    # peft 0.21.2 asks transformers 5.23 for what that has renamed.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # untyped upstream
    logging.set_verbosity_error()  # type: ignore[no-untyped-call] # untyped upstream


def has_bf16(*, cuda: bool) -> bool:
    """Say whether the GPU, else the processor, computes in bf16 itself; emulated it is slower than fp32."""
    import torch

    if cuda:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - torch has no public question for it


def _watcher(checkpoint_seconds: float, paced: Paced, seal_key: str) -> TrainerCallback:
    """Return the callback that reports, asks for timed checkpoints, seals them, and stops on a broken loss."""
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    class Watcher(TrainerCallback):
        saved_at = time.monotonic()

        @override
        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
        ) -> TrainerControl:
            trim_heap()
            if time.monotonic() - self.saved_at >= checkpoint_seconds:
                self.saved_at = time.monotonic()
                control.should_save = True
            return control

        @override
        def on_save(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
        ) -> None:
            seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", seal_key)

        @override
        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            logs: Mapping[str, float] | None = None,
            **kwargs: object,
        ) -> None:
            loss = (logs or {}).get("loss")
            if loss is None:
                return
            if not math.isfinite(loss):
                raise DataError(
                    f"training diverged: loss {loss} at step {state.global_step}; lower training.learning_rate"
                )
            paced(f"  step {state.global_step}/{state.max_steps}, loss {loss:.3f}")

    return Watcher()
