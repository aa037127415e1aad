"""A job on its way in, as the scripts that store jobs take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowzz.queues.admission import PLAIN, Admission
from flowzz.queues.fields import Envelope, dump_call
from flowzz.queues.lanes import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A validated job on its way in. ``due`` is Unix ms, ``'in:<ms>'`` from Redis's now, or '' for at once.

    ``call`` is RQ's ``data``, when the caller has written it already.
    """

    id: str
    queue: str
    payload: Any
    envelope: Envelope
    timeout_s: int
    due: str = ""
    lane: Lane = field(default_factory=Lane)
    admission: Admission = PLAIN
    call: str = ""

    def arguments(self) -> list[str | int]:
        return [
            self.id,
            self.queue,
            self.call or dump_call(self.envelope.job, self.payload),
            self.envelope.dump(),
            self.envelope.job,
            self.timeout_s,
            self.due,
            self.lane.name,
            self.lane.rules,
            self.admission.dump(),
        ]
