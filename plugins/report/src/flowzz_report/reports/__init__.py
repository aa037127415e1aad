"""The four kinds of report: each turns rows into a Document."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowzz_report.document import Document
from flowzz_report.payload import ReportType
from flowzz_report.reports import custom, leads, performance, sales
from flowzz_report.reports.inquiry import Inquiry

BUILDERS: Mapping[ReportType, Callable[[Inquiry], Document]] = {
    ReportType.SALES: sales.build,
    ReportType.LEADS: leads.build,
    ReportType.PERFORMANCE: performance.build,
    ReportType.CUSTOM: custom.build,
}
