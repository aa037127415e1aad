"""10,000 WhatsApp messages of 50 companies, each to somebody else, with the limits of senders and pairs on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from sqlalchemy import func, insert, select, update

from flowzz.jobs.options import Submission
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.sandbox.demo import connection_fields
from flowzz_whatsapp.sandbox.state import TOKEN
from integrations.bench import Benchmark, Stage

COMPANIES = 50
CONCURRENCY = 20
FIRST_SENDER = 500_000_000_000_001
FIRST_NUMBER = 80_000_000


def _prepare(stage: Stage) -> list[str]:
    stage.control("settings", {"window": "off", "statuses": []}, "PUT")
    companies = [
        stage.connect(
            f"Loja {place:02d}",
            "whatsapp",
            {**connection_fields(stage.sandbox_url), "phone_number_id": str(FIRST_SENDER + place)},
        )
        for place in range(COMPANIES)
    ]
    jobs = [
        Submission(
            "whatsapp.send_message",
            {
                "empresaId": companies[place % COMPANIES],
                "to": f"+55119{FIRST_NUMBER + place}",
                "message": f"Seu pedido {place} saiu para entrega.",
            },
        )
        for place in range(stage.size)
    ]
    return [made.id for made in stage.app.enqueue_many(jobs)]


def _check(stage: Stage, jobs: list[str]) -> None:
    with stage.app.store.session() as session:
        states = dict(session.execute(select(messages.c.state, func.count()).group_by(messages.c.state)).all())
    assert states == {"accepted": stage.size}, states
    phones = stage.control("phones", method="GET")
    assert len(phones) == stage.size
    assert all(len(received) == 1 for received in phones.values())


def _sandbox_alone(stage: Stage) -> float:
    """Every message posted and the answer thrown away, as many at a time as the worker has."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    # The sandbox's server closes connections that lay idle for 2 s; one that is used just then fails.
    limits = httpx.Limits(max_connections=CONCURRENCY, keepalive_expiry=1.0)
    with (
        httpx.Client(timeout=60, headers=headers, limits=limits) as http,
        ThreadPoolExecutor(CONCURRENCY) as pool,
    ):

        def post(place: int) -> None:
            body = {"messaging_product": "whatsapp", "to": f"+55119{10_000_000 + place}", "type": "text"}
            sender = FIRST_SENDER + 1000 + place % 1000
            answer = http.post(
                f"{stage.sandbox_url}/v26.0/{sender}/messages", json={**body, "text": {"body": "Seu pedido saiu."}}
            )
            answer.raise_for_status()

        began = time.perf_counter()
        list(pool.map(post, range(stage.size)))
        return time.perf_counter() - began


def _recording(stage: Stage) -> float:
    """The rows that the jobs left: each inserted before its request and updated after it, both committed."""
    with stage.app.store.session() as session:
        rows: list[dict[str, Any]] = [dict(row) for row in session.execute(select(messages)).mappings()]
        session.execute(messages.delete())
    began = time.perf_counter()
    for row in rows:
        with stage.app.store.session() as session:
            session.execute(insert(messages), row)
        with stage.app.store.session() as session:
            session.execute(update(messages).where(messages.c.id == row["id"]).values(state="accepted"))
    return time.perf_counter() - began


BENCHMARK = Benchmark(
    name="whatsapp.send",
    title="WhatsApp: 10,000 messages of 50 companies, limits on",
    plugin="whatsapp",
    size=10_000,
    unit="messages",
    prepare=_prepare,
    check=_check,
    floors={"sandbox alone": _sandbox_alone, "recording": _recording},
    concurrency=CONCURRENCY,
)
