"""Censored times: the estimator against plain quantiles, against a case from the literature, and the tests of difference against counting."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import stats
from harness.search.censored import (
    MEDIAN,
    P90,
    Time,
    holm,
    left_at,
    log_rank,
    quantile,
    sign_test,
    survival,
)

DRUG: list[Time] = [
    *((weeks, True) for weeks in (6, 6, 6, 7, 10, 13, 16, 22, 23)),
    *((weeks, False) for weeks in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)),
]
PLACEBO: list[Time] = [
    (weeks, True) for weeks in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)
]
"""Weeks of remission of 42 children with leukaemia: Freireich and others, Blood 1963, an example of every textbook since."""

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)
times = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=20)


@given(lengths, st.sampled_from((MEDIAN, P90, Fraction(1, 4), Fraction(1))))
def test_without_censoring_it_is_the_plain_quantile(found: list[int], share: Fraction) -> None:
    assert quantile([(each, True) for each in found], share) == stats.quantile(sorted(found), float(share))


@given(times, st.integers(0, 13))
def test_the_share_left_is_at_least_what_is_left_if_every_ended_sweep_had_found(
    ended: list[Time], at: int
) -> None:
    least = Fraction(sum(each > at for each, _ in ended), len(ended))
    most = Fraction(sum(each > at or not found for each, found in ended), len(ended))
    assert least <= left_at(survival(ended), at) <= most


def test_the_textbook_case() -> None:
    steps = {at: round(float(left), 3) for at, left in survival(DRUG)}
    assert steps == {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.69, 16: 0.627, 22: 0.538, 23: 0.448}
    assert (quantile(DRUG, MEDIAN), quantile(PLACEBO, MEDIAN)) == (23, 8)
    assert quantile(DRUG, P90) is None, "less than nine tenths were seen to relapse"
    found = log_rank([(DRUG, PLACEBO)])
    assert (found.observed, round(found.expected, 2), round(found.variance, 4)) == (9, 19.25, 6.2570)
    assert found.p == pytest.approx(4.17e-5, rel=0.01)
    low, high = found.interval
    assert low < found.rate_ratio < high < 1


@given(st.lists(st.tuples(times, times), max_size=4))
def test_the_other_way_round_the_log_rank_test_says_the_opposite(
    strata: list[tuple[list[Time], list[Time]]],
) -> None:
    there, back = log_rank(strata), log_rank([(second, first) for first, second in strata])
    assert there.observed - there.expected == pytest.approx(back.expected - back.observed)
    assert (there.variance, there.p) == (pytest.approx(back.variance), pytest.approx(back.p))


def test_strata_are_compared_within_themselves() -> None:
    easy, hard = [(1.0, True)] * 3, [(9.0, True)] * 3
    assert log_rank([(easy, easy), (hard, hard)]).p == 1
    assert log_rank([(easy, hard)]).p < 0.05


def test_with_no_finding_nothing_is_said() -> None:
    found = log_rank([([(5, False)], [(7, False)])])
    assert (found.p, found.rate_ratio) == (1, 1)


def test_a_pair_counts_only_if_it_is_sure_which_was_sooner() -> None:
    first, second = (1, True), (2, True)
    ended = (1, False)
    pairs = [
        (first, second),
        (first, ended),
        (first, first),
        (ended, second),
        (ended, ended),
        (second, ended),
    ]
    assert sign_test(pairs)[:2] == (2, 0)
    assert sign_test([(late, early) for early, late in pairs])[:2] == (0, 2)


@pytest.mark.parametrize("ahead", range(7))
def test_the_chance_is_that_of_a_coin(ahead: int) -> None:
    pairs: list[tuple[Time, Time]] = [((1, True), (2, True))] * ahead + [((2, True), (1, True))] * (6 - ahead)
    as_uneven = [sum(toss) for toss in product((0, 1), repeat=6)]
    share = sum(abs(heads - 3) >= abs(ahead - 3) for heads in as_uneven) / 64
    assert sign_test(pairs) == (ahead, 6 - ahead, share)


def test_of_many_tests_the_least_must_be_smaller() -> None:
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert corrected == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}
