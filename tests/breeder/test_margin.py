"""The margin: exact where an exact answer exists, valid under simulation, and monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from breeder.margin import independent_tasks, look_alpha, look_of, paired_lower_bound, paired_upper_bound
from registry.errors import DataError

differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1 / 3, 1.0]), min_size=1, max_size=40)
alphas = st.floats(0.001, 0.45)
_SAME = 2e-6


def _at_most(chance: float, times: int) -> float:
    """Return how often an event of this chance may happen before two standard errors are passed."""
    return float(chance * times + 2 * np.sqrt(times * chance * (1 - chance)))


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.0125, 1e-4])
@pytest.mark.parametrize(("n", "losses"), [(5, 0), (20, 0), (59, 0), (100, 3), (300, 40), (3000, 7)])
def test_losses_alone_give_the_exact_binomial_bound(n: int, losses: int, alpha: float) -> None:
    """Clopper and Pearson's bound, of which the rule of three is the case without a loss."""
    bound = paired_lower_bound([-1.0] * losses + [0.0] * (n - losses), None, alpha)

    assert bound == pytest.approx(-stats.beta.isf(alpha, losses + 1, n - losses), abs=_SAME)


def test_zero_discordance_is_not_a_bound_of_zero() -> None:
    """58 ties cannot show a margin of -0.05 at 95 %, 59 can."""
    assert paired_lower_bound([0.0] * 58, None, 0.05) < -0.05 <= paired_lower_bound([0.0] * 59, None, 0.05)


def test_the_bound_is_the_quantile_of_the_weighted_mean() -> None:
    """Drawing the Dirichlet weights gives what the inversion computes, for fractions in clusters too."""
    values, sizes = np.array([0.4, -1.5, 1.0, 0.0, 2.0, -0.3]), np.array([1.0, 2.0, 1.0, 1.0, 2.0, 3.0])
    added = (sizes**2).sum() / sizes.sum()
    weights = default_rng(1).exponential(size=(200_000, 7))
    means = weights @ np.append(values, -added) / (weights @ np.append(sizes, added))
    tasks = np.repeat(values / sizes, sizes.astype(int))
    clusters = np.repeat(np.arange(6), sizes.astype(int))

    bound = paired_lower_bound(tasks.tolist(), clusters.tolist(), 0.1)

    assert bound == pytest.approx(np.quantile(means, 0.1), abs=0.005)


@pytest.mark.parametrize(
    ("n", "delta", "alpha"),
    [(20, 0.1, 0.05), (60, 0.05, 0.05), (100, 0.05, 0.05), (100, 0.05, 0.0125), (150, 0.05, 0.025), (150, 0.02, 0.05)],
)
def test_false_passes_stay_under_alpha_by_enumeration(n: int, delta: float, alpha: float) -> None:
    """Over every (wins, losses) of the null mean -delta, whatever share of tasks is won."""
    most = _most_losses(n, delta, alpha)

    for win_chance in (0.0, 0.005, 0.02, 0.05, 0.1):
        assert _pass_chance(most, n, win_chance, win_chance + delta) <= alpha


def test_a_good_specialist_passes_on_enough_tasks() -> None:
    """Power at a minimum margin of -0.05 against a cloud of 95 %, errors independent."""
    at_80, at_150 = _most_losses(80, 0.05, 0.05), _most_losses(150, 0.05, 0.05)

    assert _pass_chance(at_80, 80, 0.99 * 0.05, 0.01 * 0.95) > 0.9
    assert _pass_chance(at_150, 150, 0.97 * 0.05, 0.03 * 0.95) > 0.85


def _most_losses(n: int, delta: float, alpha: float, wins_below: int | None = None) -> list[int]:
    """Return, for each number of wins below n // 3, the most losses that still pass (-1: none); it grows with wins."""
    most: list[int] = []
    losses = -1
    for wins in range(wins_below or n // 3):
        while losses + 1 + wins <= n:
            tasks = [1.0] * wins + [-1.0] * (losses + 1) + [0.0] * (n - wins - losses - 1)
            if paired_lower_bound(tasks, None, alpha) < -delta:
                break
            losses += 1
        most.append(losses)
    return most


def _pass_chance(most: list[int], n: int, win_chance: float, loss_chance: float) -> float:
    wins = np.arange(len(most))
    losses = stats.binom.cdf(most, n - wins, loss_chance / (1 - win_chance))
    return float((stats.binom.pmf(wins, n, win_chance) * losses).sum())


@pytest.mark.parametrize("repeats", [1, 3])
def test_fractional_cloud_scores_keep_alpha(repeats: int) -> None:
    """The cloud's score is the mean over repeats; the specialist is worse by exactly the minimum margin."""
    rng = default_rng(3)
    false = 0
    for _ in range(200):
        cloud = rng.binomial(repeats, 0.95, 80) / repeats
        specialist = rng.random(80) < 0.90
        false += paired_lower_bound((specialist - cloud).tolist(), None, 0.05) >= -0.05

    assert false <= _at_most(0.05, 200)


@pytest.mark.parametrize("agreement", [0.5, 1.0])
def test_sessions_of_uneven_size_keep_alpha(agreement: float) -> None:
    """Tasks of a session succeed and fail together to some degree; ignoring that would pass far too often."""
    rng = default_rng(4)
    clustered = ignored = 0
    for _ in range(120):
        clusters = np.repeat(np.arange(80), rng.geometric(0.25, 80))
        shared, own = rng.random(80)[clusters], rng.random(clusters.size)
        together = (rng.random(80) < agreement)[clusters]
        tasks = -(np.where(together, shared, own) < 0.1).astype(float)
        clustered += paired_lower_bound(tasks.tolist(), clusters.tolist(), 0.05) >= -0.1
        ignored += paired_lower_bound(tasks.tolist(), None, 0.05) >= -0.1

    assert clustered <= _at_most(0.05, 120)
    assert ignored > 2 * clustered


def test_ten_looks_at_a_growing_holdout_spend_alpha_once() -> None:
    """Each null workflow may be promoted at any of ten looks at overlapping tasks; at full alpha each, too many are."""
    sizes = range(60, 160, 10)
    tasks = default_rng(5).choice([1, 0, -1], p=[0.02, 0.91, 0.07], size=(4000, sizes[-1]))

    def promoted(alphas: list[float]) -> float:
        passed = np.zeros(len(tasks), dtype=bool)
        for n, alpha in zip(sizes, alphas, strict=True):
            most = np.array(_most_losses(n, 0.05, alpha, wins_below=15))
            passed |= (tasks[:, :n] == -1).sum(1) <= most[(tasks[:, :n] == 1).sum(1)]
        return float(passed.mean())

    assert promoted([look_alpha(0.05, look) for look in range(10)]) <= 0.05
    assert promoted([0.05] * 10) > 0.05


def test_alpha_of_all_looks_sums_to_alpha() -> None:
    """Half of what is left goes to each look."""
    assert look_alpha(0.05, 0) == 0.025
    assert sum(look_alpha(0.05, look) for look in range(60)) <= 0.05


@given(differences, alphas, alphas)
@settings(max_examples=40)
def test_a_smaller_alpha_never_gives_a_higher_bound(values: list[float], one: float, other: float) -> None:
    """And every bound lies in [-1, 1] and not above the best difference."""
    strict, loose = (paired_lower_bound(values, None, alpha) for alpha in sorted((one, other)))

    assert -1 <= strict <= loose <= max(values)


@given(differences, st.integers(0, 1000), alphas)
@settings(max_examples=40)
def test_the_order_of_tasks_does_not_matter(values: list[float], seed: int, alpha: float) -> None:
    """Nor do the names of clusters."""
    clusters = [index // 3 for index in range(len(values))]
    order = default_rng(seed).permutation(len(values))
    mixed = paired_lower_bound([values[i] for i in order], [f"session {clusters[i]}" for i in order], alpha)

    assert mixed == pytest.approx(paired_lower_bound(values, clusters, alpha), abs=_SAME)


@given(differences, st.integers(2, 5), alphas)
@settings(max_examples=40)
def test_repeating_a_task_within_its_cluster_adds_no_evidence(values: list[float], times: int, alpha: float) -> None:
    """Copies without clusters would."""
    copies = [value for value in values for _ in range(times)]
    clusters = [index for index in range(len(values)) for _ in range(times)]

    assert paired_lower_bound(copies, clusters, alpha) == pytest.approx(
        paired_lower_bound(values, None, alpha), abs=_SAME
    )


@given(differences, st.integers(0, 39), alphas)
@settings(max_examples=40)
def test_a_better_answer_never_lowers_the_bound(values: list[float], place: int, alpha: float) -> None:
    """One task improved to a win."""
    better = [1.0 if index == place else value for index, value in enumerate(values)]

    assert paired_lower_bound(better, None, alpha) >= paired_lower_bound(values, None, alpha) - _SAME


@given(differences, alphas)
@settings(max_examples=40)
def test_lower_and_upper_bound_enclose_the_mean(values: list[float], alpha: float) -> None:
    """Swapping specialist and cloud swaps the bounds."""
    mean = sum(values) / len(values)

    assert paired_lower_bound(values, None, alpha) <= mean <= paired_upper_bound(values, None, alpha)


def test_a_task_without_a_session_is_its_own_cluster() -> None:
    """None is not one big session."""
    tasks = [0.0] * 10

    assert paired_lower_bound(tasks, [None] * 10, 0.05) == paired_lower_bound(tasks, None, 0.05)
    assert independent_tasks([None] * 10) == 10
    assert independent_tasks(["a"] * 5 + ["b"] * 5) == 2
    assert independent_tasks([]) == 0


def test_no_task_is_no_evidence() -> None:
    """The widest bounds, not an error."""
    assert (paired_lower_bound([], None, 0.05), paired_upper_bound([], [], 0.05)) == (-1, 1)


@pytest.mark.parametrize("wrong", [1.5, -2.0, float("nan")])
def test_a_difference_outside_the_scale_is_refused(wrong: float) -> None:
    """The bound holds for bounded scores only."""
    with pytest.raises(DataError, match=r"scores must lie in \[0, 1\]"):
        paired_lower_bound([0.0, wrong], None, 0.05)


@given(alpha=alphas, look=st.integers(0, 200))
def test_what_a_look_spent_tells_which_look_it_was(alpha: float, look: int) -> None:
    assert look_of(alpha, look_alpha(alpha, look)) == look
