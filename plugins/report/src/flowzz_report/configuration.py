"""Settings of the reports. Each is an environment variable: the name in upper case behind ``FLOWZZ_REPORT_``."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from flowzz.plugins.settings import PluginSettings

SHEET_ROWS = 1_048_576
"""Rows a sheet of a workbook has (ECMA-376 leaves it open; Excel's specifications say so)."""
HEAD_AND_TOTAL = 2


class ReportSettings(PluginSettings):
    """Where reports are kept, for how long, and how they look."""

    model_config = SettingsConfigDict(env_prefix="FLOWZZ_REPORT_")

    storage: str | None = Field(
        default=None,
        description="fsspec URL of the folder for files, such as s3://bucket/reports. Default: FLOWZZ_HOME/reports.",
    )
    storage_options: SecretStr = Field(
        default=SecretStr("{}"), description='JSON object of options for it, such as {"key": "…", "secret": "…"}.'
    )
    link_hours: float = Field(default=168, gt=0, le=24 * 366, description="Hours a link works. Default: a week.")
    keep_days: float = Field(default=30, gt=0, le=3660, description="Days a file is kept. Default: 30.")
    max_rows: int = Field(
        default=1_000_000,
        ge=1,
        le=SHEET_ROWS - HEAD_AND_TOTAL,
        description="Most rows of one XLSX or CSV; a longer report is refused. Default: 1,000,000.",
    )
    pdf_rows: int = Field(
        default=1_000,
        ge=1,
        le=20_000,
        description="Most rows of a table in a PDF; a longer one says how many it leaves out. Default: 1,000.",
    )
    csv_bom: bool = Field(default=True, description="Begin a CSV with a byte order mark, which Excel needs.")
    csv_separator: Literal[";", ","] = Field(
        default=";", description="';' writes decimals with a comma, as Brazilian spreadsheets read; ',' with a point."
    )
    brand: str = Field(default="Flowzz", min_length=1, max_length=60, description="Name in the head of each page.")
    logo: Path | None = Field(default=None, description="PNG, JPEG or SVG beside the name. Default: Flowzz's own.")

    @field_validator("storage_options")
    @classmethod
    def _is_object(cls, value: SecretStr) -> SecretStr:
        try:
            parsed = json.loads(value.get_secret_value() or "{}")
        except ValueError:
            parsed = None
        if not isinstance(parsed, dict):
            raise ValueError("expected a JSON object")
        return value

    @field_validator("logo")
    @classmethod
    def _is_picture(cls, value: Path | None) -> Path | None:
        if value is not None and (value.suffix.lower() not in (".png", ".jpg", ".jpeg", ".svg") or not value.is_file()):
            raise ValueError("expected a file that ends in .png, .jpg, .jpeg or .svg")
        return value

    @property
    def options(self) -> dict[str, Any]:
        """``storage_options`` as they are given to fsspec."""
        return dict(json.loads(self.storage_options.get_secret_value() or "{}"))

    @property
    def link_lifetime(self) -> timedelta:
        return timedelta(hours=self.link_hours)

    @property
    def keep(self) -> timedelta:
        return timedelta(days=self.keep_days)
