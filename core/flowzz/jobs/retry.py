"""Retry policies: how long to wait before the next attempt, or that there is none.

A policy is a value. ``decide(failed_attempts)`` answers for the number of attempts that have failed so far,
1 after the first run. ``attempts`` counts every run, so ``attempts=3`` means one run and two retries.

    Exponential(attempts=5, delay=1 s)            1 s, 2 s, 4 s, 8 s, stop
    Exponential(attempts=5, delay=1 s, cap=3 s)   1 s, 2 s, 3 s, 3 s, stop
    Linear(attempts=4, delay=10 s)                10 s, 20 s, 30 s, stop
    Fixed(attempts=3, delay=5 s)                  5 s, 5 s, stop
    Listed(delays=(1 s, 1 min))                   1 s, 60 s, stop
    NoRetry()                                     stop
    Custom(lambda failed, error: 2 s)             2 s, 2 s, stop

``RetryRules`` picks the policy by the error: the one of its class, else of its nearest base class, else the job's own.

``jitter`` (0 to 1, default 0) adds a random part of up to that share on top; it never shortens a wait.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """Wait ``delay``, then run again; ``None`` where the attempts are used up."""

    delay: timedelta | None

    @property
    def is_last(self) -> bool:
        return self.delay is None


STOP = RetryDecision(None)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy(ABC):
    """How often a job runs and how long it waits between runs."""

    attempts: int = 3
    jitter: float = 0.0
    cap: timedelta | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"expected attempts to be 1 or more, got {self.attempts}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"expected jitter to be between 0 and 1, got {self.jitter}")

    @abstractmethod
    def wait(self, failed_attempts: int) -> timedelta:
        """The wait after ``failed_attempts`` failures, before jitter and cap."""

    def wait_for(self, error: BaseException | None, failed_attempts: int) -> timedelta | None:
        """The same for a certain error; None to stop here."""
        return self.wait(failed_attempts)

    def decide(
        self, failed_attempts: int, attempts: int | None = None, error: BaseException | None = None
    ) -> RetryDecision:
        """What to do after ``failed_attempts`` failures (1 or more); ``attempts`` stands in for the policy's own."""
        if failed_attempts >= (self.attempts if attempts is None else attempts):
            return STOP
        delay = self.wait_for(error, failed_attempts)
        if delay is None:
            return STOP
        if self.cap is not None:
            delay = min(delay, self.cap)
        if self.jitter:
            delay += delay * self.jitter * random.random()  # noqa: S311 - spreads load, guards nothing
        return RetryDecision(delay)


@dataclass(frozen=True, kw_only=True)
class Exponential(RetryPolicy):
    """``delay × 2 ** (failed attempts - 1)``: with 1 s that is 1 s, 2 s, 4 s …; the default cap is one day."""

    delay: timedelta = timedelta(seconds=1)
    cap: timedelta | None = timedelta(days=1)

    def wait(self, failed_attempts: int) -> timedelta:
        factor: int = 2 ** min(failed_attempts - 1, 32)
        return self.delay * factor


@dataclass(frozen=True, kw_only=True)
class Linear(RetryPolicy):
    """``delay × failed attempts``."""

    delay: timedelta = timedelta(seconds=1)

    def wait(self, failed_attempts: int) -> timedelta:
        return self.delay * failed_attempts


@dataclass(frozen=True, kw_only=True)
class Fixed(RetryPolicy):
    """The same ``delay`` every time."""

    delay: timedelta = timedelta(seconds=1)

    def wait(self, failed_attempts: int) -> timedelta:
        return self.delay


@dataclass(frozen=True, kw_only=True)
class Listed(RetryPolicy):
    """One wait a retry, in order; ``attempts`` follows from their number, and the last wait serves any beyond."""

    delays: tuple[timedelta, ...]
    attempts: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attempts", len(self.delays) + 1)
        super().__post_init__()

    def wait(self, failed_attempts: int) -> timedelta:
        return self.delays[min(failed_attempts, len(self.delays)) - 1]


@dataclass(frozen=True, kw_only=True)
class NoRetry(RetryPolicy):
    """One run, no retry; a caller who asks for more attempts gets them at once."""

    attempts: int = 1

    def wait(self, failed_attempts: int) -> timedelta:
        return timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Custom(RetryPolicy):
    """``call(failed_attempts, error)`` says how long to wait, or None to stop; ``attempts`` still bounds it.

    A call that raises, or gives something else, fails the job with both errors.
    """

    call: Callable[[int, BaseException | None], timedelta | None] = field(kw_only=False)

    def wait(self, failed_attempts: int) -> timedelta:
        """Unused: ``wait_for`` decides."""
        return timedelta(0)

    def wait_for(self, error: BaseException | None, failed_attempts: int) -> timedelta | None:
        wait: object = self.call(failed_attempts, error)
        if wait is not None and not isinstance(wait, timedelta):
            raise TypeError(f"expected a Custom retry policy to give a timedelta or None, got {wait!r}")
        return wait


DEFAULT_RETRY = Exponential()
"""Three runs in all, after 1 s and 2 s: what the system being replaced did."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """A job's policies: its own, and those of certain errors.

    The policy of an error counts by its own ``attempts``. Attempts that a caller asked for stand in for those of the
    job's own policy, and no policy goes beyond them.
    """

    own: RetryPolicy
    by_error: Mapping[type[BaseException], RetryPolicy]

    @property
    def attempts(self) -> int:
        """The most runs that any of the policies admits: what a job is enqueued with."""
        return max(policy.attempts for policy in (self.own, *self.by_error.values()))

    def policy(self, error: BaseException) -> RetryPolicy:
        """That of the error's class, else of its nearest base class, else the job's own."""
        return next((self.by_error[kind] for kind in type(error).__mro__ if kind in self.by_error), self.own)

    def decide(self, error: BaseException, failed_attempts: int, attempts: int) -> RetryDecision:
        """What to do after ``failed_attempts`` failures, the last by ``error``, of a job with ``attempts`` in all."""
        policy = self.policy(error)
        if policy is self.own and attempts != self.attempts:
            return policy.decide(failed_attempts, attempts, error)
        return policy.decide(failed_attempts, min(policy.attempts, attempts), error)
