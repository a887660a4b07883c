from dataclasses import replace

from breeder.mining import Tier, mine
from registry.entities import ContextCut, FeedbackVerdict, Interaction, Lane, Status
from tests.breeder.makers import interaction


def test_a_correction_outranks_an_acceptance_which_outranks_the_clouds_word():
    told = mine(
        [
            interaction(1, "a", "cloud"),
            interaction(2, "a", "liked", verdict=FeedbackVerdict.ACCEPTED),
            interaction(3, "b", "wrong", verdict=FeedbackVerdict.CORRECTED, corrected="right"),
            interaction(4, "b", "newer but unjudged"),
        ]
    )
    assert [(row.prompt.user, row.answer, row.tier) for row in told.rows] == [
        ("a", "liked", Tier.ACCEPTED),
        ("b", "right", Tier.CORRECTED),
    ]


def test_every_interaction_is_a_row_or_has_a_reason():
    told = mine(
        [
            interaction(1, "kept"),
            interaction(4, "z", status=Status.TRUNCATED),
            interaction(5, "e", answer=" "),
            interaction(6, messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
        ]
    )
    assert len(told.rows) == 1
    assert dict(told.dropped) == {
        "no complete answer (truncated)": 1,
        "no text in the answer": 1,
        "not a single turn of text": 1,
    }


def test_a_specialists_own_answer_is_a_target_only_when_accepted():
    told = mine(
        [
            interaction(1, "y", "mine", lane=Lane.LOCAL_FAST, verdict=FeedbackVerdict.ACCEPTED),
            interaction(2, "z", "mine", lane=Lane.LOCAL_FAST),
            interaction(3, "x", "bad", verdict=FeedbackVerdict.REJECTED),
        ]
    )
    assert [row.tier for row in told.rows] == [Tier.ACCEPTED, Tier.OPEN, Tier.OPEN]


def test_the_clouds_answer_to_less_than_the_whole_task_is_a_target_only_when_a_person_vouches_for_it():
    told = mine(
        [
            _cut(interaction(1, "y", "guessed")),
            _cut(interaction(2, "z", "looked at", verdict=FeedbackVerdict.ACCEPTED)),
            interaction(3, "x", "knew all"),
        ]
    )
    assert [row.tier for row in told.rows] == [Tier.OPEN, Tier.ACCEPTED, Tier.CLOUD]


def _cut(given: Interaction) -> Interaction:
    decision = replace(given.intent.decision, context=ContextCut(2, 0, 9_000, 700))
    return replace(given, intent=replace(given.intent, decision=decision))


def test_rows_come_oldest_first_whatever_the_order_of_reading():
    told = mine([interaction(3, "c"), interaction(1, "a"), interaction(2, "b")])
    assert [row.prompt.user for row in told.rows] == ["a", "b", "c"]


def test_the_newest_of_equally_good_rows_for_one_prompt_is_kept():
    told = mine([interaction(1, "a", "old"), interaction(2, "a", "new")])
    assert [row.answer for row in told.rows] == ["new"]
    assert sum(told.dropped.values()) == 1


def test_what_must_stay_on_the_machine_is_not_mined_because_the_cloud_would_be_its_baseline():
    told = mine([interaction(1, "secret", lane=Lane.LOCAL_PRIVATE, verdict=FeedbackVerdict.ACCEPTED)])
    assert told.rows == ()
    assert dict(told.dropped) == {"must stay on this machine, so no cloud can be its baseline": 1}
