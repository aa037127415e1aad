"""A full sync of 100,000 Coinzz orders, 500 a page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from sqlalchemy import Table, func, insert, select

from flowzz_coinzz.models import events, orders
from flowzz_coinzz.sandbox.demo import connection_fields
from flowzz_coinzz.sandbox.state import TOKEN
from integrations.bench import Benchmark, Stage

PAGE = 500


def _prepare(stage: Stage) -> list[str]:
    stage.control("seed", {"orders": stage.size, "per_page": PAGE})
    fields = {**connection_fields(stage.sandbox_url), "per_page": PAGE, "rate": 10_000}
    company = stage.connect("Loja Grande", "coinzz", fields)
    return [stage.app.enqueue("coinzz.sync_sales", {"empresaId": company, "forceFullSync": True})]


def _check(stage: Stage, jobs: list[str]) -> None:
    (record,) = [stage.app.queues.job(job_id) for job_id in jobs]
    assert record.result == {"synced": stage.size, "errors": 0}, (record.state, record.error, record.result)
    with stage.app.store.session() as session:
        assert session.scalar(select(func.count()).select_from(orders)) == stage.size


def _pages(stage: Stage) -> Iterator[bytes]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    with httpx.Client(timeout=60, headers=headers) as http:
        for page in range(1, -(-stage.size // PAGE) + 1):
            yield http.get(f"{stage.sandbox_url}/api/sales", params={"page": page, "per_page": PAGE}).content


def _sandbox_alone(stage: Stage) -> float:
    """Every page asked for and thrown away."""
    began = time.perf_counter()
    for _ in _pages(stage):
        pass
    return time.perf_counter() - began


def _parsing(stage: Stage) -> float:
    """The bytes of one page as JSON, times the pages."""
    body = next(_pages(stage))
    began = time.perf_counter()
    for _ in range(-(-stage.size // PAGE)):
        json.loads(body)
    return time.perf_counter() - began


def _inserting(stage: Stage) -> float:
    """The rows that the sync left, inserted again as they are, 500 a transaction."""
    return sum(_insert_again(stage, table) for table in (orders, events))


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
    name="coinzz.sync",
    title="Coinzz: full sync of 100,000 orders",
    plugin="coinzz",
    size=100_000,
    unit="orders",
    prepare=_prepare,
    check=_check,
    floors={"sandbox alone": _sandbox_alone, "parsing": _parsing, "inserting": _inserting},
)
