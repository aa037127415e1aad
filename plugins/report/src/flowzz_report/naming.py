"""What reports and their files are called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from flowzz_report.payload import Format, ReportType

TITLES: Mapping[str, str] = {
    ReportType.SALES: "Relatório de vendas",
    ReportType.LEADS: "Relatório de clientes",
    ReportType.PERFORMANCE: "Relatório de desempenho",
    ReportType.CUSTOM: "Relatório personalizado",
}
MEDIA_TYPES: Mapping[str, str] = {
    Format.PDF: "application/pdf",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.CSV: "text/csv; charset=utf-8",
}
_WORDS = {"sales": "vendas", "leads": "clientes", "performance": "desempenho", "custom": "personalizado"}


def file_name(report_type: str, first: date, last: date, extension: str) -> str:
    """The name a browser saves it under: ``vendas-2026-01-01-a-2026-01-31.pdf``."""
    return f"{_WORDS[report_type]}-{first}-a-{last}.{extension}"
