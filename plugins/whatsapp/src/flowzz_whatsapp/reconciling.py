"""Statuses find their messages: by wamid, or by the correlation that Meta echoes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from flowzz.clock import now
from flowzz_whatsapp.models import messages, statuses
from flowzz_whatsapp.states import Said, state_after

AT_ONCE = 500
"""Values that one ``IN`` holds."""

Row = Mapping[str, Any]
Value = TypeVar("Value")


def attach(session: Session, company_id: str, message_ids: Sequence[str]) -> int:
    """Give the statuses of these wamids that are nobody's yet to their messages; how many found one.

    The messages they go to are brought up to date. Run again, it changes nothing.
    """
    loose = _loose(session, company_id, message_ids)
    if not loose:
        return 0
    owners = _owners(session, company_id, loose)
    found = [(status, owners[status["id"]]) for status in loose if status["id"] in owners]
    if found:
        session.execute(
            update(statuses).where(statuses.c.id == bindparam("status_id")),
            [{"status_id": status["id"], "message_row": owner["id"]} for status, owner in found],
        )
        _bring_up_to_date(session, {owner["id"] for _, owner in found})
    return len(found)


def _loose(session: Session, company_id: str, message_ids: Sequence[str]) -> list[Row]:
    return [
        dict(row)
        for some in _chunks(sorted(set(message_ids)))
        for row in session.execute(
            select(statuses.c.id, statuses.c.message_id, statuses.c.correlation, statuses.c.wa_id, statuses.c.user_id)
            .where(
                statuses.c.company_id == company_id,
                statuses.c.message_id.in_(some),
                statuses.c.message_row.is_(None),
            )
            .order_by(statuses.c.id)
        ).mappings()
    ]


def _owners(session: Session, company_id: str, loose: Sequence[Row]) -> dict[int, Row]:
    """The message of each status that has one, by the status's id; the messages are locked, lowest id first."""
    by_wamid = _messages_by(session, company_id, "message_id", {row["message_id"] for row in loose})
    rest = {row["correlation"] for row in loose if row["correlation"] and row["message_id"] not in by_wamid}
    by_correlation = _messages_by(session, company_id, "correlation", rest)
    owners: dict[int, Row] = {}
    for status in loose:
        owner = by_wamid.get(status["message_id"]) or by_correlation.get(status["correlation"])
        if owner is not None:
            owners[status["id"]] = owner
            _recognise(session, owner, status)
    return owners


def _messages_by(session: Session, company_id: str, column: str, values: Iterable[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some in _chunks(sorted(values)):
        query = (
            select(messages.c.id, messages.c.message_id, messages.c.correlation, messages.c.accepted_at)
            # One whose content was deleted has lost its statuses: a repeat of one would turn its state back.
            .where(
                messages.c.company_id == company_id,
                messages.c[column].in_(some),
                messages.c.content_deleted_at.is_(None),
            )
            .order_by(messages.c.id)
            .with_for_update()
        )
        found |= {row[column]: dict(row) for row in session.execute(query).mappings()}
    return found


def _recognise(session: Session, owner: dict[str, Any], status: Row) -> None:
    """A message that is known by its correlation only learns its wamid."""
    if owner["message_id"] is None:
        owner["message_id"] = status["message_id"]
        at = now()
        values = {"message_id": status["message_id"], "wa_id": status["wa_id"], "user_id": status["user_id"]}
        values |= {"accepted_at": owner["accepted_at"] or at, "updated_at": at}
        session.execute(update(messages).where(messages.c.id == owner["id"]).values(values))


def _bring_up_to_date(session: Session, rows: set[int]) -> None:
    """Compute the messages' states from all their statuses."""
    said: dict[int, list[Said]] = defaultdict(list)
    wamids: dict[int, set[str]] = defaultdict(set)
    for some in _chunks(sorted(rows)):
        query = select(
            statuses.c.message_row,
            statuses.c.message_id,
            statuses.c.status,
            statuses.c.happened_at,
            statuses.c.error_code,
            statuses.c.problem,
        ).where(statuses.c.message_row.in_(some))
        for row in session.execute(query):
            said[row.message_row].append(Said(row.status, row.happened_at, row.error_code, row.problem))
            wamids[row.message_row].add(row.message_id)
    changes = [_change(row, said[row], wamids[row]) for row in sorted(said)]
    decided = [change for change in changes if change is not None]
    if decided:
        session.execute(update(messages).where(messages.c.id == bindparam("row_id")), decided)


def _change(row: int, said: Sequence[Said], wamids: set[str]) -> dict[str, Any] | None:
    """The row's new values; None when its statuses decide nothing. That it went out twice is told to whoever looks."""
    decided = state_after(said)
    if decided and decided["problem"] is None and len(wamids) > 1:
        decided["problem"] = f"Meta took this message {len(wamids)} times: {', '.join(sorted(wamids))}"
    return {"row_id": row, "updated_at": now(), **decided} if decided else None


def _chunks(values: Sequence[Value]) -> Iterator[list[Value]]:
    left = iter(values)
    while some := list(islice(left, AT_ONCE)):
        yield some
