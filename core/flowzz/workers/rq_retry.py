"""RQ's own ``Retry(max, interval)`` of a job that a plain ``rq.Queue`` enqueued, as a retry policy of ours."""

from __future__ import annotations

import json
from datetime import timedelta

from flowzz.jobs.retry import Listed, RetryPolicy
from flowzz.queues.claims import Claim

MOST_RETRIES, LONGEST_S = 1_000, 366 * 86_400


def rq_retry(claim: Claim) -> RetryPolicy | None:
    """None for a job of ours, and for one without ``Retry``: then the job's own policy counts.

    RQ keeps how many retries are left; with fewer intervals than retries the first interval is used again and again.
    """
    left_text, _, intervals_text = claim.rq_retry.decode(errors="replace").partition("|")
    if not (left_text.isascii() and left_text.isdigit() and len(left_text) < 10):
        return None
    left = min(int(left_text), MOST_RETRIES)
    intervals = _intervals(intervals_text)
    to_come = [intervals[max(len(intervals) - left + nth, 0)] for nth in range(left)]
    return Listed(delays=tuple(timedelta(seconds=s) for s in [0.0] * claim.attempts_made + to_come))


def _intervals(text: str) -> list[float]:
    """Seconds; ``[0]`` when there are none or they are no numbers."""
    try:
        found = [float(seconds) for seconds in json.loads(text)]
    except (ValueError, TypeError, RecursionError, OverflowError):
        found = []
    return [min(max(seconds, 0.0), LONGEST_S) for seconds in found if seconds == seconds] or [0.0]
