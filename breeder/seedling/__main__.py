"""Raises a seedling from the command line: `python -m breeder.seedling RECIPE OUT [WORK [START]]`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from breeder.seedling.pretrain import Progress, raise_seedling
from breeder.seedling.recipe import load_recipe

_LOG = logging.getLogger("modelbreeder.breeder.seedling")


def _log_progress(progress: Progress) -> None:
    _LOG.info(
        "step %d share %.3f tokens %.2fM loss %.3f rate %.5f tokens/s %.0f",
        progress.step, progress.share, progress.tokens / 1e6, progress.loss, progress.rate, progress.tokens_per_s,
    )  # fmt: skip
    if progress.exact:
        mean = sum(progress.exact.values()) / len(progress.exact)
        _LOG.info("exact mean %.3f: %s", mean, " ".join(f"{name}={share}" for name, share in progress.exact.items()))


def main() -> None:
    """Run until the schedule ends, logging progress."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe, out, *work = (Path(argument) for argument in sys.argv[1:])
    folder = os.environ.get("MODELBREEDER_DATA")
    data = Path(folder) if folder else None
    start = work[1] if len(work) > 1 else None
    chosen = load_recipe(recipe)
    raise_seedling(chosen, out, work=work[0] if work else None, data=data, start=start, on_progress=_log_progress)


if __name__ == "__main__":
    main()
