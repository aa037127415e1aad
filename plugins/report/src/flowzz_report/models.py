"""The plugin's table: one row a report. Its migration makes it; this page says what it holds."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import JSON, BigInteger, Column, Date, Integer, MetaData, Table, Text

from flowzz.plugins.contributions import Migrations
from flowzz.store.columns import UtcDateTime

metadata = MetaData()

reports = Table(
    "report_reports",
    metadata,
    Column("id", Text, primary_key=True),
    # A job makes one report, however often it runs; ``execution`` is the run that has it now.
    Column("job_id", Text, nullable=False, unique=True),
    Column("execution", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("report_type", Text, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("format", Text, nullable=False),
    Column("filters", JSON, nullable=False),
    Column("requested_by", Text, nullable=False),
    # running, ready, failed, expired: see records.State.
    Column("state", Text, nullable=False),
    Column("problem", Text),
    # Set while ready; the file's name in the storage goes when the file does.
    Column("file", Text),
    Column("bytes", BigInteger),
    Column("sha256", Text),
    Column("rows", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("generated_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
)

MIGRATIONS = Migrations(plugin="report", folder=Path(__file__).parent / "migrations")
