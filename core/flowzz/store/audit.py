"""The audit trail: who did what, written once and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from flowzz import clock
from flowzz.store.database import Sessions
from flowzz.store.records import AuditEntry
from flowzz.store.tables import AuditRow
from flowzz.store.values import lenient_json, note_of


class Audit(Sessions):
    """The part of the store that keeps the audit trail. The database itself refuses to change or delete an entry."""

    def record_audit(self, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Add an entry: ``actor`` (an e-mail address, ``cli``, ``system``) did ``action`` to ``target``.

        ``detail`` is kept as JSON; values typed as secrets become stars. Texts are cut at 2,000 characters.
        """
        row = AuditRow(
            at=clock.now(),
            actor=note_of(actor),
            action=note_of(action),
            target=note_of(target),
            detail=lenient_json(detail or {}),
        )
        with self.session() as session:
            session.add(row)

    def audit(self, limit: int = 100) -> list[AuditEntry]:
        """The newest ``limit`` entries, newest first."""
        newest = select(AuditRow).order_by(AuditRow.id.desc()).limit(max(0, limit))
        with self._reading() as session:
            return [
                AuditEntry(row.id, row.at, row.actor, row.action, row.target, row.detail)
                for row in session.scalars(newest)
            ]
