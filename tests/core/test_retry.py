"""The waits of every policy, as its docstring tells them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowzz.jobs.retry import (
    DEFAULT_RETRY,
    Custom,
    Exponential,
    Fixed,
    Linear,
    Listed,
    NoRetry,
    RetryPolicy,
    RetryRules,
)


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
        (Custom(lambda failed, error: s(2)), [2, 2]),
        (Custom(lambda failed, error: s(failed), attempts=4, cap=s(2)), [1, 2, 2]),
        (DEFAULT_RETRY, [1, 2]),
    ],
)
def test_the_waits_are_those_of_the_docstring(policy: RetryPolicy, waits: list[float]) -> None:
    decisions = [policy.decide(failed) for failed in range(1, policy.attempts + 1)]
    assert [decision.delay for decision in decisions] == [*map(s, waits), None]
    assert policy.attempts == len(waits) + 1


@given(failed=st.integers(1, 99), jitter=st.floats(0, 1))
def test_jitter_spreads_waits_never_shortens_one_and_at_most_doubles_it(failed: int, jitter: float) -> None:
    plain = Exponential(attempts=100).decide(failed).delay
    spread = [Exponential(attempts=100, jitter=jitter).decide(failed).delay for _ in range(3)]
    assert plain is not None
    assert all(delay is not None and plain <= delay <= 2 * plain for delay in spread)
    assert jitter < 0.001 or len(set(spread)) > 1


class UpstreamError(Exception):
    """An upstream failed."""


class Busy(UpstreamError):
    """An upstream has no time."""


RULES = RetryRules(
    Exponential(attempts=3, delay=s(1)),
    {UpstreamError: Fixed(attempts=5, delay=s(60)), ValueError: NoRetry(), KeyError: Fixed(attempts=2, delay=s(7))},
)


@pytest.mark.parametrize(
    ("error", "attempts", "waits"),
    [
        (RuntimeError(), RULES.attempts, [1, 2]),
        (UpstreamError(), RULES.attempts, [60, 60, 60, 60]),
        (Busy(), RULES.attempts, [60, 60, 60, 60]),
        (ValueError(), RULES.attempts, []),
        (UnicodeDecodeError("utf-8", b"", 0, 1, ""), RULES.attempts, []),
        (KeyError(), RULES.attempts, [7]),
        (RuntimeError(), 4, [1, 2, 4]),
        (UpstreamError(), 3, [60, 60]),
        (ValueError(), 9, []),
    ],
)
def test_the_error_picks_the_policy_and_nobody_goes_beyond_what_a_caller_asked_for(
    error: Exception, attempts: int, waits: list[float]
) -> None:
    decisions = [RULES.decide(error, failed, attempts) for failed in range(1, len(waits) + 2)]
    assert [decision.delay for decision in decisions] == [*map(s, waits), None]


def test_a_job_has_as_many_attempts_as_the_most_patient_of_its_policies() -> None:
    assert RULES.attempts == 5


def test_a_custom_policy_sees_the_error_and_may_stop() -> None:
    policy = Custom(lambda failed, error: None if isinstance(error, ValueError) else s(3))
    assert policy.decide(1, error=ValueError()).is_last
    assert policy.decide(1, error=KeyError()).delay == s(3)


def test_a_custom_policy_that_gives_no_time_is_told_so() -> None:
    with pytest.raises(TypeError, match="expected a Custom retry policy to give a timedelta or None, got 5"):
        Custom(lambda failed, error: 5).decide(1)  # type: ignore[arg-type,return-value]


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="attempts"):
        Exponential(attempts=0)
    with pytest.raises(ValueError, match="jitter"):
        Fixed(jitter=2)
