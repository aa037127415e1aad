"""Which stages there are, how large each is, and whom it measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from systems import System

from stages.drain import Metrics, drain
from stages.enqueue import enqueue
from stages.floor import floor
from stages.idle import idle


@dataclass(frozen=True)
class Stage:
    """``run(system, scale)`` measures once; at most ``rounds`` times, if given; only systems that ``fits``."""

    run: Callable[[System, float], Metrics]
    fits: Callable[[System], bool] = lambda system: system.variant != "keep"
    rounds: int | None = None


def _jobs(system: System, scale: float) -> int:
    return max(100, round(system.jobs * scale))


def _io_jobs(system: System, scale: float) -> int:
    """Forty times what is in flight, or as many as half a drain has: some take a second for a few."""
    return max(20, round(min(system.io_concurrency * 40, system.jobs / 2) * scale))


STAGES: dict[str, Stage] = {
    "enqueue": Stage(
        lambda system, scale: enqueue(system, max(100, round(3_200 * scale)), max(100, round(10_200 * scale))),
        fits=lambda system: not system.variant,
    ),
    "drain": Stage(lambda system, scale: drain(system, _jobs(system, scale)), fits=lambda system: True),
    "two": Stage(
        lambda system, scale: drain(system, _jobs(system, scale) * 2, workers=2),
        fits=lambda system: system.variant not in {"keep", "fork"},
        rounds=2,
    ),
    "io": Stage(lambda system, scale: drain(system, _io_jobs(system, scale), job="io")),
    "floor": Stage(
        lambda system, scale: floor(system, _jobs(system, scale)),
        fits=lambda system: system.is_ours and not system.variant,
    ),
    "idle": Stage(
        lambda system, scale: idle(system, max(10, round(60 * scale)), max(1, 2 * scale)),
        fits=lambda system: system.variant not in {"keep", "async", "threads"},
        rounds=2,
    ),
}
