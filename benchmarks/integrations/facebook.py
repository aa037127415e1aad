"""A full sync of 2,000 Facebook ads with 28 days of insights, 500 rows a page, the report ready at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Table, func, insert, select

from flowzz.clock import now
from flowzz_facebook.graph import KINDS, insights_query
from flowzz_facebook.models import ad_sets, ads, campaigns, insights
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT, connection_fields
from flowzz_facebook.sandbox.state import TOKEN
from integrations.bench import Benchmark, Stage

PAGE = 500
CAMPAIGNS, AD_SETS_EACH = 10, 10
DAYS = 28
TABLES = (campaigns, ad_sets, ads, insights)


def _prepare(stage: Stage) -> list[str]:
    ads_each = max(1, stage.size // (CAMPAIGNS * AD_SETS_EACH))
    stage.control("seed", {"campaigns": CAMPAIGNS, "adSetsEach": AD_SETS_EACH, "adsEach": ads_each})
    stage.control("settings", {"running_polls": 0}, "PUT")
    fields = {
        **connection_fields(stage.sandbox_url),
        "history_days": DAYS,
        "page_size": PAGE,
        "insights_page_size": PAGE,
        "poll_seconds": 0.05,
    }
    company = stage.connect("Loja Grande", "facebook", fields)
    payload = {"empresaId": company, "adAccountId": FIRST_ACCOUNT, "forceFullSync": True}
    return [stage.app.enqueue("facebook.sync_campaigns", payload)]


def _check(stage: Stage, jobs: list[str]) -> None:
    (record,) = [stage.app.queues.job(job_id) for job_id in jobs]
    assert record.result is not None, (record.state, record.error)
    ads_there = stage.control("stats", method="GET")["accounts"][FIRST_ACCOUNT]["ads"]
    assert (record.result["ads"], record.result["errors"]) == (ads_there, 0), record.result
    with stage.app.store.session() as session:
        stored = session.scalar(select(func.count()).select_from(insights))
    assert stored == record.result["insights"] > ads_there * DAYS * 0.8


def _pages(stage: Stage, report: str = "2000000000000001") -> Iterator[bytes]:
    """Every page of the structure, and of a report: of the one that the sync left, if no other is named."""
    fields = {kind.edge: kind.fields for kind in KINDS}
    asked: list[tuple[str, dict[str, Any]]] = [
        (f"act_{FIRST_ACCOUNT}/{edge}", {"fields": names}) for edge, names in fields.items()
    ]
    asked.append((f"{report}/insights", {}))
    with httpx.Client(timeout=60, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        for path, query in asked:
            more: dict[str, Any] | None = {}
            while more is not None:
                body = http.get(f"{stage.sandbox_url}/v26.0/{path}", params={**query, "limit": PAGE, **more}).content
                yield body
                # The paging block ends each body, so it is found without reading the rows.
                paging = json.loads(body[body.rindex(b'"paging":') + 9 : -1])
                more = {"after": paging["cursors"]["after"]} if "next" in paging else None


def _sandbox_alone(stage: Stage) -> float:
    """A report made and every page asked for and thrown away.

    The fields are asked for in another order, or the sandbox would not have to work the rows out again.
    """
    today = now().date()
    query = insights_query(today - timedelta(days=DAYS - 1), today)
    form = {**query, "fields": ",".join(reversed(str(query["fields"]).split(",")))}
    began = time.perf_counter()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    made = httpx.post(f"{stage.sandbox_url}/v26.0/act_{FIRST_ACCOUNT}/insights", data=form, headers=headers, timeout=60)
    for _ in _pages(stage, made.json()["report_run_id"]):
        pass
    return time.perf_counter() - began


def _parsing(stage: Stage) -> float:
    """Every page's bytes as JSON."""
    bodies = list(_pages(stage))
    began = time.perf_counter()
    for body in bodies:
        json.loads(body)
    return time.perf_counter() - began


def _inserting(stage: Stage) -> float:
    """The rows that the sync left, inserted again as they are, 500 a transaction."""
    return sum(_insert_again(stage, table) for table in TABLES)


def _insert_again(stage: Stage, table: Table) -> float:
    with stage.app.store.session() as session:
        rows: list[dict[str, Any]] = [dict(row) for row in session.execute(select(table)).mappings()]
        session.execute(table.delete())
    began = time.perf_counter()
    for start in range(0, len(rows), PAGE):
        with stage.app.store.session() as session:
            session.execute(insert(table), rows[start : start + PAGE])
    return time.perf_counter() - began


BENCHMARK = Benchmark(
    name="facebook.sync",
    title="Facebook: sync of 2,000 ads × 28 days",
    plugin="facebook",
    size=2_000,
    unit="ads",
    prepare=_prepare,
    check=_check,
    floors={"sandbox alone": _sandbox_alone, "parsing": _parsing, "inserting": _inserting},
)
