"""How often somebody may try to sign in."""

from __future__ import annotations

import math
import time

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse_many

PER_ACCOUNT_AND_ADDRESS = parse_many("5/minute;20/hour")
PER_ADDRESS = parse_many("60/minute")


class LoginThrottle:
    """Counts sign-in attempts per (address, account) and per address, for the page and the API alike.

    Every attempt is counted before the password is looked at, so a burst of parallel guesses gains nothing; a
    success forgets that account's attempts. Nobody is ever locked out for good, and a stranger elsewhere cannot
    lock out an admin, because the account's limit holds per address. The counts live in the memory of one process:
    with several web processes a guesser gets as many times more tries.
    """

    def __init__(self, app: Flask) -> None:
        limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", strategy="moving-window")
        self._strategy = limiter.limiter

    def attempt(self, address: str | None, account: str) -> int | None:
        """Count one attempt: None when it may go ahead, else the seconds until the next one may."""
        waits = [
            self._wait(limit, *keys)
            for limits, keys in (
                (PER_ADDRESS, (address or "",)),
                (PER_ACCOUNT_AND_ADDRESS, (address or "", _key(account))),
            )
            for limit in limits
        ]
        return max((wait for wait in waits if wait is not None), default=None)

    def succeeded(self, address: str | None, account: str) -> None:
        """Forget the attempts of that account from that address."""
        for limit in PER_ACCOUNT_AND_ADDRESS:
            self._strategy.clear(limit, address or "", _key(account))

    def _wait(self, limit: RateLimitItem, *keys: str) -> int | None:
        if self._strategy.hit(limit, *keys):
            return None
        stats = self._strategy.get_window_stats(limit, *keys)
        return max(1, math.ceil(stats.reset_time - time.time()))


def _key(account: str) -> str:
    # Cut, so that long nonsense names cannot fill the memory.
    return account.casefold()[:254]
