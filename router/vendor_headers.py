"""Which of a client's headers an upstream of the same dialect may see: betas and version, and only what looks like one.

All other headers stay here. What a value holds beside the name of a beta is left out, never sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_BETA: Final = re.compile(r"[a-z][a-z0-9]{0,19}(?:[-._=][a-z0-9]{1,20})*", re.ASCII)
_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_LONGEST: Final = 64
_LISTS: Final = ("anthropic-beta", "openai-beta")
_VERSIONS: Final = ("anthropic-version",)


def vouched_headers(headers: Mapping[str, str], mask: Callable[[str], str]) -> dict[str, str]:
    """Return the headers that may leave, names in lower case, less what `mask` would change of them."""
    kept: dict[str, str] = {}
    for name in _LISTS:
        betas = [one.strip() for one in headers[name].split(",")] if name in headers else ()
        if named := [one for one in betas if len(one) <= _LONGEST and _BETA.fullmatch(one) and mask(one) == one]:
            kept[name] = ",".join(named)
    return kept | {name: headers[name] for name in _VERSIONS if _VERSION.fullmatch(headers.get(name, ""))}
