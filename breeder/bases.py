"""Find the model that a recipe names and make its shared GGUF base once."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from breeder.dataset import write_atomically
from breeder.gguf_export import export_base, quantize
from breeder.gguf_export.vocabulary import load_tokenizer
from breeder.progress import Report
from breeder.recipe import Recipe
from breeder.shipped import shipped
from registry.artifacts import ArtifactStore
from registry.errors import ArtifactError, NotFoundError

_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja")


@dataclass(frozen=True, slots=True)
class Base:
    """A model folder for training and the GGUF made of it for serving; `template_digest` is of its chat template."""

    model_dir: Path
    gguf: Path
    sha256: str
    template_digest: str


def find_model(name: str) -> Path:
    """Return the folder of a shipped base, a local folder, or a Hugging Face id from hub or cache.

    Raises:
        NotFoundError: nothing of that name can be had; the message says what was tried.
    """
    if Path(name).is_dir():
        return Path(name)
    if "/" not in name:
        return shipped(f"data/{name}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_MODEL_FILES)))
    except (OSError, ValueError) as error:
        raise NotFoundError(
            f"base {name!r} is no local folder and the hub does not give it ({type(error).__name__}); "
            "download it first, or set HF_HUB_OFFLINE=1 with a filled cache"
        ) from error


def prepare_base(recipe: Recipe, store: ArtifactStore, cache: Path, report: Report) -> Base:
    """Return the base of a recipe, exporting its GGUF the first time."""
    part, apart = recipe.base, recipe.lora.embeddings
    model_dir = find_model(part.model)
    made_of = f"{digest_of(model_dir)}:{part.dtype}:{part.quantization}:{apart}"
    known = cache / f"{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.sha256"
    if known.exists():
        try:
            return _base(model_dir, store, known.read_text().strip())
        except ArtifactError as error:
            report(f"base {part.model}: {error}; making it again")
    report(f"base {part.model}: writing GGUF ({part.quantization or part.dtype})")
    cache.mkdir(parents=True, exist_ok=True)
    # Two breedings may do this at once, so the file on its way has a folder of its own.
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = export_base(model_dir, Path(folder) / "base.gguf", dtype=part.dtype, output_apart=apart)
        if part.quantization:
            made = quantize(made.path, Path(folder) / "quantized.gguf", part.quantization)
        sha256 = store.add(made.path)
    write_atomically(known, sha256.encode())
    return _base(model_dir, store, sha256)


def _base(model_dir: Path, store: ArtifactStore, sha256: str) -> Base:
    template = load_tokenizer(model_dir).get_chat_template()
    return Base(model_dir, store.verified_path(sha256), sha256, hashlib.sha256(template.encode()).hexdigest())


def digest_of(model_dir: Path) -> str:
    """Return one SHA-256 over the names and contents of a model folder's files."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in _MODEL_FILES for path in model_dir.glob(pattern)}):
        with open(path, "rb") as file:
            total.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
