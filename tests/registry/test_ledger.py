"""Recording, reading and erasing interactions."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from registry.entities import (
    EvidenceNote,
    EvidenceType,
    Feedback,
    FeedbackVerdict,
    Intent,
    Interaction,
    Lane,
    Outcome,
    Purpose,
    Status,
    TaskEnvelope,
    Usage,
)
from registry.erasing import erase, scrub
from registry.errors import ConflictError, DataError, LedgerError, NotFoundError
from registry.ids import new_id
from registry.ledger import Ledger, new_writer_id
from registry.processes import ProcessMark, this_process
from tests.registry.making import NOON, at, decision, intent, outcome


def judged(verdict: FeedbackVerdict, when: float, **details: object) -> Feedback:
    return Feedback("i1", at(when), verdict, **details)


def test_an_interaction_reads_as_it_was_recorded(ledger):
    note = EvidenceNote("i1", at(2), EvidenceType.ESCALATION, {"rule": "escalate"})
    verdict = judged(FeedbackVerdict.CORRECTED, 3, corrected="feat", score=0.5, comment="no", client="cli")
    ledger.append(intent(), outcome(), note, verdict)
    assert ledger.interaction("i1") == Interaction(intent(), outcome(), verdict, (note,))


def test_the_latest_feedback_wins(ledger):
    ledger.append(intent(), judged(FeedbackVerdict.ACCEPTED, 5), judged(FeedbackVerdict.REJECTED, 4))
    assert ledger.interaction("i1").feedback.verdict is FeedbackVerdict.ACCEPTED


def test_append_returns_one_id_per_event_in_order(ledger, database):
    ids = ledger.append(intent(), outcome())
    with database.read() as connection:
        stored = connection.execute(text("SELECT event_id FROM events ORDER BY seq")).scalars().all()
    assert ids == stored


def test_nothing_appended_is_nothing_recorded(ledger):
    assert ledger.append() == []
    assert ledger.verify().events == 0


@pytest.mark.parametrize(
    "event",
    [outcome("i9"), Feedback("i9", NOON, FeedbackVerdict.ACCEPTED), EvidenceNote("i9", NOON, EvidenceType.FALLBACK)],
)
def test_what_follows_needs_an_intent(ledger, event):
    with pytest.raises(NotFoundError, match="no interaction 'i9'"):
        ledger.append(intent(), event)
    assert ledger.verify().events == 0


def test_an_outcome_before_its_intent_is_refused(ledger):
    with pytest.raises(NotFoundError):
        ledger.append(outcome(), intent())


@pytest.mark.parametrize("recorded", [(intent(), outcome()), ()])
def test_an_interaction_ends_once(ledger, recorded):
    ledger.append(*recorded)
    more = (outcome(when=9),) if recorded else (intent(), outcome(), outcome(when=9))
    with pytest.raises(ConflictError, match="i1 has an outcome already"):
        ledger.append(*more)
    assert ledger.verify().problems == ()


def test_an_intent_is_recorded_once(ledger):
    ledger.append(intent())
    with pytest.raises(ConflictError, match="i1 was recorded before"):
        ledger.append(intent())
    assert ledger.verify().events == 1


@pytest.mark.parametrize(
    "event",
    [
        replace(intent(), request_received="half of a pair: \ud800"),
        replace(intent(), at_utc=datetime(2026, 11, 21)),  # noqa: DTZ001  a naive time is what is tested
        replace(intent(), client="\udfff"),
        replace(intent(), request_sent={"n": 2**70}),
    ],
)
def test_what_json_cannot_hold_is_refused_whole(ledger, event):
    with pytest.raises(DataError, match="Intent of interaction i1 cannot be recorded"):
        ledger.append(intent("i0"), event)
    assert ledger.count() == 0


def test_an_unknown_interaction_is_not_found(ledger, database):
    with pytest.raises(NotFoundError):
        ledger.interaction("nobody")
    with pytest.raises(NotFoundError):
        list(ledger.interactions(after_id="nobody"))
    assert erase(database, ["nobody"]) == 0


def test_two_threads_or_processes_of_one_writer_share_its_chain(database):
    for name in ("i1", "i2", "i3"):
        Ledger(database, "breeder", new_id).append(intent(name), outcome(name))
    report = Ledger(database, "breeder", new_id).verify()
    assert (report.events, report.writers, report.problems) == (6, 1, ())


@pytest.fixture
def filled(ledger) -> Ledger:
    """Five hundred interactions, three workflows, two lanes, in an order of ids that is not that of time."""
    for number in range(500):
        ledger.append(
            intent(
                f"i{number % 10}-{number}",
                when=number // 2,
                workflow=["commit-type", "log-template", None][number % 3],
                lane=[Lane.LOCAL_FAST, Lane.CLOUD_ESCALATION][number % 2],
                purpose=[Purpose.USER, Purpose.SHADOW, Purpose.TEACHER, Purpose.USER][number % 4],
            )
        )
    return ledger


def ids(found) -> list[str]:
    return [one.intent.interaction_id for one in found]


def test_listing_goes_in_time_order_over_all_pages(filled):
    found = ids(filled.interactions())
    assert found == sorted(found, key=lambda one: (int(one.split("-")[1]) // 2, one))
    assert len(set(found)) == 500
    assert ids(filled.interactions(oldest_first=False)) == found[::-1]


@pytest.mark.parametrize(
    ("wanted", "keep"),
    [
        ({"workflow": "log-template"}, lambda n: n % 3 == 1),
        ({"purposes": {Purpose.USER}}, lambda n: n % 4 in (0, 3)),
        ({"purposes": ()}, lambda _: False),
        ({"since": at(100)}, lambda n: n // 2 >= 100),
        ({"lane": Lane.LOCAL_FAST}, lambda n: n % 2 == 0),
        ({"workflow": "commit-type", "lane": Lane.LOCAL_FAST, "since": at(9)}, lambda n: n % 6 == 0 and n >= 18),
    ],
)
def test_filters_select_and_count_alike(filled, wanted, keep):
    expected = {number for number in range(500) if keep(number)}
    assert {int(one.split("-")[1]) for one in ids(filled.interactions(**wanted))} == expected
    assert filled.count(**wanted) == len(expected)


@pytest.mark.parametrize("oldest_first", [True, False])
@pytest.mark.parametrize("size", [1, 7, 200, 201])
def test_pages_join_without_gap_or_repeat(filled, oldest_first, size):
    collected: list[str] = []
    while page := ids(
        filled.interactions(after_id=collected[-1] if collected else None, limit=size, oldest_first=oldest_first)
    ):
        collected += page
        if len(collected) > 40 and size == 1:
            break
    assert collected == ids(filled.interactions(oldest_first=oldest_first))[: len(collected)]
    assert len(collected) in (41, 500)


def test_a_limit_of_none_left_reads_nothing(filled):
    assert ids(filled.interactions(limit=0)) == []
    assert len(ids(filled.interactions(limit=3))) == 3


def test_reading_keeps_one_page_in_memory(ledger):
    ledger.append(*(intent(f"i{number}", number, text="x" * 5_000) for number in range(1_500)))
    tracemalloc.start()
    seen = sum(1 for _ in ledger.interactions())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 1,500 interactions hold 15 kB each; a page of them about 3 MB, twice while it is decoded.
    assert seen == 1_500
    assert peak < 12_000_000


def test_appending_while_reading_disturbs_neither(filled):
    reader = filled.interactions()
    first = next(reader)
    filled.append(intent("late", 9_999))
    assert ids([first, *reader])[-1] == "late"


def test_erasing_leaves_facts_and_a_chain_that_verifies(ledger, database):
    secret = "the patient is called Example"
    ledger.append(
        intent(text=secret),
        replace(outcome(text=secret), error=secret, verification={"said": secret}),
        EvidenceNote("i1", at(2), EvidenceType.WEAK_ANSWER, {"answer": secret}),
        judged(FeedbackVerdict.CORRECTED, 3, corrected=secret, comment=secret),
    )
    ledger.append(intent("i2"))
    assert erase(database, ["i1"]) == 4
    assert erase(database, ["i1"]) == 0
    report = ledger.verify()
    assert (report.events, report.tombstones, report.problems) == (5, 4, ())
    left = ledger.interaction("i1")
    assert secret not in repr(left)
    assert left.outcome == replace(outcome(), response=None, verification=None)
    said = {"summary": "", "task_id": "", "session": None, "requested_model": ""}
    assert left.intent.envelope == replace(intent().envelope, **said)
    assert left.intent.decision == replace(intent().decision, local_reason="")
    assert left.erased
    assert left.feedback.verdict is FeedbackVerdict.CORRECTED
    assert ledger.interaction("i2").intent == intent("i2")


def test_erased_text_is_in_no_file_any_more(ledger, database):
    secret = "unmistakable-4711 " * 2_000
    ledger.append(intent("i0", text="kept"), intent(text=secret))
    files = [database.file, database.file.with_name("ledger.db-wal")]
    assert any(b"unmistakable-4711" in file.read_bytes() for file in files)
    erase(database, ["i1"])
    scrub(database)
    assert not any(b"unmistakable-4711" in file.read_bytes() for file in files)


def test_an_interactions_view_joins_what_people_ask_for(ledger, database):
    ledger.append(intent(), outcome(), judged(FeedbackVerdict.REJECTED, 4), judged(FeedbackVerdict.ACCEPTED, 5))
    ledger.append(intent("i2", 9))
    with database.read() as connection:
        rows = connection.execute(
            text("SELECT interaction_id, workflow, status, model, cost_usd, verdict FROM interactions ORDER BY at_utc")
        ).all()
    assert rows == [
        ("i1", "commit-type", "ok", "gpt-5.4", 0.001, "accepted"),
        ("i2", "commit-type", None, None, None, None),
    ]


def dead_process() -> ProcessMark:
    return replace(this_process(), started="another-boot:1")


def test_open_intents_of_the_dead_are_closed_as_interrupted(database):
    Ledger(database, "dead", new_id, process=dead_process()).append(intent("i1"), outcome("i1"), intent("i2"))
    Ledger(database, "alive", new_id).append(intent("i3"))
    Ledger(database, "far", new_id, process=ProcessMark("elsewhere", 1, "")).append(intent("i4"))
    ledger = Ledger(database, "restarted", new_id)
    assert [one.interaction_id for one in ledger.open_intents()] == ["i2", "i3", "i4"]
    assert ledger.close_interrupted(at(60)) == 1
    assert ledger.close_interrupted(at(61)) == 0
    ended = ledger.interaction("i2").outcome
    assert (ended.status, ended.runtime, ended.model, ended.at_utc) == (Status.INTERRUPTED, "openai", "gpt-5.4", at(60))
    assert [one.interaction_id for one in ledger.open_intents()] == ["i3", "i4"]


def test_a_named_writer_is_closed_whether_or_not_it_lives(database):
    Ledger(database, "far", new_id, process=ProcessMark("elsewhere", 1, "")).append(intent("i1"))
    Ledger(database, "alive", new_id).append(intent("i2"))
    ledger = Ledger(database, "restarted", new_id)
    assert ledger.close_interrupted(at(60), "far") == 1
    assert [one.interaction_id for one in ledger.open_intents()] == ["i2"]


def test_writer_ids_name_role_host_and_process_and_are_unique():
    mark = ProcessMark("box", 4711, "")
    first, second = new_writer_id("router", mark, new_id), new_writer_id("router", mark, new_id)
    assert first.startswith("router-box-4711-")
    assert first != second


def test_a_writer_that_lost_its_place_is_refused(database, ledger):
    """What PostgreSQL would do to two processes with one writer id: the second finds the head moved."""
    ledger.append(intent())
    with pytest.raises(LedgerError, match="wrote twice at once"), database.write() as connection:
        ledger._move_head(connection, 0, 1, "x")


def test_a_writer_whose_place_another_moved_is_refused_once_and_then_goes_on_behind_it(database):
    first, second = (Ledger(database, "same", new_id) for _ in range(2))
    first.append(intent("i1"))
    second.append(intent("i2"))
    with pytest.raises(LedgerError, match="wrote twice at once"):
        first.append(intent("i3"))

    first.append(intent("i3"), outcome("i2"))
    assert first.verify().problems == ()


def test_what_a_writer_began_it_ends_without_asking_the_database(database, ledger):
    asked = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    ledger.append(intent("i1"))
    asked.clear()
    ledger.append(outcome("i1"))
    assert not [statement for statement in asked if statement.startswith("SELECT")]

    with pytest.raises(ConflictError, match="has an outcome already"):
        ledger.append(outcome("i1"))


_ZONES = [UTC, timezone(timedelta(hours=5, minutes=30))]
_text = st.text(max_size=20)
_real = st.floats(-1e6, 1e6)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _real | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_time = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.sampled_from(_ZONES))  # noqa: DTZ001
_envelopes = st.builds(
    TaskEnvelope,
    task_id=_text,
    summary=_text,
    workflow=st.none() | _text,
    match_score=_real,
    data_class=_text,
    changed_files=st.integers(0, 99),
    in_tool_loop=st.booleans(),
    minimum_margin=_real,
    deadline_ms=st.none() | st.integers(0, 10**6),
    requested_lane=st.none() | st.sampled_from(Lane),
    session=st.none() | _text,
)
_intents = st.builds(
    Intent,
    interaction_id=st.just("i1"),
    at_utc=_time,
    purpose=st.sampled_from(Purpose),
    envelope=_envelopes,
    decision=st.sampled_from(Lane).map(decision),
    request_received=_json,
    request_sent=_json,
    client=_text,
    trust_tier=_text,
    parent_id=st.none() | _text,
    redactions=st.dictionaries(_text, st.integers(0, 99), max_size=3),
)
_outcomes = st.builds(
    Outcome,
    interaction_id=st.just("i1"),
    at_utc=_time,
    status=st.sampled_from(Status),
    runtime=_text,
    model=_text,
    response=_json,
    usage=st.none() | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6), st.just("estimate")),
    cost_usd=st.none() | _real | st.integers(0, 5),
    confidence=st.none() | _real | st.just(float("-inf")),
    verification=_json,
    error=st.none() | _text,
)


@given(_intents, st.none() | _outcomes)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_event_reads_as_it_was_recorded_and_verifies(database, begun, ended):
    name = new_id()
    begun = replace(begun, interaction_id=name)
    ended = ended and replace(ended, interaction_id=name)
    ledger = Ledger(database, "w", new_id)
    ledger.append(begun, *([ended] if ended else []))
    assert ledger.interaction(name) == Interaction(begun, ended, None, ())
    assert ledger.verify().problems == ()
