"""The child of `detector_process`: makes one detector and answers with what it finds, line by line, until it is left.

Its standard input is the socket to its parent. It has no credentials, and its libraries are told to fetch nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
from typing import Any

from registry.errors import ConfigError
from router.redaction.spans import Detector

_LONGEST_S = 60
"""After so long on one text it ends itself, in native code too: its parent may be dead, and cannot kill it then."""


def main() -> None:
    """Serve the parent until its end of the socket closes."""
    with socket.socket(fileno=os.dup(0)) as parent, parent.makefile("rwb") as lines:
        made, answer = _made(json.loads(lines.readline()))
        _say(lines, answer)
        if made is not None:
            for line in lines:
                _say(lines, _found(made, json.loads(line)))


def _made(order: dict[str, Any]) -> tuple[Detector | None, dict[str, Any]]:
    """Return the detector that `MODULE:NAME` makes of its arguments, and what to tell of it."""
    module, _, name = order["maker"].partition(":")
    try:
        made: Detector = getattr(importlib.import_module(module), name)(*order["arguments"])
    except ConfigError as error:
        return None, {"unusable": str(error)}
    except Exception as error:  # noqa: BLE001 - outside code: the parent has to hear of any failure
        return None, {"failed": type(error).__name__}
    return made, {"ready": True}


def _found(detector: Detector, text: str) -> dict[str, Any]:
    """Return the spans; of a failure its name alone, as its message may quote the text."""
    signal.alarm(_LONGEST_S)
    try:
        return {"spans": [[one.start, one.end, one.type, one.detector] for one in detector.find(text)]}
    except Exception as error:  # noqa: BLE001 - outside code: the parent has to hear of any failure
        return {"failed": type(error).__name__}
    finally:
        signal.alarm(0)


def _say(lines: Any, answer: dict[str, Any]) -> None:
    lines.write(json.dumps(answer).encode() + b"\n")
    lines.flush()


if __name__ == "__main__":
    main()
