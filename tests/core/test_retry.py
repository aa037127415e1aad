"""The waits of every policy, as its docstring tells them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowzz.jobs.retry import DEFAULT_RETRY, Exponential, Fixed, Linear, Listed, NoRetry, RetryPolicy


def s(value: float) -> timedelta:
    return timedelta(seconds=value)


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (Exponential(attempts=5, delay=s(1)), [1, 2, 4, 8]),
        (Exponential(attempts=5, delay=s(1), cap=s(3)), [1, 2, 3, 3]),
        (Linear(attempts=4, delay=s(10)), [10, 20, 30]),
        (Fixed(attempts=3, delay=s(5)), [5, 5]),
        (Listed(delays=(s(1), s(60))), [1, 60]),
        (NoRetry(), []),
        (DEFAULT_RETRY, [1, 2]),
    ],
)
def test_the_waits_are_those_of_the_docstring(policy: RetryPolicy, waits: list[float]) -> None:
    decisions = [policy.decide(failed) for failed in range(1, policy.attempts + 1)]
    assert [decision.delay for decision in decisions] == [*map(s, waits), None]
    assert policy.attempts == len(waits) + 1


@given(failed=st.integers(1, 99), jitter=st.floats(0, 1))
def test_jitter_never_shortens_a_wait_and_at_most_doubles_it(failed: int, jitter: float) -> None:
    plain = Exponential(attempts=100).decide(failed).delay
    spread = Exponential(attempts=100, jitter=jitter).decide(failed).delay
    assert plain is not None
    assert spread is not None
    assert plain <= spread <= 2 * plain


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="attempts"):
        Exponential(attempts=0)
    with pytest.raises(ValueError, match="jitter"):
        Fixed(jitter=2)
