"""Chat templates render as in transformers, and cannot leave their sandbox."""

from __future__ import annotations

import pytest

from router.engine.protocol import EngineRequestError, Message, RefusalKind
from router.engine.template import ChatTemplate
from tests.pico import CHATML

CHAT = [
    Message("system", "Be <brief>.\n"),
    Message("user", 'Grüße "x"'),
    Message("assistant", "ok"),
    Message("user", "?"),
]
TEMPLATES = {
    "chatml": CHATML,
    "own lines": "{%- for m in messages %}\n    {{ m.role }}: {{ m['content'] | trim }}\n  {% endfor %}",
    "names": "{{ bos_token }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}",
    "json": "{{ messages | tojson }}{{ messages[1] | tojson(indent=2) }}",
    "loop controls": "{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}",
    "marked answers": "{% for m in messages %}{% generation %}{{ m.content }}\n{% endgeneration %}{% endfor %}",
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "tools": "{% if tools is defined and tools %}tools{% else %}none{% endif %}",
}


def render(source: str | None, messages: list[Message]) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages)


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_renders_as_in_transformers(source: str) -> None:
    chat_templates = pytest.importorskip("transformers.utils.chat_template_utils")
    chat = [{"role": message.role, "content": message.content} for message in CHAT]
    (expected,), _ = chat_templates.render_jinja_template(
        [chat], chat_template=source, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )
    assert expected == render(source, CHAT)


def test_a_template_may_refuse_the_messages() -> None:
    source = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(EngineRequestError, match="roles must alternate") as caught:
        render(source, CHAT)
    assert caught.value.kind is RefusalKind.TEMPLATE


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ 1 // 0 }}",
        "{{ 'a' + 1 }}",
        "{{ range(10 ** 9) | list }}",
        "{% for m in messages %}{{ m.content",
        "{{ messages | no_such_filter }}",
    ],
)
def test_a_hostile_or_broken_template_is_a_refusal(source: str) -> None:
    with pytest.raises(EngineRequestError):
        render(source, CHAT)


def test_a_base_without_a_template_says_so() -> None:
    with pytest.raises(EngineRequestError, match=r"no tokenizer\.chat_template"):
        render(None, CHAT)
