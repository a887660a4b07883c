"""A local answer is verified before the client has it: given, mended once, or handed on with the evidence."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from registry.entities import EvidenceType, Interaction, Lane, Status
from registry.errors import ConfigError, EngineError
from registry.settings import (
    LocalSettings,
    PolicySettings,
    RedactionSettings,
    Settings,
    UpstreamSettings,
    VerifySettings,
)
from router.assessment import MAX_WHY
from router.exchange import CollectingWire
from router.upstream import UnreachableError
from router.verifying.commands import open_runner
from router.verifying.sandbox import IsolationError
from tests.router.making import FakeReply, answered, delta, frames, run, sse, streamed_text, task, world
from tests.router.making import settings as plain_settings

SECRET = "bob@example.org"
SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["fix", "feature"]}}, "required": ["kind"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "k", "schema": SCHEMA}}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": NUMBER}}]


def held(setting: str | int, **policy: Any) -> Settings:
    return plain_settings(policy=PolicySettings(cloud="vendor/gpt-5.4", hold=setting, **policy))


def verifying(**rule: Any) -> Settings:
    return held("answer", verify=(VerifySettings(name="shape", **rule),))


def with_base(hold: str | int = "answer", places: int | None = None, **more: Any) -> Settings:
    """Return settings whose general base, llama on the private server mine, may call tools."""
    upstreams = {
        "vendor": UpstreamSettings(
            base_url="https://vendor.test/v1", models=("gpt-5.4",), usd_per_million_input=2, usd_per_million_output=10
        ),
        "mine": UpstreamSettings(
            base_url="http://127.0.0.1:9/v1",
            models=("llama",),
            trust="private",
            context=32_768,
            tools=True,
            max_concurrency=places,
        ),
    }
    policy = PolicySettings(cloud="vendor/gpt-5.4", hold=hold, **more)
    return Settings(upstreams=upstreams, local=LocalSettings(runtime="mine", base="llama"), policy=policy)


def calling(*arguments: str) -> dict[str, Any]:
    calls = [
        {"id": f"c{place}", "type": "function", "function": {"name": "add", "arguments": text}}
        for place, text in enumerate(arguments)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def called(*arguments: str) -> FakeReply:
    choice = {"index": 0, "message": calling(*arguments), "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    body = {"id": "u1", "object": "chat.completion", "model": "llama", "choices": [choice], "usage": usage}
    return FakeReply(pieces=[json.dumps(body).encode()])


def streamed_call(arguments: str) -> FakeReply:
    first = {"index": 0, "id": "c0", "type": "function", "function": {"name": "add", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": arguments}}
    return FakeReply(
        pieces=sse(delta(role="assistant", tool_calls=[first]), delta(tool_calls=[rest]), delta(finish="tool_calls"))
    )


def arguments_of(message: dict[str, Any]) -> list[str]:
    return [call["function"]["arguments"] for call in message["tool_calls"]]


def message_of(wire: CollectingWire) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(wire.body)["choices"][0]["message"]
    return message


def checks(one: Interaction) -> list[tuple[str, bool]]:
    assert one.outcome is not None
    assert isinstance(one.outcome.verification, list)
    return [(found["name"], found["ok"]) for found in one.outcome.verification]  # type: ignore[index, misc]


# Specialists.


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_the_wrong_form_is_decoded_once_more_under_the_forms_grammar(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path, plain_settings()) as made:
            made.promote()
            said = iter(['{"kind":"typo"}', '{"kind":"fix"}'])
            made.engine.say = lambda _: next(said)
            wire = await made.ask(task(response_format=FORMAT, stream=stream))
            (one,) = made.interactions()

            assert (streamed_text(wire) if stream else message_of(wire)["content"]) == '{"kind":"fix"}'
            assert [bool(request.grammar) for request in made.engine.requests] == [False, True]
            assert "fix" in made.engine.requests[1].grammar
            assert wire.headers["x-modelbreeder-held"] == "answer"
            assert checks(one) == [("response_format", True)]

    run(scene())


def test_an_answer_that_stays_wrong_escalates_with_what_is_wrong(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, plain_settings()) as made:
            made.promote()
            made.engine.say = lambda _: '{"kind":"typo"}'
            await made.ask(task(response_format=FORMAT))
            weak, answer = made.interactions()

            assert len(made.engine.requests) == 2
            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert checks(weak) == [("response_format", False)]
            assert [note.type for note in weak.evidence] == [EvidenceType.WEAK_ANSWER]
            assert answer.intent.parent_id == weak.intent.interaction_id
            assert answer.intent.decision.rule == "weak-answer"
            assert "$.kind" in answer.intent.decision.local_reason

    run(scene())


@pytest.mark.parametrize(("answer", "escalates"), [("feat: mail bob@example.org", False), ("mail bob", True)])
def test_a_pattern_of_the_policy_sees_the_real_values_and_only_its_own_workflow(
    tmp_path: Path, answer: str, escalates: bool
) -> None:
    rule = {"pattern": r"^feat: .*@example\.org", "workflow": "commit-type"}

    async def scene() -> None:
        async with world(tmp_path, verifying(**rule)) as made:
            made.promote()
            made.engine.say = lambda text: answer.replace(SECRET, text.split()[-1])
            await made.ask(task(f"Classify this commit.\n{SECRET}"))
            found = made.interactions()

            assert len(found) == (2 if escalates else 1)
            assert checks(found[0]) == [("shape", not escalates)]
            assert SECRET not in str(found[0].outcome)

    run(scene())


@pytest.mark.parametrize(("word", "escalates"), [("local", False), ("cloud", True)])
def test_the_users_own_command_judges_an_answer(tmp_path: Path, word: str, escalates: bool) -> None:
    async def scene() -> None:
        try:
            await open_runner()
        except IsolationError as error:
            pytest.skip(str(error))
        async with world(tmp_path, verifying(command=("grep", "-q", word, "answer"))) as made:
            made.promote()
            await made.ask(task())
            first = made.interactions()[0]

            assert checks(first) == [("shape", not escalates)]
            assert len(made.cloud.requests) == int(escalates)

    run(scene())


def test_a_pattern_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    async def scene() -> None:
        with pytest.raises(ConfigError, match="shape"):
            async with world(tmp_path, verifying(pattern="(?=x)")):
                pass

    run(scene())


# How much of a stream is held back.


def test_a_weak_beginning_escalates_before_the_client_has_anything(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(2)) as made:
            made.promote()
            made.engine.confidence = -0.9
            made.engine.say = lambda _: "one two three four five"
            made.cloud.script = [FakeReply(pieces=sse(delta("from the cloud"), delta(finish="stop")))]
            wire = await made.ask(task(stream=True))
            weak, answer = made.interactions()

            assert streamed_text(wire) == "from the cloud"
            assert made.engine.cancelled == 1
            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert weak.outcome.response["choices"][0]["message"]["content"] == "one two"  # type: ignore[index, call-overload]
            assert "after 2 tokens" in answer.intent.decision.local_reason

    run(scene())


def test_a_strong_beginning_streams_on_and_says_how_much_was_held(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(2)) as made:
            made.promote()
            made.engine.say = lambda _: "one two three four"
            wire = await made.ask(task(stream=True))
            texts = [frame["choices"][0]["delta"].get("content") for frame in frames(wire)[:-1] if frame["choices"]]

            assert wire.headers["x-modelbreeder-held"] == "2"
            assert [text for text in texts if text] == ["one two", " three", " four"]
            assert made.cloud.requests == []

    run(scene())


def test_an_answer_shorter_than_what_is_held_is_judged_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(50)) as made:
            made.promote()
            made.engine.say = lambda _: " "
            made.cloud.script = [FakeReply(pieces=sse(delta("from the cloud"), delta(finish="stop")))]
            wire = await made.ask(task(stream=True))

            assert streamed_text(wire) == "from the cloud"
            assert "empty" in made.interactions()[1].intent.decision.local_reason

    run(scene())


@pytest.mark.parametrize("setting", ["none", 2])
def test_a_weak_stream_that_nobody_else_may_give_is_whole_and_marked(tmp_path: Path, setting: str | int) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(setting)) as made:
            made.promote()
            made.engine.confidence = -0.9
            made.engine.say = lambda text: f"one two three {text.split()[-1]}"
            asked = task(f"Classify this commit.\n{SECRET}", stream=True)
            wire = await made.ask(asked, {"X-ModelBreeder-Allow-Escalation": "false"})
            (one,) = made.interactions()

            assert streamed_text(wire) == f"one two three {SECRET}"
            assert wire.ended
            assert ("x-modelbreeder-weak" in wire.headers) is (setting != "none")
            assert [note.type for note in one.evidence] == [EvidenceType.WEAK_ANSWER]
            assert one.outcome is not None
            assert one.outcome.status is Status.OK

    run(scene())


def test_nothing_held_means_that_a_weak_answer_is_evidence_and_no_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held("none")) as made:
            made.promote(threshold=-math.inf)
            made.engine.say = lambda _: "no JSON"
            wire = await made.ask(task(stream=True, response_format=FORMAT))
            (one,) = made.interactions()

            assert streamed_text(wire) == "no JSON"
            assert checks(one) == [("response_format", False)]
            assert made.cloud.requests == []

    run(scene())


# The general base.


@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_tool_call_is_asked_for_once_more_by_its_schema(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            wrong = streamed_call('{"n":"two"}') if stream else called('{"n": 1}', '{"n":"two"}')
            made.private.script = [wrong, FakeReply(pieces=[answered('{"n": 2}')])]
            wire = await made.ask(task("Summarize this.", tools=TOOLS, stream=stream))
            (one,) = made.interactions()
            again = made.private.requests[1]

            if stream:
                deltas = [frame["choices"][0]["delta"] for frame in frames(wire)[:-1] if frame["choices"]]
                assert [arguments_of(each) for each in deltas if "tool_calls" in each] == [['{"n": 2}']]
            else:
                assert arguments_of(message_of(wire)) == ['{"n": 1}', '{"n": 2}']
            assert again["response_format"]["json_schema"]["schema"] == NUMBER
            assert "tools" not in again
            assert made.cloud.requests == []
            assert checks(one) == [("tool_calls", False), ("tool_calls", True)]
            assert one.outcome is not None
            assert one.outcome.status is Status.OK
            assert one.outcome.usage is not None
            assert stream or one.outcome.usage.prompt_tokens == 200

    run(scene())


@pytest.mark.parametrize("second", [FakeReply(pieces=[answered("still none")]), UnreachableError("mine is gone")])
def test_a_call_that_cannot_be_mended_goes_to_the_cloud_with_the_evidence(tmp_path: Path, second: Any) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n":"two"}'), second, second, second]
            made.cloud.script = [called('{"n": 3}')]
            wire = await made.ask(task("Summarize this.", tools=TOOLS))
            weak, answer = made.interactions()

            assert arguments_of(message_of(wire)) == ['{"n": 3}']
            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert [note.type for note in weak.evidence] == [EvidenceType.WEAK_ANSWER]
            assert answer.intent.decision.rule == "weak-answer"
            assert "add" in answer.intent.decision.local_reason

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_a_right_answer_of_the_base_passes_byte_for_byte(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            reply = streamed_call('{ "n":7 }') if stream else called('{ "n":7 }')
            made.private.script = [reply]
            wire = await made.ask(task("Summarize this.", tools=TOOLS, stream=stream))

            if stream:
                assert '{ \\"n\\":7 }' in b"".join(wire.frames).decode()
                assert wire.ended
            else:
                assert wire.body == reply.pieces[0]
            assert wire.headers["x-modelbreeder-held"] == "answer"
            assert len(made.private.requests) == 1

    run(scene())


def test_a_stream_of_the_base_is_not_held_where_the_policy_holds_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base("none")) as made:
            made.private.script = [streamed_call('{"n":"two"}')]
            wire = await made.ask(task("Summarize this.", tools=TOOLS, stream=True))

            assert '{\\"n\\":\\"two\\"}' in b"".join(wire.frames).decode()
            assert len(made.private.requests) == 1
            assert "x-modelbreeder-held" not in wire.headers

    run(scene())


def test_customer_data_in_a_wrong_answer_stays_here_and_the_answer_is_marked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n":"two"}'), FakeReply(pieces=[answered("none")])]
            wire = await made.ask(task("Summarize customer_12.", tools=TOOLS))

            assert arguments_of(message_of(wire)) == ['{"n":"two"}']
            assert "add" in wire.headers["x-modelbreeder-weak"]
            assert made.cloud.requests == []

    run(scene())


def test_a_stream_is_mended_also_where_its_server_takes_one_request_at_a_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base(places=1)) as made:
            made.private.script = [streamed_call('{"n":"two"}'), FakeReply(pieces=[answered('{"n": 2}')])]
            async with asyncio.timeout(60):
                await made.ask(
                    task("Summarize this.", tools=TOOLS, stream=True), {"X-ModelBreeder-Deadline-Ms": "5000"}
                )

            assert len(made.private.requests) == 2

    run(scene())


def test_a_wrong_call_of_the_older_form_is_handed_on_as_it_cannot_be_mended(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"n":"two"}'}}
    choices = [{"index": 0, "message": message, "finish_reason": "function_call"}]

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [FakeReply(pieces=[answered("", choices=choices)])]
            await made.ask(task("Summarize this.", functions=[TOOLS[0]["function"]]))
            weak, answer = made.interactions()

            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert answer.intent.decision.rule == "weak-answer"

    run(scene())


def test_mending_asks_for_one_answer_without_the_clients_stop_texts_and_keeps_the_others(tmp_path: Path) -> None:
    first = delta(role="assistant", tool_calls=[{"index": 0, **calling('{"n":"two"}')["tool_calls"][0]}])
    second = delta("the other", finish="stop")
    second["choices"][0]["index"] = 1

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            wrong = FakeReply(pieces=sse(first, delta(finish="tool_calls"), second))
            made.private.script = [wrong, FakeReply(pieces=[answered('{"n": 2}')])]
            wire = await made.ask(task("Summarize this.", tools=TOOLS, stream=True, n=2, stop="}"))
            said = [choice for frame in frames(wire)[:-1] for choice in frame["choices"]]

            assert not {"n", "stop"} & set(made.private.requests[1])
            assert [one["delta"]["content"] for one in said if one["index"] == 1 and one["delta"]] == ["the other"]

    run(scene())


def test_mending_sends_no_field_that_the_first_request_left_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n":"two"}'), FakeReply(pieces=[answered('{"n": 2}')])]
            elsewhere = {"api_base": "https://evil.test/v1", "metadata": {"langfuse_host": "https://evil.test"}}
            await made.ask(task("Summarize this.", tools=TOOLS, **elsewhere))

            assert len(made.private.requests) == 2
            assert "evil.test" not in json.dumps(made.private.requests)

    run(scene())


def test_what_mending_took_is_no_cloud_cost_that_was_spared(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n": 1}'), called('{"n":"two"}'), FakeReply(pieces=[answered('{"n": 2}')])]
            for _ in range(2):
                await made.ask(task("Summarize this.", tools=TOOLS))
            right, mended = (one.outcome for one in made.interactions())

            assert right is not None
            assert mended is not None
            assert right.cloud_cost_usd
            assert mended.cloud_cost_usd == right.cloud_cost_usd

    run(scene())


def test_a_weakness_in_a_header_is_short_and_printable(tmp_path: Path) -> None:
    schema = {"enum": ["größe\u007f" * 100]}
    asked = task("Summarize customer_12.", response_format={"type": "json_schema", "json_schema": {"schema": schema}})

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [FakeReply(pieces=[answered('"x"')])]
            base = (await made.ask(asked)).headers["x-modelbreeder-weak"]
            made.promote(threshold=-math.inf, fingerprints=())
            made.engine.say = lambda _: '"x"'
            local = (await made.ask(asked, {"X-ModelBreeder-Workflow": "commit-type"})).headers["x-modelbreeder-weak"]

            assert all(said.isascii() and said.isprintable() and len(said) <= 400 for said in (base, local))
            assert "enum" in base
            assert "enum" in local

    run(scene())


@pytest.mark.parametrize("escalates", [True, False])
def test_an_engine_that_fails_at_mending_leaves_the_answer_as_it_was(tmp_path: Path, escalates: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path, plain_settings()) as made:
            made.promote()

            def say(_: str) -> str:
                if len(made.engine.requests) == 2:
                    raise EngineError("the engine died")
                return '{"kind":"typo"}'

            made.engine.say = say
            hints = {} if escalates else {"X-ModelBreeder-Allow-Escalation": "false"}
            wire = await made.ask(task(response_format=FORMAT), hints)
            weak = made.interactions()[0]

            assert checks(weak) == [("response_format", False)]
            assert [note.type for note in weak.evidence] == [EvidenceType.WEAK_ANSWER]
            assert ("x-modelbreeder-weak" in wire.headers) is not escalates

    run(scene())


@pytest.mark.parametrize("setting", ["none", "answer"])
def test_a_value_is_put_back_into_json_as_json(tmp_path: Path, setting: str) -> None:
    settings = held(setting).model_copy(update={"redaction": RedactionSettings(rules={"TICKET": 'T"[0-9]+'})})

    async def scene() -> None:
        async with world(tmp_path, settings) as made:
            made.promote()
            made.engine.say = lambda text: json.dumps({"kind": text.split()[-1]})
            asked = task('Classify this commit.\nT"17', response_format={"type": "json_object"}, stream=True)
            wire = await made.ask(asked)

            assert json.loads(streamed_text(wire)) == {"kind": 'T"17'}

    run(scene())


def test_a_client_that_leaves_while_the_intent_is_written_leaves_no_open_interaction(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, plain_settings()) as made:
            made.promote()
            turn = asyncio.create_task(made.ask(task()))
            await asyncio.sleep(0)
            turn.cancel()
            with pytest.raises(asyncio.CancelledError):
                await turn
            (one,) = made.interactions()

            assert one.outcome is not None
            assert one.outcome.status is Status.INTERRUPTED

    run(scene())


def test_a_reason_is_masked_before_it_is_cut_as_half_a_secret_is_not_found(tmp_path: Path) -> None:
    secret = "ghp_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3hJ5"
    schema = {"enum": ["x" * (MAX_WHY - 80), secret]}

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [FakeReply(pieces=[answered('"no"')])]
            wanted = {"type": "json_schema", "json_schema": {"name": "k", "schema": schema}}
            wire = await made.ask(task("Summarize this.", response_format=wanted))

            assert secret in str(made.private.requests)
            assert secret[:8] not in f"{made.interactions()} {wire.headers} {made.cloud.requests}"

    run(scene())


@pytest.mark.parametrize("local", ["base", "specialist"])
def test_what_escalates_has_the_fallbacks_that_any_cloud_task_has(tmp_path: Path, local: str) -> None:
    given = with_base(fallbacks=("vendor/gpt-5.4-mini",))

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            if local == "specialist":
                made.promote()
            made.engine.say = lambda _: " "
            made.private.script = [called('{"n":"two"}'), FakeReply(pieces=[answered("none")])]
            asked = task("Summarize this.", tools=TOOLS) if local == "base" else task()
            made.cloud.script = [UnreachableError("gone")] * 2 + [FakeReply(pieces=[answered("here")])]
            wire = await made.ask(asked)
            weak, failed, answer = made.interactions()

            assert message_of(wire)["content"] == "here"
            assert made.cloud.requests[-1]["model"] == "gpt-5.4-mini"
            assert answer.intent.decision.rule == "cloud-fallback"
            assert answer.intent.decision.lane is Lane.CLOUD_ESCALATION
            assert [weak.intent.parent_id, failed.intent.parent_id, answer.intent.parent_id] == [
                None, weak.intent.interaction_id, failed.intent.interaction_id,
            ]  # fmt: skip

    run(scene())
