"""Passwords: what is accepted, and the form in which they are kept.

Kept as ``scrypt.1$<n>.<r>.<p>$<salt>$<key>`` (both in base64). The leading word is the version of this form; the
parameters travel with each password, so raising them here leaves old ones valid until their next login renews them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
from dataclasses import dataclass
from hmac import compare_digest
from threading import BoundedSemaphore

from pydantic import SecretStr

from flowzz.errors import InvalidRequest

SHORTEST, LONGEST = 12, 1024
FEWEST_DIFFERENT = 4
FORM = "scrypt.1"
SALT_BYTES = KEY_BYTES = 32

_at_once = BoundedSemaphore(4)
"""One check takes 32 MiB; a burst of logins must not take the machine."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters of scrypt; memory is 128 × n × r bytes."""

    n: int
    r: int
    p: int

    def __str__(self) -> str:
        return f"{self.n}.{self.r}.{self.p}"


COST = Cost(n=2**15, r=8, p=3)
"""One of the equivalent settings of the OWASP password storage cheat sheet: 32 MiB, about a quarter second."""

HIGHEST_COST = Cost(n=2**20, r=32, p=16)


def check_rules(password: SecretStr, email: str) -> None:
    """Raises InvalidRequest, which never repeats the password, when it is too easily guessed."""
    text = _normal(password)
    if len(text) < SHORTEST:
        raise InvalidRequest(f"expected a password of {SHORTEST} characters or more, got {len(text)}")
    if len(text) > LONGEST:
        raise InvalidRequest(f"expected a password of at most {LONGEST:,} characters, got {len(text):,}")
    if len(set(text)) < FEWEST_DIFFERENT:
        raise InvalidRequest(f"expected a password of {FEWEST_DIFFERENT} or more different characters")
    if text.casefold() in (email, email.partition("@")[0]):
        raise InvalidRequest("expected a password that is not the e-mail address")


def hashed(password: SecretStr, cost: Cost = COST) -> str:
    """``password`` in the form that is stored; takes as long as a login."""
    salt = os.urandom(SALT_BYTES)
    return f"{FORM}${cost}${_text(salt)}${_text(_derive(password, salt, cost))}"


def matches(password: SecretStr, stored: str | None) -> bool:
    """True when ``stored`` was made from ``password``. None, or something unreadable, takes as long and is False."""
    parsed = _parse(stored)
    if parsed is None:
        _derive(password, bytes(SALT_BYTES), COST)
        return False
    cost, salt, key = parsed
    return compare_digest(_derive(password, salt, cost), key)


def is_outdated(stored: str) -> bool:
    """True when the stored form has other parameters than a new one would get."""
    return not stored.startswith(f"{FORM}${COST}$")


def _derive(password: SecretStr, salt: bytes, cost: Cost) -> bytes:
    secret = _normal(password).encode("utf-8", "surrogatepass")
    room = 256 * cost.n * cost.r
    with _at_once:
        return hashlib.scrypt(secret, salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=room, dklen=KEY_BYTES)


def _normal(password: SecretStr) -> str:
    # The same word typed on two systems may differ in how accents are composed.
    return unicodedata.normalize("NFKC", password.get_secret_value())


def _parse(stored: str | None) -> tuple[Cost, bytes, bytes] | None:
    try:
        form, numbers, salt, key = (stored or "").split("$")
        cost = Cost(*(int(number) for number in numbers.split(".")))
        parsed = cost, base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
    except (ValueError, TypeError):
        return None
    affordable = 1 < cost.n <= HIGHEST_COST.n and 0 < cost.r <= HIGHEST_COST.r and 0 < cost.p <= HIGHEST_COST.p
    return parsed if form == FORM and affordable else None


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
