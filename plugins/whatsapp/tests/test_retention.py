"""Personal data is not kept for ever; what still needs it keeps it, and nothing is sent twice for want of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import Column, MetaData, Table, insert, select, update
from sqlalchemy import event as sqlalchemy_event

from flowzz.errors import ConfigurationError, InvalidRequest, JobCanceled, Permanent, Snoozed
from flowzz.plugins.contributions import Migrations
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_whatsapp import retention
from flowzz_whatsapp.configuration import WhatsAppSettings
from flowzz_whatsapp.errors import Refused
from flowzz_whatsapp.models import MIGRATIONS, contacts, events, messages, statuses
from flowzz_whatsapp.plugin import flowzz_schedules
from flowzz_whatsapp.resending import may_resend, resend
from flowzz_whatsapp.retention import DELETE_JOB, MARGIN, Deleted, DeleteOld, delete_old, guarded_for
from flowzz_whatsapp.states import State
from support.waiting import eventually

ANA = "+5511987654321"
KEEP = WhatsAppSettings().keep
KEEP_WEBHOOKS = WhatsAppSettings().keep_webhooks
SECRET_WORDS = "seu exame deu positivo"
SECOND = timedelta(seconds=1)


@contextmanager
def after(time: timedelta) -> Iterator[None]:
    """So much later; the clock stands still there."""
    with time_machine.travel(datetime.now(UTC) + time, tick=False):
        yield


def swept(company: Any, **more: Any) -> dict[str, int]:
    """What one run deleted, without what it did not."""
    done = delete_old(replace(company.context("delete"), **more), DeleteOld())
    return {name: count for name, count in done.model_dump().items() if count}


def incoming(company: Any, wa_id: str, at: datetime) -> bytes:
    said = {"from": wa_id, "id": f"wamid.{wa_id}", "timestamp": str(int(at.timestamp())), "type": "text"}
    contact = {"wa_id": wa_id, "profile": {"name": "Ana"}}
    return _body(company, {"messages": [said], "contacts": [contact]})


def _body(company: Any, value: dict[str, Any]) -> bytes:
    value |= {"messaging_product": "whatsapp", "metadata": {"phone_number_id": company.settings.phone_number_id}}
    document = {"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": value}]}]}
    return json.dumps(document).encode()


def everything(company: Any) -> str:
    """All that the plugin's tables hold of a company, in one text."""
    return "".join(str(company.rows(table)) for table in (messages, statuses, contacts, events))


@pytest.fixture(autouse=True)
def _quiet(upstream: Any) -> None:
    upstream.settings(statuses=[])


def test_a_message_at_rest_loses_who_and_what_and_keeps_how_far_it_came(each_company: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    wamid = company.send(message=SECRET_WORDS).message_id
    for word in ("sent", "delivered"):
        company.process(company.status(wamid, word, at, biz_opaque_callback_data="job:job-1"))
    company.process(incoming(company, ANA[1:], at))
    before = company.message()
    with after(KEEP_WEBHOOKS + SECOND):
        assert swept(company) == {"webhooks": 3}
    with after(KEEP - timedelta(minutes=1)):
        assert swept(company) == {}
    assert company.message() == before

    with after(KEEP + SECOND):
        assert swept(company) == {"contents": 1, "contacts": 1}
        assert swept(company) == {}

    row = company.message()
    for column in ("recipient", "match_key", "body"):
        assert row[column] == ""
    for column in ("template_parts", "wa_id", "user_id", "problem"):
        assert row[column] is None
    for column in ("correlation", "fingerprint", "job_id", "kind", "state", "delivered_at", "updated_at", "created_at"):
        assert row[column] == before[column]
    assert row["content_deleted_at"] > before["updated_at"] + KEEP
    assert company.statuses() == []
    for told in (SECRET_WORDS, ANA[1:], ANA[5:], "Ana", wamid):
        assert told not in everything(company)


def test_the_parameters_of_a_template_go_and_its_name_stays(each_company: Any) -> None:
    each_company.send(message="", templateName="pedido_enviado", templateParams={"nome": "Ana", "codigo": "7"})
    with after(KEEP + SECOND):
        assert swept(each_company) == {"contents": 1}
    row = each_company.message()
    assert (row["template_name"], row["template_language"], row["template_parts"]) == ("pedido_enviado", "pt_BR", None)


@pytest.mark.parametrize("state", State)
def test_what_may_still_be_sent_keeps_its_content(each_company: Any, state: State) -> None:
    each_company.send(message=SECRET_WORDS)
    with each_company.store.session() as session:
        session.execute(update(messages).values(state=state.value))
    needs_it = state in (State.WAITING, State.SENDING, State.UNKNOWN, State.HELD)

    with after(timedelta(days=3000)):
        deleted = swept(each_company)

    assert deleted == ({} if needs_it else {"contents": 1, "messages": 1})
    assert [row["body"] for row in each_company.messages()] == ([SECRET_WORDS] if needs_it else [])


def test_an_unknown_one_that_was_sent_again_needs_its_content_no_more(each_company: Any, upstream: Any) -> None:
    company = each_company
    upstream.faults(reset_after={"times": 1})
    with pytest.raises(Snoozed):
        company.send()
    company.send(job_id="job-2", resendOf=company.message()["id"])
    with after(KEEP + SECOND):
        assert swept(company) == {"contents": 2}
    with after(KEEP + timedelta(days=1)), pytest.raises(Permanent, match="nobody knows whether"):
        company.send()
    assert len(upstream.phones()[ANA]) == 2


def test_a_row_stays_until_no_job_can_send_it_again(each_company: Any, upstream: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    sent = company.send()
    longest = guarded_for(company.context().settings, WhatsAppSettings())
    assert longest == timedelta(days=365) + MARGIN
    with after(KEEP + SECOND):
        assert swept(company) == {"contents": 1}

    with time_machine.travel(at + timedelta(days=364), tick=False):
        assert swept(company) == {}
        again = company.send()
        with pytest.raises(Permanent, match="sent another message before"):
            company.send(message="outra")
    assert again.status == sent.status
    with after(longest + timedelta(days=1)):
        # Its job ran again, so it is kept anew.
        assert swept(company) == {}
        assert company.send().status == sent.status
    with after(longest * 2 + timedelta(days=3)):
        assert swept(company) == {"messages": 1}
    assert company.messages() == []
    assert len(upstream.phones()[ANA]) == 1


def test_a_longer_retention_of_jobs_or_contents_guards_longer(each_company: Any) -> None:
    settings = each_company.context().settings
    short = settings.model_copy(update={"keep_completed_for": 60.0, "keep_failed_for": 3600.0})
    kept = WhatsAppSettings(keep_days=8)
    assert guarded_for(short, kept) == timedelta(hours=1) + MARGIN
    assert guarded_for(short.model_copy(update={"keep_completed_for": 7200.0}), kept) == timedelta(hours=2) + MARGIN
    assert guarded_for(short, WhatsAppSettings(keep_days=400)) == timedelta(days=400)


def test_a_refused_one_that_is_replayed_later_has_its_content_again(each_company: Any, upstream: Any) -> None:
    company = each_company
    upstream.faults(error={"code": 131026, "status": 400, "times": 1})
    with pytest.raises(Refused):
        company.send(message=SECRET_WORDS)
    with after(KEEP + SECOND):
        assert swept(company) == {"contents": 1}
        assert (company.message()["message_id"], company.message()["error_code"]) == (None, 131026)
        company.send(message=SECRET_WORDS)
        row = company.message()
    assert (row["state"], row["recipient"], row["body"]) == ("accepted", ANA, SECRET_WORDS)
    assert (row["match_key"], row["content_deleted_at"]) == ("551187654321", None)
    assert len(upstream.phones()[ANA]) == 1
    with after(KEEP * 2 + timedelta(minutes=1)):
        assert swept(company) == {"contents": 1}


def test_a_repeat_of_a_status_turns_nothing_back(each_company: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    wamid = company.send().message_id
    told = [
        company.status(wamid, word, at, biz_opaque_callback_data="job:job-1") for word in ("sent", "delivered", "read")
    ]
    for body in told:
        company.process(body)
    with after(KEEP + SECOND):
        swept(company)
        before = company.message()
        for body in told:
            assert company.process(body).attached == 0
    assert company.message() == before
    assert before["state"] == "read"
    with after(KEEP * 2 + timedelta(minutes=1)):
        assert swept(company) == {"statuses": 3, "webhooks": 3}


def test_a_status_of_a_message_that_still_has_its_content_stays(each_company: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    wamid = company.send().message_id
    company.process(company.status(wamid, "sent", at))
    with after(KEEP - timedelta(days=1)):
        company.process(company.status(wamid, "delivered", at + SECOND))
    with after(KEEP + timedelta(days=1)):
        assert swept(company) == {"webhooks": 1}
        assert len(company.statuses()) == 2


def test_a_webhook_that_is_still_pending_is_not_lost(each_company: Any) -> None:
    company = each_company
    wamid = company.send().message_id
    company.receive(company.status(wamid, "sent", datetime.now(UTC)))
    with after(KEEP_WEBHOOKS * 2):
        assert swept(company) == {}
    assert len(company.events()) == 1


def test_a_repeat_of_a_deleted_webhook_is_taken_and_counts_once(each_company: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    wamid = company.send().message_id
    body = company.status(wamid, "delivered", at)
    company.process(body)
    with after(KEEP_WEBHOOKS + SECOND):
        assert swept(company) == {"webhooks": 1}
        assert company.process(body).attached == 0
    assert len(company.statuses()) == 1
    assert company.message()["state"] == "delivered"


def test_who_wrote_within_the_window_is_remembered(each_company: Any) -> None:
    company, at = each_company, datetime.now(UTC)
    company.process(incoming(company, ANA[1:], at))
    company.process(incoming(company, "5511912345678", at + KEEP))
    with after(KEEP + timedelta(minutes=1)):
        assert swept(company)["contacts"] == 1
    assert [row["wa_id"] for row in company.contacts()] == ["5511912345678"]


def test_what_was_deleted_cannot_be_sent_again(each_company: Any, upstream: Any, queue: Any) -> None:
    upstream.faults(error={"code": 131026, "status": 400, "times": 1})
    with pytest.raises(Refused):
        each_company.send()
    with after(KEEP + SECOND):
        swept(each_company)
    row = each_company.message()
    assert not may_resend(row)
    with pytest.raises(InvalidRequest, match="its content was deleted on"):
        resend(each_company.store, queue, row["id"])
    assert queue.jobs == []


MANY = 40


def fill(company: Any, many: int = MANY) -> None:
    """So many old messages with two statuses each, and so many old webhooks, contacts and statuses of nobody."""
    company.send(job_id="first")
    at = datetime.now(UTC) - KEEP - timedelta(days=1)
    row = {name: value for name, value in company.message().items() if name != "id"}
    row |= {"state": "read", "created_at": at, "updated_at": at}
    common = {"company_id": company.id, "phone_number_id": row["phone_number_id"]}
    said = {**common, "happened_at": at, "participant": "", "arrived_at": at}
    event = {"company_id": company.id, "connection_id": row["connection_id"], "body": b"{}", "arrived_at": at}
    places = range(many)
    with company.store.session() as session:
        made = session.scalars(
            insert(messages).returning(messages.c.id),
            [{**row, "job_id": f"old-{place}", "correlation": f"job:old-{place}"} for place in places],
        ).all()
        session.execute(
            insert(statuses),
            [
                {**said, "message_id": f"wamid.{number}", "status": word, "message_row": number}
                for number in made
                for word in ("sent", "read")
            ]
            + [{**said, "message_id": f"loose.{place}", "status": "sent", "message_row": None} for place in places],
        )
        session.execute(insert(events), [{**event, "event_id": f"e{n}", "processed_at": at} for n in places])
        session.execute(insert(contacts), [{**common, "contact_key": f"c{n}", "last_incoming_at": at} for n in places])


def is_whole(company: Any) -> bool:
    """No message is half deleted: it has content and statuses, or neither."""
    has = {row["message_row"] for row in company.statuses() if row["message_row"] is not None}
    old = [row for row in company.messages() if row["job_id"] != "first"]
    return has == {row["id"] for row in old if row["body"]} == {row["id"] for row in old if row["recipient"]}


ALL_OLD = {"contents": MANY, "statuses": MANY, "webhooks": MANY, "contacts": MANY}


@pytest.fixture
def old(each_company: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A company with old rows of every kind, which are deleted in small chunks."""
    monkeypatch.setattr(retention, "CHUNK", 7)
    monkeypatch.setattr(retention, "LARGE_CHUNK", 7)
    fill(each_company)
    return each_company


def test_all_that_is_old_goes_and_what_is_new_stays(old: Any) -> None:
    assert swept(old) == ALL_OLD
    assert [row["job_id"] for row in old.messages() if row["body"]] == ["first"]
    assert swept(old) == {}


class Canceled:
    """Says "canceled" when it is asked for the ``nth`` time."""

    def __init__(self, recorder: Any, nth: int) -> None:
        self.recorder, self.left = recorder, nth

    stop_requested = False

    @property
    def cancel_requested(self) -> bool:
        self.left -= 1
        return self.left == 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recorder, name)


@pytest.mark.parametrize("nth", [1, 3, 8, 15, 25])
def test_ended_between_two_chunks_it_goes_on_from_there(old: Any, recorder: Any, nth: int) -> None:
    with pytest.raises(JobCanceled):
        swept(old, reporter=Canceled(recorder, nth))
    assert is_whole(old)
    rest = swept(old)
    assert sum(rest.values()) < 4 * MANY or nth == 1
    assert is_whole(old)
    assert everything_old(old) == (0, 0, 0, 0)


def everything_old(company: Any) -> tuple[int, ...]:
    """How many contents, statuses, webhooks and contacts are left that should not be."""
    contents = sum(1 for row in company.messages() if row["body"] and row["job_id"] != "first")
    return contents, len(company.statuses()), len(company.events()), len(company.contacts())


def test_a_worker_that_is_asked_to_stop_ends_it_early(old: Any, recorder: Any) -> None:
    recorder.stop_requested = True
    assert swept(old, reporter=recorder) == {}
    assert swept(old) == ALL_OLD


class Broken:
    """A store whose ``nth`` session breaks before it commits."""

    def __init__(self, store: Any, nth: int) -> None:
        self.store, self.left = store, nth

    @contextmanager
    def session(self) -> Iterator[Any]:
        self.left -= 1
        with self.store.session() as session:
            yield session
            if self.left == 0:
                raise ConnectionError("the database went away")


@pytest.mark.parametrize("nth", [1, 4, 8, 14, 20])
def test_a_chunk_that_breaks_changes_nothing(old: Any, nth: int) -> None:
    with pytest.raises(ConnectionError):
        swept(old, store=Broken(old.store, nth))
    assert is_whole(old)
    swept(old)
    assert everything_old(old) == (0, 0, 0, 0)


SWEEP = """
import sys
from flowzz.jobs.context import JobContext
from flowzz.settings import Settings
from flowzz.store import Store
from flowzz_whatsapp import retention

class Host:
    settings = Settings.load(home=sys.argv[1])

class Reporter:
    stop_requested = cancel_requested = lease_lost = False

retention.CHUNK = retention.LARGE_CHUNK = 3
store = Store.open(Host.settings)
context = JobContext("d", "whatsapp.delete_old", "q", None, 1, 3, "w", store, Host(), Reporter())
print("begins", flush=True)
retention.delete_old(context, retention.DeleteOld())
"""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_killed_at_any_point_and_run_again_it_is_done(company: Any, home: Path, share: float) -> None:
    many = 300
    fill(company, many)
    process = subprocess.Popen([sys.executable, "-c", SWEEP, str(home)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        eventually(lambda: sum(everything_old(company)) <= (1 - share) * 5 * many or process.poll() is not None)
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()
    assert is_whole(company)

    swept(company)

    assert everything_old(company) == (0, 0, 0, 0)
    assert is_whole(company)


def test_a_message_that_somebody_changes_just_then_is_left_for_later(postgres_company: Any) -> None:
    company = postgres_company
    fill(company, 2)
    number = company.messages()[-1]["id"]
    with company.store.session() as session:
        session.execute(select(messages).where(messages.c.id == number).with_for_update())
        assert swept(company)["contents"] == 1
    assert swept(company) == {"contents": 1}


def test_it_uses_its_indexes(old: Any) -> None:
    """Also when most rows are blank already, a chunk is found without reading them all."""
    queries: list[str] = []
    engine = old.store.engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *given: queries.append(given[2]))
    swept(old)
    assert queries
    if engine.dialect.name == "sqlite":
        selects = {query for query in queries if query.startswith("SELECT")}
        with engine.connect() as connection:
            plans = [
                str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?")).all())
                for query in selects
            ]
        assert len(plans) == 6
        assert not [plan for plan in plans if "SCAN whatsapp" in plan]


def test_it_runs_every_hour_for_all_companies(store: Any) -> None:
    (schedule,) = [one for one in flowzz_schedules() if one.job == DELETE_JOB]
    assert schedule.cron == "50 * * * *"
    assert list(schedule.payloads(store)) == [DeleteOld()]
    assert set(ALL_OLD) < set(Deleted.model_fields)


@pytest.mark.parametrize(("name", "value"), [("KEEP_DAYS", "7"), ("KEEP_DAYS", "soon"), ("KEEP_WEBHOOK_DAYS", "0")])
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, company: Any, name: str, value: str) -> None:
    monkeypatch.setenv(f"FLOWZZ_WHATSAPP_{name}", value)
    with pytest.raises(ConfigurationError, match=rf"FLOWZZ_WHATSAPP_{name}: .*got '{value}'"):
        swept(company)


def test_the_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, each_company: Any) -> None:
    monkeypatch.setenv("FLOWZZ_WHATSAPP_KEEP_DAYS", "8")
    each_company.send()
    with after(timedelta(days=8)):
        assert swept(each_company) == {"contents": 1}


OLD_ROW = {
    "connection_id": "c",
    "phone_number_id": "5",
    "fingerprint": "f",
    "recipient": ANA,
    "match_key": ANA[1:],
    "kind": "text",
    "body": "oi",
    "attempts": 1,
    "throttles": 0,
}


def test_rows_of_before_are_kept_and_resent_by_the_id_they_had(
    home: Path, database_url: str | None, tmp_path: Path, queue: Any
) -> None:
    """A resend that was queued before the update is the same job as one that is asked for after it."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    shutil.copy(MIGRATIONS.folder / "versions" / "whatsapp_0001_messages.py", versions)
    at = datetime.now(UTC)
    before = Table("whatsapp_messages", MetaData(), *[column._copy() for column in messages.c if not _is_new(column)])
    store = Store.open(Settings.load(home=home, database_url=database_url))
    try:
        assert store.migrate([Migrations(plugin="whatsapp", folder=versions.parent)])[-1] == "whatsapp:whatsapp_0001"
        company = store.add_company("Loja")
        row = {**OLD_ROW, "company_id": company.id, "created_at": at, "updated_at": at}
        rows = [{**row, "job_id": word, "correlation": f"job:{word}", "state": word} for word in ("failed", "read")]
        with store.session() as session:
            failed, read = session.scalars(insert(before).returning(before.c.id, sort_by_parameter_order=True), rows)

        assert store.migrate([MIGRATIONS])[0] == "whatsapp:whatsapp_0002"
        assert store.migrate([MIGRATIONS]) == []

        with store.session() as session:
            found = {row["id"]: dict(row) for row in session.execute(select(messages)).mappings()}
        assert set(found) == {failed, read}
        assert {row["body"] for row in found.values()} == {"oi"}
        assert {row["content_deleted_at"] for row in found.values()} == {None}
        assert (found[failed]["resend_job"], found[read]["resend_job"]) == (f"whatsapp-resend-{failed}", None)
        assert resend(store, queue, failed) == f"whatsapp-resend-{failed}"
    finally:
        store.close()


def _is_new(column: Column[Any]) -> bool:
    return column.name in ("content_deleted_at", "resend_job")
