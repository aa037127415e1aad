"""The core's own tables. Their values leave this room as the frozen records of ``records`` and ``jobs.connection``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flowzz.store.columns import UtcDateTime

NAMES = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
}
"""Constraint names, fixed here so that a later migration can name what it changes on either database."""


class CoreTable(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)


class CompanyRow(CoreTable):
    __tablename__ = "flowzz_companies"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ConnectionRow(CoreTable):
    """``sealed_secrets`` is a Fernet token bound to ``id``; ``token_digest`` the hex SHA-256 of the webhook token."""

    __tablename__ = "flowzz_connections"
    __table_args__ = (
        Index("ix_flowzz_connections_plugin", "plugin", "created_at"),
        Index("ix_flowzz_connections_company_id", "company_id", "plugin"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    company_id: Mapped[str] = mapped_column(Text, ForeignKey("flowzz_companies.id", ondelete="CASCADE"))
    plugin: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    state_reason: Mapped[str | None] = mapped_column(Text)
    config: Mapped[dict[str, Any]] = mapped_column(JSON)
    sealed_secrets: Mapped[str] = mapped_column(Text)
    token_digest: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    check_problem: Mapped[str | None] = mapped_column(Text)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class UserRow(CoreTable):
    """``email`` is kept in lower case; ``password`` is the versioned scrypt form of ``passwords``."""

    __tablename__ = "flowzz_users"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    password: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditRow(CoreTable):
    """Append-only: triggers of the first migration refuse UPDATE and DELETE."""

    __tablename__ = "flowzz_audit"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
