"""Numbers are checked, compared and never rewritten."""

from __future__ import annotations

import pytest

from flowzz_whatsapp.numbers import match_key, recipient_of


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("+55 (11) 98765-4321", "+5511987654321"),
        ("+5511987654321", "+5511987654321"),
        ("5511987654321", "+5511987654321"),
        ("+556287654321", "+556287654321"),
        ("556287654321", "+556287654321"),
        ("+5562987654321", "+5562987654321"),
        ("+551132654321", "+551132654321"),
        ("+1 650 253 0000", "+16502530000"),
        ("+351 912 345 678", "+351912345678"),
        ("BR.1A2b3C", "BR.1A2b3C"),
    ],
)
def test_a_number_is_sent_as_it_was_given(given: str, sent: str) -> None:
    assert recipient_of(given) == sent


@pytest.mark.parametrize(
    "given", ["", "+", "11987654321", "987654321", "+55119", "+551198765432199", "+5500987654321", "whatsapp", "+1 1"]
)
def test_what_is_no_number_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(ValueError, match=r"expected a phone number with \+ and country code") as refused:
        recipient_of(given)
    assert not given or given not in str(refused.value).replace("+5511987654321", "").replace("with +", "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+5562987654321", "556287654321", True),
        ("+5511987654321", "5511987654321", True),
        ("+5511987654321", "5511987654322", False),
        ("+5562987654321", "5561987654321", False),
        # A landline has no ninth digit, so this mobile (9 before 3…) is another phone.
        ("+5511932654321", "551132654321", False),
        ("+16502530000", "16502530000", True),
        ("BR.1A2b3C", "BR.1A2b3C", True),
    ],
)
def test_the_ninth_digit_is_matched(one: str, other: str, same: bool) -> None:
    assert (match_key(one) == match_key(other)) is same
