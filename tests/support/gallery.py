"""Four small plugins with the names of the real ones, for pages worth looking at: jobs in every state, as workers
really leave them. What a job does follows from its payload.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.errors import Permanent
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.retry import Exponential
from flowzz.plugins.contributions import Plugin, Schedule
from flowzz.plugins.hookspecs import hookimpl
from flowzz.workers import Worker
from support.waiting import eventually

QUICK = Exponential(attempts=3, delay=timedelta(milliseconds=20))

held = threading.Event()
"""Set to let ``report.generate`` finish; a test clears it first."""


class SyncSales(Payload):
    empresa_id: str
    force_full_sync: bool = False


class Synced(Result):
    synced: int
    errors: tuple[str, ...] = ()


class SyncAds(Payload):
    empresa_id: str
    ad_account_id: str


class SendMessage(Payload):
    empresa_id: str
    to: str
    template: str
    template_params: tuple[str, ...] = ()


class Generate(Payload):
    empresa_id: str
    report_type: str
    user_id: str


@job("coinzz.sync_sales", queue="sync-coinzz", retry=QUICK)
def sync_sales(ctx: JobContext, data: SyncSales) -> Synced:
    """Fetch new sales."""
    for page in range(1, 4):
        ctx.log(f"page {page}: 50 orders read, {46 + page} new")
        ctx.progress(page * 100 / 3, f"page {page}/3")
    return Synced(synced=144)


@job("facebook.sync_ads", queue="sync-facebook", retry=QUICK)
def sync_ads(ctx: JobContext, data: SyncAds) -> Synced:
    """Fails while the account's number ends in 7."""
    ctx.log(f"asking for insights of {data.ad_account_id}")
    if data.ad_account_id.endswith("7"):
        raise ValueError(f"{data.ad_account_id}: expected 'spend' to be a number, got 'n/a'\nin row 12 of page 1")
    return Synced(synced=31)


@job("whatsapp.send_message", queue="whatsapp", retry=QUICK)
def send_message(ctx: JobContext, data: SendMessage) -> dict[str, str]:
    """Fails for good when the template is unknown; what it says is the template's name."""
    if data.template not in ("order_shipped", "boleto_reminder"):
        raise Permanent(f"the template {data.template} does not exist in pt_BR")
    return {"messageId": "wamid.HBgLNTUxMTk4"}


@job("report.generate", queue="reports", retry=QUICK)
def generate(ctx: JobContext, data: Generate) -> dict[str, str]:
    """Stays active until ``held`` is set."""
    ctx.log("collecting 12,480 orders")
    ctx.progress(62, "writing sheet 5 of 8")
    while not held.wait(0.02):
        ctx.raise_if_canceled()
    return {"file": "vendas-2026-11.xlsx"}


class _Coinzz:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [sync_sales]

    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        return [
            Schedule(
                name="coinzz.sync_sales",
                job="coinzz.sync_sales",
                cron="0 * * * *",
                payloads=lambda store: [],
                description="New sales of every connected company",
            )
        ]


class _Facebook:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [sync_ads]

    @hookimpl
    def flowzz_schedules(self) -> list[Schedule]:
        return [
            Schedule(
                name="facebook.sync_ads",
                job="facebook.sync_ads",
                cron="0 */6 * * *",
                payloads=lambda store: [],
                description="Spend and results of every ad account",
            )
        ]


class _Whatsapp:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [send_message]


class _Report:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [generate]


def plugins() -> list[Plugin]:
    made = (("coinzz", "Coinzz", _Coinzz), ("facebook", "Facebook Ads", _Facebook))
    made += (("whatsapp", "WhatsApp", _Whatsapp), ("report", "Reports", _Report))
    return [Plugin(name=name, title=title, api=">=1,<2", hooks=hooks()) for name, title, hooks in made]


@contextmanager
def working(flowzz: Flowzz, *, name: str = "worker-1") -> Iterator[Worker]:
    """A worker in a thread, stopped at the end; held jobs are let go first."""
    worker = Worker(flowzz, name=name)
    thread = threading.Thread(target=worker.run, name=name)
    thread.start()
    try:
        yield worker
    finally:
        held.set()
        worker.stop()
        thread.join(timeout=20)
        assert not thread.is_alive(), "the worker did not stop"


@contextmanager
def busy(flowzz: Flowzz) -> Iterator[dict[str, str]]:
    """Jobs in each state, and a worker that is at work; gives one job's id a state."""
    held.clear()
    names = ("Loja Aurora", "Mercado Ipê", "Studio Lume")
    companies = [flowzz.store.add_company(name).id for name in names]
    ids = _enqueue_all(flowzz, companies)
    with working(flowzz):
        eventually(lambda: _settled(flowzz), saying="every job settled or held")
        flowzz.queues.pause("whatsapp", "Template review at Meta until 14:00")
        for number in range(8):
            payload = {"empresaId": companies[number % 3], "to": f"551199900{number:04}", "template": "order_shipped"}
            ids["waiting"] = flowzz.enqueue("whatsapp.send_message", payload)
        yield ids


def _enqueue_all(flowzz: Flowzz, companies: list[str]) -> dict[str, str]:
    ids = {}
    for number in range(24):
        ids["completed"] = flowzz.enqueue(
            "coinzz.sync_sales", {"empresaId": companies[number % 3], "forceFullSync": number == 0}
        )
    for number in range(5):
        account = f"act_10158{number}4{7 if number < 2 else 1}"
        sent = flowzz.enqueue("facebook.sync_ads", {"empresaId": companies[number % 3], "adAccountId": account})
        ids.setdefault("failed", sent)
    for number, template in enumerate(("order_shipped", "boleto_reminder", "pix_expirado", "order_shipped")):
        payload = {"empresaId": companies[number % 3], "to": f"551198765432{number}", "template": template}
        flowzz.enqueue("whatsapp.send_message", payload)
    report = {"empresaId": companies[0], "reportType": "sales", "userId": "u-7"}
    ids["active"] = flowzz.enqueue("report.generate", report)
    later = EnqueueOptions(delay=timedelta(hours=3))
    ids["delayed"] = flowzz.enqueue("report.generate", report, later)
    return ids


def _settled(flowzz: Flowzz) -> bool:
    queues = {queue.name: queue for queue in flowzz.stats()}
    unsettled = sum(queue.waiting + queue.active for queue in queues.values())
    due = queues["sync-facebook"].delayed + queues["whatsapp"].delayed
    return unsettled == 1 and queues["reports"].active == 1 and due == 0


def secret(text: str) -> SecretStr:
    return SecretStr(text)
