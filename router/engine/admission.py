"""From request bodies to tasks that llama.cpp can take: everything that it would assert is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from router.engine.decoding import AdapterFile, DecodeTask
from router.engine.fit import check_adapter
from router.engine.header import GgufHeader, read_header
from router.engine.llama import Llama
from router.engine.protocol import EngineFileError, EngineRequestError, Message, RefusalKind
from router.engine.template import ChatTemplate
from router.engine.wire import GenerateBody, LogitsBody, TokenizeBody


class Admission:
    """Checks requests against one loaded base; safe to call from several threads."""

    def __init__(self, llama: Llama, base: GgufHeader) -> None:
        self._llama = llama
        self._base = base
        self._bos = llama.special_text("bos")
        self._template = ChatTemplate(
            base.text("tokenizer.chat_template"), bos=self._bos, eos=llama.special_text("eos")
        )
        self._fitting: set[str] = set()

    def generate(self, body: GenerateBody) -> DecodeTask:
        """Admit an answer.

        Raises:
            EngineRequestError: the template refuses the messages, prompt and answer exceed the context, or the grammar
                does not parse.
            EngineFileError: the adapter does not fit the base.
        """
        adapter = self._adapter(body.adapter)
        prompt = self._prompt([message.message() for message in body.messages])
        self._check_room(len(prompt), body.max_tokens)
        grammar = self._llama.grammar(body.grammar) if body.grammar else None
        return DecodeTask(tuple(prompt), adapter, body.max_tokens, body.temperature, body.stop, body.seed, grammar)

    def logits(self, body: LogitsBody) -> tuple[tuple[int, ...], AdapterFile | None]:
        """Admit a sequence of token ids; raises as `generate` does."""
        adapter = self._adapter(body.adapter)
        wrong = next((token for token in body.tokens if not 0 <= token < self._llama.vocabulary), None)
        if wrong is not None:
            message = f"token id {wrong} is outside the vocabulary of {self._llama.vocabulary:,}; tokenize again"
            raise EngineRequestError(RefusalKind.INVALID, message)
        self._check_room(len(body.tokens), 0)
        return body.tokens, adapter

    def tokenize(self, body: TokenizeBody) -> list[int]:
        """Return the token ids of a text, or of a chat as it would be decoded."""
        if (body.text is None) == (body.messages is None):
            raise EngineRequestError(RefusalKind.INVALID, "tokenize takes either text or messages; send one of them")
        if body.messages is not None:
            return self._prompt([message.message() for message in body.messages])
        return self._llama.tokenize(body.text or "", add_special=self._llama.adds_bos)

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        text = self._template.render(messages)
        already = bool(self._bos) and text.startswith(self._bos)
        return self._llama.tokenize(text, add_special=self._llama.adds_bos and not already)

    def _check_room(self, prompt_tokens: int, max_tokens: int) -> None:
        if prompt_tokens == 0:
            raise EngineRequestError(RefusalKind.INVALID, "the prompt has no tokens; send some text")
        if prompt_tokens + max_tokens > self._llama.context:
            message = (
                f"{prompt_tokens:,} prompt and {max_tokens:,} answer tokens exceed the context of"
                f" {self._llama.context:,}; shorten the prompt, ask for fewer tokens or raise local.context"
            )
            raise EngineRequestError(RefusalKind.CONTEXT, message)

    def _adapter(self, path: Path | None) -> AdapterFile | None:
        if path is None:
            return None
        try:
            found = path.stat()
        except OSError as error:
            raise EngineFileError(f"{path} cannot be read: {error.strerror}; check the path and its rights") from error
        key = f"{path}:{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"
        if key not in self._fitting:
            check_adapter(read_header(path), self._base)
            self._fitting.add(key)
        return AdapterFile(path, key)
