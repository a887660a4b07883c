"""Every error that a user can meet, in one tree; a message says what happened, the value, the next step.

ModelBreederError
├── ConfigError        a setting, recipe or command line that cannot be used
├── DataError          input rows or files that cannot be used
├── NotFoundError      a name or id that nothing answers to
│   └── UnknownModelError  a workflow of ours has no such specialist
├── ConflictError      somebody else moved first, or a name or port is taken
├── RefusedError       policy or a gate says no
├── RedactionError     what would leave the machine could not be inspected
├── ArtifactError      a stored file is missing, damaged or for another base
│   └── ExportError    a model has no faithful GGUF form
├── EngineError        the local engine failed
├── UpstreamError      a cloud or private upstream failed
└── LedgerError        an event could not be made durable, or the chain is broken
"""

from __future__ import annotations

from typing import ClassVar


class ModelBreederError(Exception):
    """Root of the tree; `exit_code` is what the command line exits with."""

    exit_code: ClassVar[int] = 1


class ConfigError(ModelBreederError):
    """A setting, recipe or command line cannot be used."""

    exit_code = 2


class DataError(ModelBreederError):
    """Input rows or files cannot be used."""


class NotFoundError(ModelBreederError):
    """Nothing answers to this name or id."""

    exit_code = 3


class UnknownModelError(NotFoundError):
    """A request's model is called as a specialist of a workflow that has no such one."""


class ConflictError(ModelBreederError):
    """Somebody else moved first, or a name or port is taken."""

    exit_code = 4


class RefusedError(ModelBreederError):
    """Policy or a gate says no."""

    exit_code = 5


class RedactionError(RefusedError):
    """What would leave the machine could not be inspected, so it stays."""


class ArtifactError(ModelBreederError):
    """A stored file is missing, damaged or belongs to another base."""


class ExportError(ArtifactError):
    """A model has no faithful GGUF form."""


class EngineError(ModelBreederError):
    """The local engine failed."""

    exit_code = 69


class UpstreamError(ModelBreederError):
    """A cloud or private upstream failed.

    `status` is the upstream's HTTP status where it answered at all; `body` is what it said.
    """

    exit_code = 69

    def __init__(self, message: str, *, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class LedgerError(ModelBreederError):
    """An event could not be made durable, or the hash chain is broken."""

    exit_code = 75
