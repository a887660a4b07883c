"""Set up a rehearsal: a home of its own, the stand-in cloud, the real daemon. The home stays, to be looked at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from breeder.deps import Deps, open_deps
from breeder.progress import Report
from breeder.rehearsal.cloud import MODEL, CloudServer, StandInCloud, cloud_app
from breeder.rehearsal.daemon import RouterDaemon, free_port
from breeder.rehearsal.rehearse import Plan
from breeder.rehearsal.tasks import Workload
from registry.entities import Purpose
from registry.errors import ConfigError, RefusedError
from registry.home import Home
from registry.settings import RedactionSettings, load_settings
from router.redaction.redactor import default_redactor

_CONFIG = """# Made by `modelbreeder rehearse`: its cloud is a stand-in and ends with the rehearsal.
[ledger]
purpose = "rehearsal"

[policy]
cloud = "rehearsal/{model}"

[upstreams.rehearsal]
base_url = "{url}"
models = ["{model}"]
usd_per_million_input = 2.5
usd_per_million_output = 10.0
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A rehearsal home with its cloud and its daemon running."""

    deps: Deps
    router_url: str
    cloud_url: str


@contextmanager
def staged(
    root: Path,
    workloads: Sequence[Workload],
    plan: Plan,
    socket_dir: Path,
    report: Report,
    *,
    latency_s: float = 0.02,
) -> Iterator[Stage]:
    """Set the stage in a home of its own at `root`; an earlier rehearsal there is cleared away first.

    Raises:
        RefusedError: `root` is a home with real traffic.
    """
    home = Home.at(root)
    clear_rehearsal(home)
    redactor = default_redactor(RedactionSettings().rules)
    cloud = StandInCloud(workloads, redactor, accuracy=plan.cloud_accuracy, seed=plan.seed)
    with CloudServer(cloud_app(cloud, latency_s)) as cloud_url:
        try:
            home.config_file.parent.mkdir(parents=True, exist_ok=True)
            home.config_file.write_text(_CONFIG.format(model=MODEL, url=cloud_url), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{root} cannot hold a rehearsal: {error.strerror}; name a folder with --home") from error
        home.prepare()
        with (
            open_deps(home, load_settings(home.config_file), socket_dir, report) as deps,
            RouterDaemon(root, free_port(), home.data / "router.log") as router_url,
        ):
            yield Stage(deps, router_url, cloud_url.removesuffix("/v1"))


def clear_rehearsal(home: Home) -> None:
    """Remove what an earlier rehearsal left in a home; what the project ships in `data/` stays.

    Raises:
        RefusedError: the folder holds a configuration or state that no rehearsal made.
    """
    ledger = [Path(f"{home.database_url}{ending}") for ending in ("", "-wal", "-shm")]
    state = (home.config_file, *ledger, home.artifacts, home.datasets, home.runs, home.mlruns)
    found = [path for path in state if path.exists()]
    if found and not (home.config_file.exists() and _is_rehearsal(home)):
        raise RefusedError(f"{found[0]} was not made by a rehearsal; rehearse in an empty folder with --home DIR")
    for folder in (home.artifacts, home.datasets, home.runs, home.mlruns):
        shutil.rmtree(folder, ignore_errors=True)
    for file in ledger:
        if file.exists():
            file.unlink()


def _is_rehearsal(home: Home) -> bool:
    try:
        return load_settings(home.config_file).ledger.purpose is Purpose.REHEARSAL
    except ConfigError:
        return False
