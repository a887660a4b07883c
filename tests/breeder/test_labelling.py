import math

from breeder.labelling import LocalAnswer, label, pair
from breeder.mining import Tier
from tests.breeder.makers import row


def test_a_judged_task_keeps_the_persons_answer_and_scores_only_fresh_samples():
    task = label(row(1, answer="right", tier=Tier.CORRECTED), ["right", "wrong"], "text")
    assert (task.reference, task.cloud_score) == ("right", 0.5)


def test_an_unjudged_task_takes_what_two_samples_agree_on():
    task = label(row(1, answer="odd"), ["same", "same"], "text")
    assert (task.reference, task.cloud_score) == ("same", 1.0)


def test_without_agreement_there_is_no_reference_and_no_pair():
    task = label(row(1, answer="a"), ["b", "c"], "text")
    assert task.reference is None
    assert pair([task], [LocalAnswer("a", 0.0, 1, 1, 0.1)], "text", -1.0) == []


def test_served_means_confidence_at_or_above_the_threshold():
    task = label(row(1, answer="a", tier=Tier.ACCEPTED), ["a"], "text")
    confidences = [-0.1, -0.2, -0.3, -math.inf]
    pairs = pair([task] * 4, [LocalAnswer("a", each, 1, 1, 0.1) for each in confidences], "text", -0.2)
    assert [one.served for one in pairs] == [True, True, False, False]


def test_an_untrusted_answer_has_no_vote():
    task = label(row(1, answer="a", tier=Tier.OPEN), ["a", "b"], "text")
    assert task.reference is None
