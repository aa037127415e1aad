"""How much of its allowance an ad account has used, as Meta's headers tell (reference §5.2), and what follows.

From ``SLOW_AT`` percent on the account takes a short break after each page, from ``STOP_AT`` it waits until Meta
expects it back. Either way the job is put off and the account held (``Throttled(hold=…)``): no thread sleeps and
nobody else in the queue waits. The state lives in one run, for only one run of an ad account is active anywhere
(``facebook.account``), and what is counted for the whole app is in every answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

SLOW_AT = 75.0
STOP_AT = 95.0
SLOW_PAUSE = timedelta(seconds=10)
LEAST_STOP = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=24)

ADS_INSIGHTS = "ads_insights"
ADS_MANAGEMENT = "ads_management"


@dataclass(frozen=True, slots=True)
class Usage:
    """``percent`` of the most used allowance (may be over 100), and after which time Meta expects calls again."""

    percent: float = 0.0
    regain: timedelta = timedelta(0)

    @property
    def pause(self) -> timedelta | None:
        """How long the account should be left alone before its next call; None when it need not be."""
        if self.percent >= STOP_AT:
            return min(max(self.regain, LEAST_STOP), LONGEST_WAIT)
        return SLOW_PAUSE if self.percent >= SLOW_AT else None


def usage_of(headers: Mapping[str, str], account: str, use_case: str) -> Usage:
    """What the headers say of ``account`` and of the app.

    Allowances of other use cases are left out; headers that are missing or cannot be read say nothing.
    """
    percents, regains = [0.0], [timedelta(0)]
    app = _json(headers, "x-app-usage")
    percents += [_number(app.get(key)) for key in ("call_count", "total_time", "total_cputime")]
    throttle = _json(headers, "x-fb-ads-insights-throttle")
    percents.append(_number(throttle.get("app_id_util_pct")))
    if use_case == ADS_INSIGHTS:
        percents.append(_number(throttle.get("acc_id_util_pct")))
    ours = _json(headers, "x-ad-account-usage")
    percents.append(_number(ours.get("acc_id_util_pct")))
    if percents[-1] >= SLOW_AT:
        regains.append(timedelta(seconds=_number(ours.get("reset_time_duration"))))
    for item in _business(headers, account):
        if item.get("type") in (use_case, None):
            percents += [_number(item.get(key)) for key in ("call_count", "total_time", "total_cputime")]
            regains.append(timedelta(minutes=_number(item.get("estimated_time_to_regain_access"))))
    return Usage(max(percents), max(regains))


def _business(headers: Mapping[str, str], account: str) -> list[Mapping[str, Any]]:
    listed = _json(headers, "x-business-use-case-usage").get(account)
    return [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []


def _json(headers: Mapping[str, str], name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(headers.get(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 <= number < 1e6 else 0.0
