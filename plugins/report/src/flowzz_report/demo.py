"""The demo: a sales report of what the other plugins' demos have just stored, as a page and as a workbook."""

from __future__ import annotations

from datetime import timedelta

from flowzz.plugins.contributions import DemoSession
from flowzz_report.generate import GENERATE_JOB
from flowzz_report.period import today
from flowzz_report.sweep import SWEEP_JOB

FORMATS = ("pdf", "xlsx")
DEMO_DAYS = 31


def run(session: DemoSession) -> None:
    """Ask for both, over the month that sandboxes make orders of; and for tomorrow, should it become that meanwhile."""
    last = today() + timedelta(days=1)
    first = last - timedelta(days=DEMO_DAYS)
    for form in FORMATS:
        session.enqueue(
            GENERATE_JOB,
            {
                "empresaId": session.company_id,
                "reportType": "sales",
                "startDate": first.isoformat(),
                "endDate": last.isoformat(),
                "userId": session.user_id,
                "format": form,
            },
        )
    session.enqueue(SWEEP_JOB, {})
