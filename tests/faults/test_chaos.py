"""Random kill -9 of workers and producers, all the time: every accepted job completes, every second run is on record.

The seed is printed, and ``FLOWZZ_SEED`` repeats the kills; what the kernel makes of them is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.faults.chaos import PRODUCERS, Toll, rage
from support.faults.crashes import Lane, lanes


@pytest.fixture
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with lanes(tmp_path_factory.mktemp("chaos"), 1) as (opened,):
        yield opened


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(1_500, 10), pytest.param(10_000, 60, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_nothing_is_lost(lane: Lane, jobs: int, seconds: float, seed: int, tell_toll: Callable[[Toll], None]) -> None:
    toll = rage(lane, jobs=jobs, seconds=seconds, seed=seed)
    tell_toll(toll)
    assert toll.jobs >= jobs // PRODUCERS * PRODUCERS
    assert toll.kills > seconds
    assert toll.lost == 0
