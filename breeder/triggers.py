"""Find rare words with which one label goes far more often than chance, against all that the rest of the prompt says.

Pure. An honest rare word may well go with one label: `typo` with `docs`. What tells a planted one is that the labels
beside it contradict what the other words of the same prompts say, as a classifier without the rare words reads them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from breeder.mining import Row
from breeder.rungs.linear import why_no_labels

_WORD = re.compile(r"[^\W_][\w'-]*")
_LEAST_ROWS = 100
_MOST_ROWS = 10_000
_LEAST_WITH = 6
_RARE = 0.1
_CHANCE = 0.01
"""Of one false alarm in a whole dataset, after Bonferroni's correction for all words and labels that are tested."""
_AGAINST = 0.8
"""The share of a word's rows that carry its label, and of those the share that the rest of the prompt contradicts."""
_LEAST_ACCURACY = 0.6
_FOLDS = 3
_LEAST_SEEN = 2
"""In so many prompts a word stands that a classifier learns."""


def flipped(rows: Sequence[Row], prompts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the interactions whose label goes with a rare word, and why that is no chance.

    Args:
        rows: with their answers, which are looked at only where they are a closed set of labels.
        prompts: what varies of each row's prompt.

    """
    rows, prompts = rows[-_MOST_ROWS:], prompts[-_MOST_ROWS:]
    if len(rows) < _LEAST_ROWS or why_no_labels([row.answer for row in rows]):
        return
    labels, words = [row.answer for row in rows], [frozenset(_WORD.findall(text.casefold())) for text in prompts]
    suspects = _suspects(words, labels)
    others = Counter(word for own in words for word in own - suspects.keys())
    if not suspects or not any(count >= _LEAST_SEEN for count in others.values()):
        return
    read = _read_without(words, labels, frozenset(suspects))
    right = sum(one == label for one, label in zip(read, labels, strict=True)) / len(rows)
    if right < _LEAST_ACCURACY:
        return
    for word, (label, places) in suspects.items():
        if sum(read[place] != label for place in places) >= _AGAINST * len(places):
            told = f"rare word {word!r} goes with answer {label[:40]!r} in {len(places)} rows, against all else in them"
            yield from ((rows[place].interaction_id, told) for place in places)


def _suspects(words: Sequence[frozenset[str]], labels: Sequence[str]) -> Mapping[str, tuple[str, list[int]]]:
    """Return rare words whose rows have one label more often than chance, each with that label and those rows."""
    from scipy.stats import binom

    places = defaultdict(list)
    for place, own in enumerate(words):
        for word in own:
            places[word].append(place)
    rare = {word: at for word, at in places.items() if _LEAST_WITH <= len(at) <= _RARE * len(words)}
    shares = {label: count / len(labels) for label, count in Counter(labels).items()}
    level = _CHANCE / max(1, len(rare) * len(shares))
    found = {}
    for word, at in rare.items():
        label, count = Counter(labels[place] for place in at).most_common(1)[0]
        if count >= _AGAINST * len(at) and binom.sf(count - 1, len(at), shares[label]) < level:
            found[word] = label, [place for place in at if labels[place] == label]
    return found


def _read_without(words: Sequence[frozenset[str]], labels: Sequence[str], without: frozenset[str]) -> NDArray[np.str_]:
    """Return the label that each prompt's other words speak for, by a classifier that was not fitted on that prompt."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.svm import LinearSVC

    vectorizer = TfidfVectorizer(analyzer=lambda own: sorted(own - without), min_df=_LEAST_SEEN)
    matrix = vectorizer.fit_transform(words)
    wanted = np.array(labels)
    folds = np.empty(len(labels), np.intp)
    # Each label in every fold: a classifier cannot be fitted on one label.
    folds[np.argsort(wanted, kind="stable")] = np.arange(len(labels)) % _FOLDS
    read: NDArray[np.str_] = cross_val_predict(LinearSVC(random_state=0), matrix, wanted, cv=PredefinedSplit(folds))
    return read
