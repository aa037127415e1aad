"""What a person does with limits: put another rule over a definition while everything runs, lift it, go back.

A limit is named as ``flowzz limits`` shows it: ``whatsapp.number`` for all its values,
``whatsapp.number:5511…`` for one. An edit of one value counts before one of all, and both before the definition, until
they are reverted; an enqueue or a restart with another definition changes nothing about that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from flowzz.app import Flowzz
from flowzz.errors import InvalidRequest, UnknownLimit
from flowzz.jobs.limits import Limit, Rate, RateLimit
from flowzz.plugins.contributions import QueueLimits
from flowzz.queues.lanes import NO_RULE, LimitKey, queue_key

Lifted = Literal["none"]
"""In place of a rule: no limit, whatever the definition says."""


class Limits:
    """The limits of jobs and queues with their run-time edits, which count from the next claim.

    Every method raises QueueUnavailable when Redis is away, UnknownQueue or UnknownLimit with the nearest name.
    """

    def __init__(self, app: Flowzz) -> None:
        self._app = app

    def set_queue(
        self, queue: str, by: str, *, rate: Rate | Lifted | None = None, concurrency: int | Lifted | None = None
    ) -> None:
        """Limit a queue across all workers; what is None stays as it is.

        The definition's own value again ends the edit of that value. Raises InvalidRequest when both are None.
        """
        self._app.known_queue(queue)
        own = queue_rules(self._app.plugins.queue_limits, [queue])
        wanted = (_rate_rule(rate), _concurrency_rule(concurrency))
        edits = [(key, rule, defined) for (key, defined), rule in zip(own, wanted, strict=True) if rule is not None]
        self._set(f"queue:{queue}", by, edits)

    def revert_queue(self, queue: str, by: str) -> bool:
        """Back to what the plugin says of the queue; False when nothing was edited."""
        self._app.known_queue(queue)
        keys = [queue_key(queue, kind) for kind in ("rate", "concurrency")]
        return self._app.queues.transitions.revert_limits(f"queue:{queue}", by, keys) > 0

    def set(
        self, name: str, by: str, *, rate: Rate | Lifted | None = None, concurrency: int | Lifted | None = None
    ) -> None:
        """Another rule for a limit of jobs, for all its values or for one (``name:value``).

        Raises InvalidRequest when the limit is a rate and a concurrency is given, or the other way round.
        """
        edits = []
        declared = self._declared(name)
        for rule, kind in ((_rate_rule(rate), "rate"), (_concurrency_rule(concurrency), "concurrency")):
            if rule is None:
                continue
            own = next((limit for limit in declared if isinstance(limit, RateLimit) == (kind == "rate")), None)
            if own is None:
                raise InvalidRequest(f"limit {name!r} has no {kind} that could be changed")
            key = LimitKey.of(own, name)
            edits.append((key.key, rule, key.rule))
        self._set(name, by, edits)

    def clear(self, name: str, by: str) -> None:
        """Lift a limit of jobs until it is set again or reverted."""
        kinds = {isinstance(limit, RateLimit) for limit in self._declared(name)}
        self.set(name, by, rate="none" if True in kinds else None, concurrency="none" if False in kinds else None)

    def revert(self, name: str, by: str) -> bool:
        """Back to what the job's definition says; False when nothing was edited."""
        keys = [LimitKey.of(limit, name).key for limit in self._declared(name)]
        return self._app.queues.transitions.revert_limits(name, by, keys) > 0

    def _set(self, subject: str, by: str, edits: list[tuple[str, str, str]]) -> None:
        if not edits:
            raise InvalidRequest("expected a rate or a concurrency, got neither")
        self._app.queues.transitions.edit_limits(subject, by, edits)

    def _declared(self, name: str) -> list[Limit]:
        """The limits of that name, one a kind."""
        base, colon, _ = name.partition(":")
        every = [limit for job in self._app.plugins.jobs.values() for limit in job.limits]
        found = {type(limit): limit for limit in every if limit.name == base}
        if not found:
            raise UnknownLimit(base, {limit.name for limit in every})
        if colon and all(limit.by is None for limit in found.values()):
            raise InvalidRequest(f"limit {base!r} has no values, got {name!r}; leave out what follows the ':'")
        return list(found.values())


def queue_rules(limits: Mapping[str, QueueLimits], queues: Iterable[str]) -> list[tuple[str, str]]:
    """Limit key and rule of each queue's rate, then of its concurrency, as the plugins say."""
    rules = []
    for queue in queues:
        own = limits.get(queue) or QueueLimits(queue=queue)
        rules.append((queue_key(queue, "rate"), _rate_rule(own.rate) or NO_RULE))
        rules.append((queue_key(queue, "concurrency"), _concurrency_rule(own.concurrency) or NO_RULE))
    return rules


def _rate_rule(rate: Rate | Lifted | None) -> str | None:
    if not isinstance(rate, Rate):
        return rate
    if rate.problem:
        raise InvalidRequest(f"rate: {rate.problem}")
    return LimitKey("", rate.count, rate.period_ms).rule


def _concurrency_rule(concurrency: int | Lifted | None) -> str | None:
    if not isinstance(concurrency, int):
        return concurrency
    if concurrency < 1:
        raise InvalidRequest(f"concurrency: expected 1 or more, got {concurrency}")
    return LimitKey("", concurrency).rule
