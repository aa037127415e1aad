"""Companies: whose business the jobs are about."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from flowzz import clock
from flowzz.errors import InvalidRequest, NotFound
from flowzz.store.database import Sessions
from flowzz.store.records import Company
from flowzz.store.tables import CompanyRow
from flowzz.store.values import is_identifier, name_of


class Companies(Sessions):
    """The part of the store that keeps companies."""

    def add_company(self, name: str, company_id: str | None = None) -> Company:
        """Store a company. ``company_id`` is what payloads call ``empresaId``; default: a new UUID.

        Raises InvalidRequest for an empty name (blanks do not count), an id that is not 1 to 100 letters, digits,
        ``_``, ``-`` or ``.``, and an id that another company has.
        """
        identifier = str(uuid.uuid4()) if company_id is None else company_id
        if not is_identifier(identifier):
            raise InvalidRequest(
                f"expected a company id of 1 to 100 letters, digits, '_', '-' or '.', got {company_id!r}"
            )
        row = CompanyRow(id=identifier, name=name_of("a company name", name), created_at=clock.now())
        try:
            with self.session() as session:
                session.add(row)
        except IntegrityError:
            raise InvalidRequest(f"another company already has the id {identifier!r}") from None
        return _company(row)

    def companies(self) -> list[Company]:
        """Every company, by name."""
        with self._reading() as session:
            return [
                _company(row) for row in session.scalars(select(CompanyRow).order_by(CompanyRow.name, CompanyRow.id))
            ]

    def company(self, company_id: str) -> Company:
        """The company with that id; NotFound when there is none."""
        with self._reading() as session:
            row = session.get(CompanyRow, company_id) if is_identifier(company_id) else None
            if row is None:
                raise _missing(company_id)
            return _company(row)

    def remove_company(self, company_id: str) -> None:
        """Remove a company and its connections.

        Raises NotFound, or InvalidRequest when a plugin still keeps data of it; then nothing is removed.
        """
        try:
            with self.session() as session:
                row = session.get(CompanyRow, company_id) if is_identifier(company_id) else None
                if row is None:
                    raise _missing(company_id)
                session.delete(row)
        except IntegrityError:
            raise InvalidRequest(
                f"company {company_id!r} cannot be removed while a plugin still keeps data of it"
            ) from None


def _company(row: CompanyRow) -> Company:
    return Company(row.id, row.name, row.created_at)


def _missing(company_id: str) -> NotFound:
    return NotFound(f"no company has the id {company_id!r}")
