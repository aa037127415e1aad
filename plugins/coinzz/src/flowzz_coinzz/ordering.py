"""Which sighting of an order may change it, though none says when it happened.

Coinzz puts no event time, type or id into its webhooks, repeats them, and does not promise their order. So the
rule works with what there is: how far along its path an order is, which states were seen before, and when each
sighting arrived. In the order in which the rules are tried:

1. An order never seen before is **created**.
2. The state the order already has is a **repeat**; it may add details (an address, a commission) and changes no state.
3. A pull, or a CSV declared to be the present, says what is true *now*: it is **applied**, unless something newer
   arrived after it was fetched. Going backward that way is flagged as suspicious.
4. A state that was already seen within ``REPEAT_WINDOW`` is a delayed copy: **stale**. After that time it counts as a
   true return to the state (a parcel re-scheduled and on its way again) and goes on to rule 5, flagged if applied.
5. Otherwise the movement decides (see ``movement``): forward and sideways are **applied**; a setback (cancelled,
   disputed, delivery failed, re-scheduled, blocked) is **applied**, and flagged when it un-delivers a parcel; backward
   is **late**: recorded and flagged, not applied. What arrived before the order's present state did, yet is processed
   after it, is applied only when it moves forward, else it is **stale**.

Nothing is ever dropped: every sighting stays in the event log with the effect it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from flowzz_coinzz.vocabulary import (
    RANK_DELIVERED,
    RANK_LOST,
    RANK_ORDER_ENDED,
    RANK_RETURNING,
    OrderGroup,
    OrderLabel,
    canonical,
    order_label,
    shipping_label,
)

REPEAT_WINDOW = timedelta(hours=6)
"""How long after its last sighting the same older state is taken for a delayed copy. Ours: no schedule is known."""


class Effect(StrEnum):
    """What a sighting did to its order."""

    CREATED = "created"
    APPLIED = "applied"
    REPEATED = "repeated"
    STALE = "stale"
    LATE = "late"


class Movement(StrEnum):
    """Where one state lies, seen from another."""

    FORWARD = "forward"
    SIDEWAYS = "sideways"
    SETBACK = "setback"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True)
class State:
    """What of an order decides about order; ``fingerprint`` is the dedupe hash of reference §6.6."""

    order_status: str | None
    shipping_status: str | None
    deleted: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Decision:
    effect: Effect
    suspicious: bool = False
    reason: str = ""

    @property
    def sets_state(self) -> bool:
        return self.effect in (Effect.CREATED, Effect.APPLIED)


def decide(
    current: State | None,
    incoming: State,
    *,
    last_seen: timedelta | None = None,
    overtaken: bool = False,
    authoritative: bool = False,
) -> Decision:
    """What ``incoming`` does to an order in state ``current`` (None: never seen).

    ``last_seen`` is the time since the same state was seen before, None when it never was. ``overtaken`` says that
    the present state arrived later than this sighting. ``authoritative`` says the sighting is the upstream's present.
    """
    if current is None:
        return Decision(Effect.CREATED)
    if current.fingerprint == incoming.fingerprint:
        return Decision(Effect.REPEATED)
    moved = movement(current, incoming)
    if authoritative and not overtaken:
        backward = moved is Movement.BACKWARD
        return Decision(Effect.APPLIED, backward, "the upstream's present state is an earlier one" if backward else "")
    if last_seen is not None and last_seen < REPEAT_WINDOW:
        return Decision(Effect.STALE, reason="a copy of an older state, seen before")
    if overtaken and moved is not Movement.FORWARD:
        return Decision(Effect.STALE, reason="the present state arrived later")
    if moved is Movement.BACKWARD:
        return Decision(Effect.LATE, True, "an earlier state, first seen after a later one")
    if moved is Movement.SETBACK and _undelivers(current, incoming):
        return Decision(Effect.APPLIED, True, "a delivered order is not delivered any more")
    if last_seen is not None:
        return Decision(Effect.APPLIED, True, "back in a state it had before")
    return Decision(Effect.APPLIED)


def movement(current: State, incoming: State) -> Movement:
    """How ``incoming`` lies from ``current``: a setback first, then the parcel, then the money.

    The parcel goes before the money because pay-on-delivery money is earned at the door. A missing status says
    nothing and an unknown one moves sideways.
    """
    parcel = _shipping_movement(current.shipping_status, incoming.shipping_status)
    money = _order_movement(current, incoming)
    if Movement.SETBACK in (parcel, money):
        return Movement.SETBACK
    return money if parcel is Movement.SIDEWAYS else parcel


def _shipping_movement(current: str | None, incoming: str | None) -> Movement:
    before, after = shipping_label(current), shipping_label(incoming)
    if before is None or after is None or not current or not incoming or canonical(current) == canonical(incoming):
        return Movement.SIDEWAYS
    if after.rank is None:
        # What has come back or was called off cannot fail on its way any more: such an event is late.
        returning = before.rank is not None and before.rank >= RANK_RETURNING
        return Movement.BACKWARD if returning else Movement.SETBACK
    return Movement.SIDEWAYS if before.rank is None else _by_rank(before.rank, after.rank)


def _order_movement(current: State, incoming: State) -> Movement:
    before, after = _standing(current), _standing(incoming)
    if before is None or after is None or before == after:
        return Movement.SIDEWAYS
    enters = after.group in (OrderGroup.LOST, OrderGroup.DISPUTE) and after.group is not before.group
    if enters and before.rank < RANK_ORDER_ENDED:
        return Movement.SETBACK
    reopened = before.group is OrderGroup.DISPUTE and after.group is OrderGroup.PAID
    if reopened and before.rank < RANK_ORDER_ENDED:
        return Movement.SIDEWAYS
    return _by_rank(before.rank, after.rank)


def _standing(state: State) -> OrderLabel | None:
    """The order's label; a deleted order stands like one labelled ``excluído``."""
    return OrderLabel(OrderGroup.LOST, RANK_LOST) if state.deleted else order_label(state.order_status)


def _by_rank(before: int, after: int) -> Movement:
    if after == before:
        return Movement.SIDEWAYS
    return Movement.FORWARD if after > before else Movement.BACKWARD


def _undelivers(current: State, incoming: State) -> bool:
    before, after = shipping_label(current.shipping_status), shipping_label(incoming.shipping_status)
    if before is None or after is None or before.rank is None or before.rank < RANK_DELIVERED:
        return False
    return after.rank is None or after.rank < before.rank
