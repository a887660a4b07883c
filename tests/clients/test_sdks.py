"""Python clients in environments of their own: whole, streamed, tools, typed answers, to every kind of upstream."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.scripted import VECTOR
from tests.clients.scripting import Asked, Body, Call, Reply
from tests.clients.speaking import INPUT_TOKENS, OUTPUT_TOKENS
from tests.clients.stages import CHAT, LOCAL, MESSAGES, MODEL, RESPONSES, Stage, stage
from tests.router.daemon import ROOT

pytestmark = pytest.mark.clients

ENVIRONMENTS = ROOT / ".clients"
PROGRAMS = Path(__file__).parent / "programs"
CLAUDE = "claude-opus-5-5"
SECRET = "bob@example.org"
TASK = f"The mail {SECRET} belongs to Zürich."
ECHO = f"You said: {TASK}"
TOLD = "I was told: Zürich is warm | São Paulo is warm"
PERSON = {"mail": SECRET, "city": "Zürich"}
TOKENS = [INPUT_TOKENS, OUTPUT_TOKENS]
ALL = (CHAT, RESPONSES, MESSAGES, LOCAL)
LITELLM = dict.fromkeys(("LITELLM_LOCAL_MODEL_COST_MAP", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"), "True")
"""It fetches two lists from the network at each start unless it is told not to."""
_LIMIT_S = 180


def vendor(asked: Asked) -> Reply:
    """Answer as a model that does what is asked for in the plainest way."""
    facts = {"mail": re.findall(r"The mail (\S+) belongs", asked.text)[-1], "city": "Zürich"}
    if asked.schema is not None:
        return Reply(json.dumps(_filled(asked.schema, facts), ensure_ascii=False))
    if asked.forced_tool is not None:
        return Reply(calls=(_forced(asked, facts),))
    if asked.rounds:
        return Reply(f"I was told: {' | '.join(asked.results)}")
    if asked.tools:
        cities = ("Zürich", "São Paulo")
        return Reply("Let me look.", calls=tuple(Call("weather", {"city": city}) for city in cities))
    return Reply(f"You said: {asked.last_user_text}", "Let me think.")


def _forced(asked: Asked, facts: dict[str, str]) -> Call:
    name = str(asked.forced_tool)
    tool = asked.tools[name]
    if name == "note":
        return Call(name, f'a "quoted" note\nfor {facts["mail"]}')
    return Call(name, _filled(tool.get("parameters") or tool["input_schema"], facts))


def _filled(schema: Body, facts: dict[str, str]) -> Body:
    return {name: facts[name] for name in schema["properties"]}


def run_program(made: Stage, environment: str, program: str, model: str, *options: str) -> Any:
    """Run one of `programs/` in its environment against the daemon; return what it printed."""
    made.upstream.script = vendor
    home = made.home.parent / "client"
    home.mkdir(exist_ok=True)
    python = ENVIRONMENTS / environment / "bin" / "python"
    done = subprocess.run(
        [python, "-P", "-W", "ignore", PROGRAMS / f"{program}.py", made.url, model, TASK, *options],
        env={"PATH": os.environ["PATH"], "HOME": str(home), **LITELLM},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:] + made.report()
    # litellm speaks on standard output of models that it does not know.
    return json.loads(done.stdout.splitlines()[-1])


def stays_clean(made: Stage, kind: str) -> None:
    """Assert what must hold whatever the client: nothing refused, a row each, no error, the secret at home."""
    made.is_clean()
    assert (SECRET in made.upstream.everything) == (kind == LOCAL)
    assert not made.keeps(SECRET)


def model_for(kind: str, named: str) -> str:
    """Return the model that a client asks for: a vendor's, or this machine's own where that is all there is."""
    return "local" if kind == LOCAL else named


def no_embeddings(kind: str) -> tuple[str, ...]:
    """Return the option for upstreams that have no embeddings."""
    return ("--no-embeddings",) if kind == MESSAGES else ()


@pytest.mark.parametrize("kind", ALL)
def test_the_openai_sdk_on_chat(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "python", "openai_chat", MODEL, *no_embeddings(kind))

        assert found == {
            "chat": {"text": ECHO, "finish": "stop", "model": MODEL, "tokens": TOKENS, "interaction": True},
            "stream": {"text": ECHO, "tokens": TOKENS, "many": True},
            "tools": {"finish": "tool_calls", "said": "Let me look.", "text": TOLD},
            "tools_streamed": {
                "finish": "tool_calls",
                "given": [{"city": "Zürich"}, {"city": "São Paulo"}],
                "argued": True,
            },
            "forced": {"city": "Zürich"},
            "parse": PERSON,
            "parse_streamed": PERSON,
            "async": [ECHO, ECHO],
            "models": {"has": [True, True], "one": MODEL},
            "refused": [
                ["BadRequestError", 400, "invalid_request", True],
                ["NotFoundError", 404, "model_not_found", True],
            ],
            **({} if kind == MESSAGES else {"embeddings": [list(VECTOR)] * 3}),
        }
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", ALL)
def test_the_openai_sdk_on_responses(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "python", "openai_responses", MODEL)

        assert found == {
            "whole": {
                "text": ECHO,
                "status": "completed",
                "model": MODEL,
                "kinds": ["reasoning", "message"],
                "tokens": TOKENS,
            },
            "stream": {"text": ECHO, "first": "response.created", "last": "response.completed"},
            "tools": TOLD,
            "tools_streamed": [{"city": "Zürich"}, {"city": "São Paulo"}],
            "free_text": [f'a "quoted" note\nfor {SECRET}'],
            "parse": PERSON,
            "parse_streamed": PERSON,
            "refused": [400, "previous_response_id"],
        }
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", [MESSAGES, CHAT, LOCAL])
def test_the_anthropic_sdk(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "python", "anthropic_messages", model_for(kind, CLAUDE))

        assert found == {
            "whole": {
                "text": ECHO,
                "stop": "end_turn",
                "model": model_for(kind, CLAUDE),
                "tokens": TOKENS,
                "interaction": True,
                "request_id": True,
            },
            "stream": {"text": ECHO, "final": ECHO, "stop": "end_turn", "tokens": OUTPUT_TOKENS},
            "thinking": ["thinking", "text"],
            "tools": {"stop": "tool_use", "said": "Let me look.", "text": TOLD},
            "tools_streamed": [{"city": "Zürich"}, {"city": "São Paulo"}],
            "forced": [{"city": "Zürich"}],
            "parse": PERSON,
            "async": ECHO,
            "count": True,
            "models": {"has": [True, True], "one": "auto"},
            "refused": [["BadRequestError", 400, "invalid_request_error"], ["NotFoundError", 404, "not_found_error"]],
        }
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", ALL)
def test_pydantic_ai(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "python", "pydantic_ai_agent", model_for(kind, MODEL), model_for(kind, CLAUDE))

        expected = {"tools": TOLD, "stream": ECHO, "typed": PERSON}
        assert found == {"chat": expected, "responses": expected, "messages": expected}
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", ALL)
def test_langchain_openai(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "python", "langchain_chat", MODEL, *no_embeddings(kind))

        expected = {"text": ECHO, "stream": ECHO, "tools": TOLD, "typed": PERSON}
        vectors = {} if kind == MESSAGES else {"embeddings": [list(VECTOR)] * 2}
        assert found == {"chat": expected, "responses": expected, **vectors}
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", ALL)
def test_instructor(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "instructor", "instructor_extract", model_for(kind, MODEL), model_for(kind, CLAUDE))

        assert found == dict.fromkeys(("tools", "schema", "messages", "partial"), PERSON)
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", [CHAT, MESSAGES, LOCAL])
def test_litellm(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        found = run_program(made, "litellm", "litellm_client", MODEL, model_for(kind, CLAUDE), *no_embeddings(kind))

        expected = {"text": ECHO, "stream": ECHO, "tools": TOLD, "typed": PERSON}
        vectors = {} if kind == MESSAGES else {"embeddings": [list(VECTOR)] * 2}
        assert found == {"chat": expected, "messages": expected, **vectors}
        stays_clean(made, kind)


@pytest.mark.parametrize("kind", [CHAT, MESSAGES, LOCAL])
def test_llm(kind: str, tmp_path: Path) -> None:
    with stage(tmp_path, kind) as made:
        made.upstream.script = vendor
        written = [{"model_id": "mine", "model_name": MODEL, "api_base": f"{made.url}/v1", "supports_schema": True}]
        folder = tmp_path / "llm"
        folder.mkdir()
        (folder / "extra-openai-models.yaml").write_text(json.dumps(written), encoding="utf-8")
        schema = json.dumps({"type": "object", "properties": {name: {"type": "string"} for name in PERSON}})

        def llm(*options: str) -> str:
            done = subprocess.run(
                [ENVIRONMENTS / "python" / "bin" / "llm", "-m", "mine", *options, TASK],
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLM_USER_PATH": str(folder)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
            assert done.returncode == 0, done.stderr + made.report()
            return done.stdout

        assert llm() == f"{ECHO}\n"
        assert llm("--no-stream") == f"{ECHO}\n"
        assert json.loads(llm("--schema", schema)) == PERSON
        stays_clean(made, kind)
