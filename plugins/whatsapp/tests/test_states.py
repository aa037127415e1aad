"""A message's state is a function of what was said of it: the order and the number of times do not matter."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from flowzz_whatsapp.states import Said, state_after

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["sent"], "sent"),
        (["sent", "delivered"], "delivered"),
        (["sent", "delivered", "read"], "read"),
        (["read"], "read"),
        (["sent", "read"], "read"),
        (["delivered", "played"], "read"),
        (["failed"], "failed"),
        (["sent", "failed"], "failed"),
        (["failed", "delivered"], "delivered"),
        (["failed", "read"], "read"),
        (["sent", "warmed_up"], "sent"),
        (["sent", "sent", "delivered", "delivered"], "delivered"),
    ],
)
def test_whatever_the_order(words: list[str], state: str) -> None:
    said = [
        Said(
            word,
            START + timedelta(seconds=place),
            131026 if word == "failed" else None,
            "no" if word == "failed" else None,
        )
        for place, word in enumerate(words)
    ]
    for order in itertools.permutations(said):
        columns = state_after(order)
        assert columns["state"] == state
        assert (columns["error_code"], columns["problem"]) == ((131026, "no") if state == "failed" else (None, None))
        if "sent" in words:
            assert columns["sent_at"] == START + timedelta(seconds=words.index("sent"))


def test_words_that_nobody_knows_decide_nothing() -> None:
    assert state_after([Said("warmed_up", START)]) == {}
    assert state_after([]) == {}
