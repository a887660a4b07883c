from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Lane, TaskEnvelope
from router.envelope import Match, envelope_of
from router.hints import Hints, parse_hints
from router.naming import Place

NO_HINTS, NO_PLACE = Hints(), Place(None)


def described(body: dict[str, Any], hints: Hints = NO_HINTS, place: Place = NO_PLACE, **more: Any) -> TaskEnvelope:
    given: dict[str, Any] = {"minimum_margin": -0.05, "redactions": {}, "customer_types": ("CUSTOMER",), **more}
    return envelope_of({"model": "auto", **body}, hints, place, Match("w", 1.0), task_id="own", **given)


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def test_a_plain_turn() -> None:
    told = described(user("Fix   the\nbug"))

    assert told.task_id == "own"
    assert told.summary == "Fix the bug"
    assert (told.workflow, told.match_score) == ("w", 1.0)
    assert told.data_class == "public"
    assert not (told.has_tools or told.in_tool_loop or told.multimodal or told.contains_customer_data)


def test_features_of_the_body() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    loop = {"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "1", "tool_call_id": "c"}]}

    assert described({**user("x"), "tools": tools}).has_tools
    assert described(loop).in_tool_loop
    assert described(user([{"type": "image_url", "image_url": {"url": "u"}}])).multimodal
    assert not described(user([{"type": "text", "text": "x"}])).multimodal
    assert described({**user("x"), "web_search_options": {"a": 1}}).requires_external_knowledge


def test_a_finding_of_a_customer_type_is_customer_data() -> None:
    assert described(user("x"), redactions={"CUSTOMER": 1}).contains_customer_data
    assert not described(user("x"), redactions={"PIIEMAIL": 3}).contains_customer_data


def test_hints_fill_the_features() -> None:
    hints = parse_hints([], {"task-id": "t9", "data-class": "client", "changed-files": 3, "retry-count": 1})
    told = described(user("x"), hints)

    assert (told.task_id, told.data_class, told.changed_files, told.retry_count) == ("t9", "client", 3, 1)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_the_minimum_margin_only_rises(policy: float, hint: float) -> None:
    told = described(user("x"), Hints(minimum_margin=hint), minimum_margin=policy)

    assert told.minimum_margin == max(policy, hint)


def test_a_lane_hint_narrows_the_place_of_the_model_name() -> None:
    local = Place(None, Lane.LOCAL_FAST)

    assert described(user("x"), place=local).requested_lane is Lane.LOCAL_FAST
    assert described(user("x"), Hints(lane=Lane.LOCAL_PRIVATE), local).requested_lane is Lane.LOCAL_PRIVATE
    assert described(user("x"), Hints(lane=Lane.LOCAL_FAST), local).requested_lane is Lane.LOCAL_FAST
    assert described(user("x"), Hints(lane=Lane.NO_OP), Place(None, Lane.CLOUD_ESCALATION)).requested_lane is Lane.NO_OP


def test_the_task_type_is_of_the_last_user_text_or_the_system_text() -> None:
    system = {"role": "system", "content": [{"type": "text", "text": "You translate."}]}
    turns = [{"role": "user", "content": "Plan it."}, {"role": "assistant", "content": "1."}]

    assert described({"messages": [*turns, {"role": "user", "content": "Summarize this."}]}).task_type == "summarize"
    assert described({"messages": [system, {"role": "user", "content": "hello"}]}).task_type == "translate"
    assert described({"messages": [system, *turns]}).task_type is None
    assert described({"messages": turns}).task_type == "plan"
    assert described({"messages": [{"role": "assistant", "content": "x"}]}).task_type is None


def test_a_tool_loop_knows_what_it_began_with() -> None:
    began = [{"role": "system", "content": "a" * 40}, {"role": "user", "content": "b" * 40}]
    calls = [{"role": "assistant", "content": "c" * 4000}, {"role": "tool", "content": "d" * 4000}]
    first, later = described({"messages": began}), described({"messages": [*began, *calls]})
    headless = described({"messages": calls})

    assert first.opening_tokens == first.estimated_tokens == later.opening_tokens
    assert later.estimated_tokens > 2000
    assert headless.opening_tokens == headless.estimated_tokens


GIT = "".join(f"diff --git a/f{number}.py b/f{number}.py\nindex 1..2 100644\n" for number in range(9))


def test_the_larger_of_hint_and_diffs_is_the_number_of_changed_files() -> None:
    assert described(user(GIT)).changed_files == 9
    assert described(user(GIT), Hints(changed_files=2)).changed_files == 9
    assert described(user(GIT), Hints(changed_files=12)).changed_files == 12


def test_the_larger_of_hint_and_memory_is_the_retry_count() -> None:
    assert described(user("x"), Hints(retry_count=1), asked_before=3).retry_count == 3
    assert described(user("x"), Hints(retry_count=4), asked_before=3).retry_count == 4


def test_a_class_that_was_found_is_the_tasks() -> None:
    assert described(user("x"), Hints(data_class="public"), data_class="client").data_class == "client"
    assert described(user("x"), Hints(data_class="client")).data_class == "client"


def test_what_was_set_aside_makes_a_task_multimodal() -> None:
    assert described(user("see data:image/png;base64,opaque-1"), opaque=True).multimodal
    assert not described(user([{"type": "thinking", "thinking": "hm"}])).multimodal


def test_a_picture_beside_the_words_hides_neither_summary_nor_type() -> None:
    parts = [{"type": "text", "text": "Summarize this."}, {"type": "image_url", "image_url": {"url": "u"}}]
    told = described(user(parts))

    assert (told.summary, told.task_type, told.multimodal) == ("Summarize this.", "summarize", True)


def test_reminders_behind_results_of_tools_leave_the_task_as_it_was() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]}
    result = {"role": "tool", "tool_call_id": "c", "content": "d" * 4000}
    began = [{"role": "user", "content": "Summarize the log."}]
    told = described({"messages": [*began, call, result, {"role": "user", "content": "<reminder>be brief</reminder>"}]})

    assert told.in_tool_loop
    assert (told.summary, told.task_type) == ("Summarize the log.", "summarize")
    assert told.opening_tokens == described({"messages": began}).estimated_tokens


def test_questions_about_the_world_are_for_the_cloud_unless_a_workflow_knows_better() -> None:
    asked = user("What is the latest version of numpy?")
    known = envelope_of(
        {"model": "auto", **asked},
        NO_HINTS,
        NO_PLACE,
        Match(),
        task_id="own",
        minimum_margin=-0.05,
        redactions={},
        customer_types=(),
    )

    assert known.requires_external_knowledge
    assert not described(asked).requires_external_knowledge
