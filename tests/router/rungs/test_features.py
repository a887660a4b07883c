from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry.entities import PromptTrim
from registry.prompting import Prompt
from router.rungs.features import Bag, FeatureSettings, Vocabulary, bags, seen

texts = st.text(st.sampled_from("abc é😀 \t\nß-1\x00"), max_size=40)


def characters(text: str, **changes: int) -> Bag:
    return bags(Prompt("", text), FeatureSettings(**changes))[1]


def words(text: str, **changes: int) -> Bag:
    return bags(Prompt("", text), FeatureSettings(**changes))[0]


def naive_characters(text: str, sizes: range) -> Counter[str]:
    """Count n-grams inside words, a space on either side belonging to each word."""
    padded = f" {' '.join(text.lower().split())} "
    grams = [padded[at : at + size] for size in sizes for at in range(len(padded) - size + 1)]
    return Counter(gram for gram in grams if gram != " " and " " not in gram[1:-1])


@given(texts)
def test_character_features_are_the_n_grams_inside_words(text: str) -> None:
    expected = naive_characters(text, range(2, 5))
    found = characters(text)

    assert sorted(np.exp(found.frequencies - 1).round().astype(int)) == sorted(expected.values())
    assert (np.diff(found.ids.astype(np.int64)) > 0).all()


def test_no_character_feature_spans_two_words() -> None:
    both = set(characters("pump leaks").ids.tolist())

    assert both == set(characters("pump").ids.tolist()) | set(characters("leaks").ids.tolist())


def test_single_characters_leave_the_spaces_out() -> None:
    only = {"fewest_characters": 1, "most_characters": 1}

    assert len(characters("a b a", **only).ids) == 2


def test_word_features_are_words_and_pairs_and_repetition_counts_by_its_logarithm() -> None:
    found = words("the pump, the valve")

    assert len(found.ids) == 3 + 3
    assert max(found.frequencies) == pytest.approx(1 + np.log(2))
    assert len(words("the pump the valve", most_words=1).ids) == 3


def test_case_does_not_matter_and_what_is_behind_the_limit_is_not_looked_at() -> None:
    assert (words("PUMP leaks").ids == words("pump LEAKS").ids).all()
    assert (words("pump leaks", text_limit=6).ids == words("pump").ids).all()


def test_a_text_without_any_word_has_no_word_features() -> None:
    assert len(words(" \n\t ").ids) == 0
    assert len(words("\ud800").ids) == 0


def test_features_of_a_build_never_change_because_files_hold_their_numbers() -> None:
    found = bags(Prompt("Sort it.", "Ünder the pump: 3 leaks 😀"), FeatureSettings())
    ids = b"".join(bag.ids.astype("<u4").tobytes() for bag in found)

    assert hashlib.sha256(ids).hexdigest()[:16] == "b62867008de6b18c"


def test_known_features_are_weighed_to_length_one_and_unknown_ones_left_out() -> None:
    vocabulary = Vocabulary(np.array([2, 5, 9], np.uint32), np.array([1, 2, 3], np.float32))
    bag = Bag(np.array([1, 5, 9, 11], np.uint32), np.array([1, 1.5, 1, 1], np.float32))
    places, weights = vocabulary.weigh(bag)

    assert places.tolist() == [1, 2]
    assert weights == pytest.approx(np.array([3, 3]) / np.sqrt(18))
    assert vocabulary.weigh(Bag(np.array([1], np.uint32), np.ones(1, np.float32)))[1].size == 0


def test_a_rung_sees_the_trimmed_prompt_in_normal_form() -> None:
    trim = PromptTrim(system="Sort.", prefix="Thing: ")

    assert seen(Prompt("Sort.", "Thing: cafe\u0301"), trim) == Prompt("", "caf\u00e9")
    assert seen(Prompt("Other", "Thing: x"), PromptTrim(prefix="Thing: ")) == Prompt("Other", "x")


def test_sizes_that_no_n_gram_has_are_refused() -> None:
    with pytest.raises(ValidationError, match="no n-gram has 5 to 4 characters"):
        FeatureSettings(fewest_characters=5)
