from dataclasses import replace

from breeder.mining import Terms, Tier, mine
from registry.entities import ContextCut, FeedbackVerdict, Interaction, Lane, Status
from registry.tokens import TrustTier
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


def _of(given: Interaction, *, client: str = "local", tier: str = "trusted", judge: str = "local") -> Interaction:
    feedback = replace(given.feedback, client=judge) if given.feedback else None
    return replace(given, intent=replace(given.intent, client=client, trust_tier=tier), feedback=feedback)


def _in_class(given: Interaction, **changes: object) -> Interaction:
    return replace(given, intent=replace(given.intent, envelope=replace(given.intent.envelope, **changes)))


def test_a_client_that_is_not_trusted_teaches_nothing_whoever_accepts_it():
    told = mine([_of(interaction(1, "a", verdict=FeedbackVerdict.ACCEPTED), client="web", tier="untrusted")])
    assert told.rows == ()
    assert dict(told.dropped) == {"of a client that is not trusted": 1}


def test_a_client_of_the_normal_tier_teaches_what_a_person_vouches_for():
    told = mine(
        [
            _of(interaction(1, "a"), client="ann", tier="normal"),
            _of(interaction(2, "b", verdict=FeedbackVerdict.ACCEPTED), client="ann", tier="normal"),
            _of(interaction(3, "c"), tier="user"),
        ]
    )
    assert [row.tier for row in told.rows] == [Tier.OPEN, Tier.ACCEPTED, Tier.CLOUD]


def test_trust_is_what_it_is_today():
    given = [_of(interaction(1, "a"), client="web"), _of(interaction(2, "b"), client="ann", tier="untrusted")]
    terms = Terms(tiers={"web": TrustTier.UNTRUSTED, "ann": TrustTier.TRUSTED})
    assert [row.client for row in mine(given, terms).rows] == ["ann"]


def test_a_client_that_is_not_trusted_judges_nobodys_answers():
    corrected = interaction(1, "a", "right", verdict=FeedbackVerdict.CORRECTED, corrected="poison")
    given = [_of(corrected, judge="web"), _of(interaction(2, "b", verdict=FeedbackVerdict.REJECTED), judge="web")]
    told = mine(given, Terms(tiers={"web": TrustTier.UNTRUSTED}))
    assert [(row.answer, row.tier) for row in told.rows] == [("right", Tier.CLOUD), ("yes", Tier.CLOUD)]


def test_a_normal_client_may_reject_and_vouches_for_nothing():
    corrected = interaction(1, "a", "right", verdict=FeedbackVerdict.CORRECTED, corrected="poison")
    accepted = _of(interaction(2, "b", verdict=FeedbackVerdict.ACCEPTED), client="ci", tier="normal", judge="ci")
    rejected = _of(interaction(3, "c", verdict=FeedbackVerdict.REJECTED), judge="ci")
    told = mine([_of(corrected, judge="ci"), accepted, rejected], Terms(tiers={"ci": TrustTier.NORMAL}))
    assert [row.tier for row in told.rows] == [Tier.CLOUD, Tier.OPEN, Tier.OPEN]


def test_what_must_stay_by_todays_policy_is_not_mined_whichever_lane_it_took():
    given = [
        _in_class(interaction(1, "a"), data_class="client"),
        _in_class(interaction(2, "b"), contains_customer_data=True),
        _in_class(interaction(3, "c"), data_class="code"),
    ]
    told = mine(given, Terms(local_only=frozenset({"client"})))
    assert [(row.prompt.user, row.data_class) for row in told.rows] == [("c", "code")]
    assert dict(told.dropped) == {"must stay on this machine, so no cloud can be its baseline": 2}


def test_what_tools_say_and_what_is_said_beside_their_calls_is_never_a_target():
    call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    asked = {"role": "user", "content": "q"}
    looked = [
        asked,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "page", "tool_call_id": "c"},
    ]
    answer = {"choices": [{"message": {"content": "I look", "tool_calls": [call]}}]}
    calling = interaction(2, "b")
    calling = replace(calling, outcome=replace(calling.outcome, response=answer))
    retrieved = interaction(3, messages=[asked, {"role": "function", "name": "read", "content": "page"}])
    block = {"type": "tool_result", "tool_use_id": "c", "content": "page"}
    anthropic = interaction(4, messages=[{"role": "user", "content": [block]}])
    anthropic = replace(anthropic, intent=replace(anthropic.intent, surface="anthropic.messages"))
    told = mine([interaction(1, messages=looked), calling, retrieved, anthropic])

    assert told.rows == ()
    assert dict(told.dropped) == {"not a single turn of text": 3, "no text in the answer": 1}
