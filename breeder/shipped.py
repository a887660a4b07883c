"""Find the folders that travel with the project: the seedling, the sample workloads, the recipes.

In a checkout they lie beside the packages; in an installed wheel below `breeder/shipped/`.
"""

from __future__ import annotations

from pathlib import Path

from registry.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return a shipped folder, such as `data/seedling` or `recipes`.

    Raises:
        NotFoundError: the installation is incomplete.
    """
    places = (_PACKAGE.parent / name, _PACKAGE / "shipped" / name)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise NotFoundError(f"{name} is not part of this installation; install ModelBreeder again or use a checkout")
    return found
