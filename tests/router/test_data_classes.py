from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import ConfigError
from registry.settings import DataClassSettings, PolicySettings, RedactionSettings
from router.data_classes import DataClasses, holds_code, path_pattern
from router.exchange import TurnError
from router.problems import UnservedError
from router.verifying.patterns import compile_pattern
from tests.router.making import run, settings, world

TYPES = ("SECRET", "PATIENT", "TICKET")
CLIENT = DataClassSettings(name="client", paths=("clients/**",))


def found(
    *rules: DataClassSettings, text: str = "hello", hint: str | None = None, findings: Any = None, **body: Any
) -> str:
    asked = {"messages": [{"role": "user", "content": text}], **body}
    return DataClasses(PolicySettings(classes=rules), TYPES).narrowest(hint, asked, asked, findings or {})


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("clients/**", "diff --git a/clients/acme/plan.md b/clients/acme/plan.md\n"),
        ("clients/**", "--- a/clients/acme/plan.md\n+++ b/clients/acme/plan.md\n@@ -1 +1 @@"),
        ("clients/**", '```python title="clients/acme.py"\nx = 1\n```'),
        ("clients/**", "```clients/acme.py\nx = 1\n```"),
        ("clients/**", '<file path="/home/ann/work/clients/acme/plan.md">'),
        ("clients/**", "*** Update File: clients/acme.py"),
        ("clients/**", "Look at ./clients/acme/plan.md, please."),
        ("clients/**", r"C:\Users\ann\clients\acme\plan.md"),
        ("clients/**", "`Clients/Acme/plan.md`"),
        ("clients/**", "open file:///srv/clients/acme/plan.md"),
        ("clients/**/notes.*", "see clients/notes.md"),
        ("clients/**/notes.*", "see clients/a/b/c/notes.txt."),
        ("**/secret/**", "in my/secret/a.txt"),
        ("*.chart.pdf", "the file jones.chart.pdf is"),
        ("charts/p?.csv", "charts/p7.csv"),
        ("/srv/clients/**", "cat /srv/clients/a"),
        ("a b/**", "in 'a b/c.txt'"),
    ],
)
def test_a_path_that_fits_is_found_wherever_it_stands(glob: str, text: str) -> None:
    rule = DataClassSettings(name="client", paths=(glob,))

    assert found(rule, text=text) == "client"
    assert found(rule, text="x", messages=[{"role": "system", "content": f"cwd:\n{text}"}]) == "client"


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("clients/**", "our clients are many"),
        ("clients/**", "myclients/acme.py"),
        ("clients/**", "see https://example.org/clients/acme for it"),
        ("clients/*.md", "clients/acme/plan.md"),
        ("/srv/clients/**", "cat /home/srv/clients/a"),
        ("*.chart.pdf", "chart.pdf.txt"),
        ("charts/p?.csv", "charts/p77.csv"),
        ("clients/**/notes.*", "clients/a/noted.md"),
    ],
)
def test_what_does_not_fit_is_not_of_the_class(glob: str, text: str) -> None:
    assert found(DataClassSettings(name="client", paths=(glob,)), text=text) == "public"


def test_paths_in_calls_of_tools_are_seen() -> None:
    arguments = json.dumps({"file_path": "clients/acme.py", "note": "a\nb"})
    call = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "Read", "arguments": arguments}}]}
    patch = {"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps({"input": "a\nclients/x.py"})}}]}
    block = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "input": {"path": "clients/acme.py"}}]}
    item = {"type": "function_call", "call_id": "c", "name": "Read", "arguments": arguments}

    assert found(CLIENT, messages=[call]) == "client"
    assert found(CLIENT, messages=[patch]) == "client"
    assert found(CLIENT, messages=[block]) == "client"
    assert found(CLIENT, messages=[], input=[item]) == "client"
    assert found(CLIENT, instructions="You work in /home/ann/clients/acme") == "client"
    assert found(CLIENT, tools=[{"description": "reads clients/acme.py"}]) == "public"


def test_findings_and_patterns_tell_a_class() -> None:
    patient = DataClassSettings(name="patient", types=("PATIENT",), patterns=(r"(?i)\bpatient (?:no|id)\b",))

    assert found(patient, findings={"PATIENT": 1}) == "patient"
    assert found(patient, findings={"SECRET": 1}) == "public"
    assert found(patient, text="of Patient No 7") == "patient"
    assert found(patient, text="be patient") == "public"


def test_what_stands_far_behind_in_a_long_prompt_is_found() -> None:
    for size in (200_000, 262_143, 262_144, 262_150, 524_280, 700_000):
        assert found(CLIENT, text="x " * (size // 2) + "clients/acme.py") == "client"
        assert found(CLIENT, text="x " * (size // 2) + "clients/acme.py" + " y" * 200_000) == "client"


def test_the_narrowest_class_holds() -> None:
    internal = DataClassSettings(name="internal", paths=("internal/**",))
    both = "internal/a.md and clients/a.md"

    assert found(internal, CLIENT, text=both) == "client"
    assert found(internal, CLIENT, text="internal/a.md") == "internal"
    assert found(CLIENT, text="clients/a.md", hint="public") == "client"
    assert found(CLIENT, text="clients/a.md", hint="code") == "client"
    assert found(internal, text="internal/a.md", hint="client") == "client"
    assert found(CLIENT, text="clients/a.md", hint="patient") == "patient"
    assert found(internal, text="internal/a.py\n```python\nx\n```") == "internal"
    assert found(hint="trade_secret") == "trade_secret"
    assert found(internal, text="internal/a.md", hint="code") == "internal"
    assert found() == "public"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nx = 1\n```", True),
        ("Mend this:\n\n~~~ c++\nint x;\n~~~", True),
        ("1. so\n   ```ts\nlet x\n   ```", True),
        ("```src/app.go\nx\n```", True),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n", True),
        ("*** Begin Patch\n*** Add File: a.md\n", True),
        ("```\nplain words\n```", False),
        ("```json\n{}\n```", False),
        ("```markdown\n# a\n```", False),
        ("write `x = 1` there", False),
        ("use ```python``` here", False),
    ],
)
def test_code_is_told_by_fences_and_diffs(text: str, code: bool) -> None:
    assert holds_code([{"role": "user", "content": text}]) is code
    assert holds_code([{"role": "tool", "content": text}]) is code
    assert not holds_code([{"role": "system", "content": text}])
    assert found(text=text) == ("code" if code else "public")


def test_a_mistake_in_the_policy_is_told() -> None:
    with pytest.raises(ConfigError, match=r"policy.classes 'client', patterns: the pattern '\(a' cannot be used"):
        found(DataClassSettings(name="client", patterns=("(a",)))
    with pytest.raises(ConfigError, match="no redaction rule finds 'PATENT'; known types: PATIENT"):
        found(DataClassSettings(name="client", types=("PATENT",)))


NAMES = st.text(alphabet="ab.-_1", min_size=1, max_size=6).filter(lambda name: name.strip("."))


@given(st.lists(NAMES, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=4))
def test_a_folder_of_any_depth_fits(folders: list[str], rest: list[str]) -> None:
    matches = compile_pattern(path_pattern(f"{'/'.join(folders)}/**"))

    assert matches("/".join([*folders, *rest]))
    assert matches(f"see '/x/{'/'.join([*folders, *rest])}'")
    assert not matches(f"z{'/'.join([*folders, *rest])}".replace("/", "|"))


def test_many_stars_take_linear_time() -> None:
    matches = compile_pattern(path_pattern("**/a*a*a*/**/b*b*/**/c"))

    assert not matches("a" * 50_000 + "/a" * 50_000 + "/b" * 50_000)


def test_a_found_class_keeps_a_task_here_whatever_is_hinted(tmp_path: Path) -> None:
    async def scene() -> None:
        policy = PolicySettings(
            cloud="vendor/gpt-5.4", classes=(CLIENT, DataClassSettings(name="patient", types=("PATIENT",)))
        )
        given = settings(policy=policy, redaction=RedactionSettings(rules={"PATIENT": "P-[0-9]{4}"}))
        async with world(tmp_path, given) as made:
            for text in ("Plan for clients/acme/plan.md", "Write to P-1234"):
                body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
                with pytest.raises(TurnError) as caught:
                    await made.ask(body, {"X-ModelBreeder-Data-Class": "public"})
                assert isinstance(caught.value.cause, UnservedError)
            await made.ask({"model": "gpt-5.4", "messages": [{"role": "user", "content": "Plan for src/plan.md"}]})
            classes = [one.intent.envelope.data_class for one in made.interactions()]

            assert classes == ["client", "patient", "public"]
            assert len(made.cloud.requests) == 1

    run(scene())
