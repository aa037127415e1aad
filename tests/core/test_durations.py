"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowzz.jobs.durations import parse_duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, timedelta(0)),
        (90, timedelta(seconds=90)),
        (1.5, timedelta(milliseconds=1500)),
        ("90", timedelta(seconds=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        (" 2D ", timedelta(days=2)),
        ("0.5s", timedelta(milliseconds=500)),
    ],
)
def test_is_read(written: str | float, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize("written", ["", "soon", "5 minutes", "-5m", "5m!", "1e9", "5mm", "h"])
def test_nonsense_is_refused_with_what_was_expected(written: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(written)


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), 1e12])
def test_a_number_out_of_range_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 3650 days"):
        parse_duration(number)
