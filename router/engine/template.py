"""The base's own Jinja chat template, rendered in a sandbox as transformers renders it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

from router.engine.protocol import EngineRequestError, Message, RefusalKind

_TEMPLATE_FAULTS = (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What foreign template code can raise."""


class _GenerationTag(Extension):
    """`{% generation %}` marks answers for trainers; here its body is just text."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    @override
    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A compiled chat template."""

    def __init__(self, source: str | None, *, bos: str, eos: str) -> None:
        self._source = source
        self._names = {"bos_token": bos, "eos_token": eos}
        self._environment = _environment()

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt for the next assistant turn.

        Raises:
            EngineRequestError: the base has no template, or the template refuses these messages.
        """
        if self._source is None:
            message = "the base has no tokenizer.chat_template; export it with one"
            raise EngineRequestError(RefusalKind.TEMPLATE, message)
        chat = [{"role": message.role, "content": message.content} for message in messages]
        try:
            template = self._environment.from_string(self._source)
            return template.render(messages=chat, add_generation_prompt=True, **self._names)
        except _TEMPLATE_FAULTS as error:
            message = f"the base's chat template refuses these messages: {error}; change their roles or order"
            raise EngineRequestError(RefusalKind.TEMPLATE, message) from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _to_json(value: object, *, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """Replace Jinja's filter, which escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)
