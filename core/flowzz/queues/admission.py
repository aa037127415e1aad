"""What the enqueue script needs of a job that is more than plain: duplicates key, expiry, parents, retention."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import BaseModel

from flowzz.jobs.duplicates import Debounce, Duplicates, Throttle, duplicates_key
from flowzz.jobs.options import ParentPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """``window_ms`` is a throttle's ttl or a debounce's delay; ``expires`` Unix ms, ``'in:<ms>'`` or ''."""

    key: str = ""
    window_ms: int = 0
    max_wait_ms: int | None = None
    expires: str = ""
    parents: tuple[str, ...] = ()
    policy: ParentPolicy = "fail"
    batch: str = ""
    keep: str = ""

    def after(self, parents: Sequence[str], policy: ParentPolicy) -> Admission:
        """The same, once these parents have ended."""
        return replace(self, parents=tuple(dict.fromkeys(parents)), policy=policy)

    def dump(self) -> str:
        """JSON for the script; nothing for a plain job, which then costs nothing."""
        document: dict[str, str | int | list[str]] = {}
        if self.key:
            document |= {"key": self.key, "window_ms": self.window_ms}
        if self.max_wait_ms is not None:
            document["max_wait_ms"] = self.max_wait_ms
        if self.expires:
            document["expires"] = self.expires
        if self.parents:
            document |= {"parents": list(self.parents), "policy": self.policy}
        if self.batch:
            document["batch"] = self.batch
        if self.keep:
            document["keep"] = self.keep
        return json.dumps(document, separators=(",", ":")) if document else ""


PLAIN = Admission()


def admission_of(
    policy: Duplicates | None,
    job: str,
    company: str,
    payload: BaseModel,
    *,
    unique_key: str | None,
    expires: timedelta | datetime | None,
    keep: str = "",
) -> Admission:
    """The admission of one payload under the job's policy; ``unique_key`` takes the place of the policy's fields.

    ``keep`` is its retention as the scripts read it.
    """
    end = moment(expires)
    if policy is None:
        return Admission(expires=end, keep=keep) if end or keep else PLAIN
    window = policy.ttl if isinstance(policy, Throttle) else policy.delay if isinstance(policy, Debounce) else None
    most = policy.max_wait if isinstance(policy, Debounce) else None
    return Admission(
        key=duplicates_key(policy, job, company, payload, unique_key),
        window_ms=0 if window is None else _ms(window),
        max_wait_ms=None if most is None else _ms(most),
        expires=end,
        keep=keep,
    )


def moment(when: timedelta | datetime | None) -> str:
    """As the scripts read moments: Unix ms, ``'in:<ms>'`` from Redis's now, or '' for none."""
    if isinstance(when, timedelta):
        return f"in:{_ms(when)}"
    return "" if when is None else str(int(when.timestamp() * 1000))


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
