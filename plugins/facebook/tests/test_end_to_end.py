"""The whole way: a real worker on a real Valkey syncs from the sandbox over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.errors import InvalidPayload
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz_facebook.models import MIGRATIONS, ads, insights
from flowzz_facebook.plugin import plugin
from flowzz_facebook.sandbox import demo
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT
from flowzz_facebook.sandbox.state import APP_SECRET, PROOF, TOKEN
from support.waiting import eventually
from support.working import working

SECOND_ACCOUNT = "1000000000000002"
WITHIN = timedelta(seconds=60)


@dataclass
class Session:
    """A DemoSession on a running Flowzz."""

    flowzz: Flowzz
    company: Any
    sandbox_url: str
    connected: Callable[..., Any]
    webhook_url: str = ""
    jobs: list[str] = field(default_factory=list)

    @property
    def company_id(self) -> str:
        return str(self.company.id)

    @property
    def connection(self) -> Any:
        return self.company.connection

    def enqueue(self, job: str, payload: Mapping[str, Any]) -> str:
        self.expect(self.flowzz.enqueue(job, payload))
        return self.jobs[-1]

    def expect(self, job_id: str) -> None:
        self.jobs.append(job_id)

    def sync(self, account: str = FIRST_ACCOUNT, **more: Any) -> str:
        payload = {"empresaId": self.company_id, "adAccountId": account, **more}
        return self.enqueue("facebook.sync_campaigns", payload)

    def until_needs_credentials(self) -> Any:
        """The connection, once it is paused for its token."""

        def paused() -> Any:
            found = self.flowzz.store.connection_by_id(self.connection.id)
            return found if found.state is ConnectionState.NEEDS_CREDENTIALS else None

        return eventually(paused)

    def done(self, job_id: str) -> Any:
        record = self.flowzz.queues.wait(job_id, WITHIN)
        assert record.state.is_final, record
        return record


@pytest.fixture
def flowzz(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate([MIGRATIONS])
        yield opened


@pytest.fixture
def session(flowzz: Flowzz, upstream: Any, connected: Callable[..., Any]) -> Iterator[Session]:
    company = connected(flowzz.store, upstream.url, ad_account_ids=[FIRST_ACCOUNT, SECOND_ACCOUNT])
    with working(flowzz):
        yield Session(flowzz, company, upstream.url, connected)


def test_the_plugin_loads_without_a_problem(flowzz: Flowzz) -> None:
    (record,) = flowzz.plugins.records
    assert (record.problem, str(record.state)) == (None, "loaded")
    schedule = flowzz.plugins.schedules["facebook.sync_campaigns"]
    assert (schedule.cron, schedule.timezone) == ("0 */6 * * *", "America/Sao_Paulo")
    assert flowzz.plugins.queues == ("sync-facebook",)
    assert list(flowzz.plugins.data_sources) == ["facebook.ad_performance"]


def test_the_demo_runs_the_job(session: Session) -> None:
    demo.run(session)
    (job_id,) = session.jobs
    record = session.done(job_id)
    assert record.state is JobState.COMPLETED, record.error
    assert {**record.result, "insights": 0} == {"campaigns": 3, "adSets": 6, "ads": 24, "insights": 0, "errors": 0}
    assert record.result["insights"] == len(session.company.rows(insights)) > 1000


def test_a_sync_runs_on_a_real_worker(session: Session, upstream: Any) -> None:
    """Each report is waited for without a thread, and uses no attempt."""
    upstream.seed()
    upstream.settings(not_started_polls=1, running_polls=2)
    record = session.done(session.sync())
    assert (record.state, record.attempts_made) == (JobState.COMPLETED, 1)
    outcomes = [attempt.outcome for attempt in session.flowzz.queues.attempts(record.id)]
    assert outcomes[-1] == "completed"
    assert outcomes.count("postponed") >= 6
    assert upstream.stats()["reports"] == 2


def test_a_throttled_sync_uses_no_attempt(session: Session, upstream: Any) -> None:
    upstream.seed()
    upstream.settings(usage_headers=False)
    upstream.faults(throttled={"endpoint": "ads", "times": 1, "minutes": 0, "retry_after": 1, "status": 429})
    upstream.settings(usage_headers=True)
    record = session.done(session.sync())
    assert (record.result["ads"], record.attempts_made) == (12, 1)
    assert upstream.calls("campaigns") == 2


def test_a_held_account_holds_nobody_else(session: Session, upstream: Any) -> None:
    upstream.seed()
    upstream.seed(account=SECOND_ACCOUNT)
    upstream.faults(throttled={"account": FIRST_ACCOUNT, "minutes": 30})
    held = session.sync()
    eventually(lambda: session.flowzz.queues.job(held).state is JobState.DELAYED)
    assert session.done(session.sync(SECOND_ACCOUNT)).result["ads"] == 12
    behind = session.sync(forceFullSync=True)
    # Until a worker looks at it, it waits for its turn like any other.
    eventually(lambda: f"facebook.account:{FIRST_ACCOUNT}" in str(session.flowzz.queues.explain(behind)))


def test_a_refused_token_pauses_the_connection(session: Session, upstream: Any) -> None:
    """Each sync of the company waits; another company's goes on."""
    upstream.faults(token_refused={"subcode": 460, "times": 2})
    waiting = session.sync()
    paused = session.until_needs_credentials()
    assert "the password was changed" in paused.state_reason
    behind = session.sync(SECOND_ACCOUNT)
    eventually(lambda: session.flowzz.queues.job(behind).state is JobState.DELAYED)
    eventually(lambda: session.flowzz.queues.job(waiting).state is JobState.DELAYED)
    other = session.connected(session.flowzz.store, upstream.url)
    payload = {"empresaId": other.id, "adAccountId": FIRST_ACCOUNT}
    assert session.done(session.enqueue("facebook.sync_campaigns", payload)).state is JobState.COMPLETED


def test_new_credentials_go_on_where_the_sync_stood(session: Session, upstream: Any) -> None:
    upstream.seed()
    upstream.faults(token_refused={"after": 5})
    job_id = session.sync()
    session.until_needs_credentials()
    upstream.faults()
    secrets = {"access_token": SecretStr(TOKEN), "app_secret": SecretStr(APP_SECRET)}
    session.flowzz.store.update_connection(session.connection.id, secrets=secrets)
    record = session.done(job_id)
    assert (record.state, record.result["ads"], record.attempts_made) == (JobState.COMPLETED, 12, 1)
    assert (upstream.calls("account"), upstream.calls("campaigns")) == (1, 2)


def test_a_passing_trouble_is_retried_by_the_job(session: Session, upstream: Any) -> None:
    upstream.seed()
    upstream.faults(server_error={"endpoint": "ads", "times": 3})
    record = session.done(session.sync())
    assert (record.result["ads"], record.attempts_made) == (12, 2)
    assert upstream.calls("campaigns") == 2


def test_a_tick_has_one_job_an_account(flowzz: Flowzz, connected: Callable[..., Any]) -> None:
    connected(flowzz.store, ad_account_ids=[FIRST_ACCOUNT, SECOND_ACCOUNT])
    connected(flowzz.store)
    six_hourly = flowzz.plugins.schedules["facebook.sync_campaigns"]
    assert [flowzz.fire(six_hourly, now() + timedelta(hours=hours)).jobs for hours in (0, 6)] == [3, 0]


def test_a_wrong_account_is_refused_at_the_door(flowzz: Flowzz) -> None:
    with pytest.raises(InvalidPayload, match=r"adAccountId: .*expected an ad account id such as act_1234567890"):
        flowzz.enqueue("facebook.sync_campaigns", {"empresaId": "a", "adAccountId": "seven"})


def test_no_secret_is_written_down(
    session: Session, upstream: Any, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    caplog.clear()
    upstream.seed()
    upstream.faults(server_error={"every": 5}, too_much_data={"rows": 40, "times": 2})
    good = session.done(session.sync())
    upstream.faults(refused=True)
    bad = session.done(session.sync())
    upstream.faults(token_refused=True)
    session.sync(SECOND_ACCOUNT)
    paused = session.until_needs_credentials()
    lines = [line for record in (good, bad) for line in session.flowzz.queues.log(record.id)]
    attempts = [session.flowzz.queues.attempts(record.id) for record in (good, bad)]
    written = "".join(file.read_text() for file in (settings.home / "logs").glob("*.log"))
    everything = f"{good}{bad}{paused}{lines}{attempts}{caplog.text}{written}"
    for secret in (TOKEN, APP_SECRET, PROOF):
        assert secret not in everything


def test_no_batch_is_sent(session: Session, upstream: Any) -> None:
    upstream.seed()
    session.done(session.sync())
    assert {one["path"] for one in upstream.requests() if one["method"] == "POST"} == {f"act_{FIRST_ACCOUNT}/insights"}


def test_a_large_account_is_paged(session: Session, upstream: Any) -> None:
    upstream.seed(campaigns=10, ad_sets=5, ads=20)
    record = session.done(session.sync())
    assert record.result["ads"] == len(session.company.rows(ads)) == 1000
    assert upstream.calls("ads") == 11
