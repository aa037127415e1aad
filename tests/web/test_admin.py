"""The admin's pages and what can be done there, with jobs that a real worker left in every state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.errors import JobNotFound
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_web import create_app
from support import gallery
from support.visiting import HTML, csrf_token, sign_in

SALES = {"empresaId": "loja-1"}


@pytest.fixture
def admin(as_role: Callable[[Role], FlaskClient]) -> FlaskClient:
    return as_role(Role.ADMIN)


@pytest.fixture
def act(admin: FlaskClient) -> Callable[..., Any]:
    """Press a button; gives the page that the browser lands on."""

    def post(path: str, page: str = "/admin/queues", **form: str) -> Any:
        data = {"csrf_token": csrf_token(admin, page), **form}
        answer = admin.post(f"/admin{path}", data=data, headers=HTML)
        assert answer.status_code == 303, answer.text
        return admin.get(answer.headers["Location"], headers=HTML)

    return post


@pytest.fixture
def ids(flowzz: Flowzz) -> Iterator[dict[str, str]]:
    with gallery.busy(flowzz) as made:
        yield made


def test_the_overview_shows_queues_workers_and_schedules(admin: FlaskClient, ids: dict[str, str]) -> None:
    page = admin.get("/admin/queues", headers=HTML).text
    for text in ("sync-coinzz", "whatsapp", "Template review at Meta until 14:00", "worker-1", "America/Sao_Paulo"):
        assert text in page
    assert "sync-coinzz, Completed: 24" in page
    assert "sync-facebook, Failed: 2" in page
    assert "whatsapp, Waiting: 8" in page


def test_a_list_shows_each_job_with_company_attempts_and_error(admin: FlaskClient, ids: dict[str, str]) -> None:
    page = admin.get("/admin/queues/sync-facebook?state=failed", headers=HTML).text
    assert ids["failed"] in page
    assert "Loja Aurora" in page
    assert "3 of 3" in page
    assert "expected &#39;spend&#39; to be a number" in page
    assert "in row 12" not in page, "only the error's first line belongs into the list"


def test_a_job_shows_payload_result_attempts_error_and_log(admin: FlaskClient, ids: dict[str, str]) -> None:
    done = admin.get(f"/admin/jobs/{ids['completed']}", headers=HTML).text
    assert "forceFullSync" in done
    assert "&#34;synced&#34;: 144" in done
    assert "page 3: 50 orders read" in done
    failed = admin.get(f"/admin/jobs/{ids['failed']}", headers=HTML).text
    assert failed.count("failed, tried again") == 2
    assert "Traceback (most recent call last)" in failed
    active = admin.get(f"/admin/jobs/{ids['active']}", headers=HTML).text
    assert 'value="62.0"' in active
    assert "writing sheet 5 of 8" in active
    assert "/remove" not in active, "an active job cannot be removed, so there is no button"


def test_long_lists_are_paged(admin: FlaskClient, flowzz: Flowzz) -> None:
    for _ in range(51):
        flowzz.enqueue("coinzz.sync_sales", SALES)
    first = admin.get("/admin/queues/sync-coinzz", headers=HTML).text
    assert "1–50 of 51" in first
    assert "offset=50" in first
    second = admin.get("/admin/queues/sync-coinzz?offset=50", headers=HTML).text
    assert "51–51 of 51" in second
    assert "This page is empty by now" in admin.get("/admin/queues/sync-coinzz?offset=100", headers=HTML).text


@pytest.mark.parametrize("query", ["state=nonsense", "offset=-1", "offset=x", f"offset={10**30}", "offset=٣"])
def test_a_mistyped_query_is_no_error(admin: FlaskClient, query: str) -> None:
    assert admin.get(f"/admin/queues/whatsapp?{query}", headers=HTML).status_code == 200


def test_empty_lists_say_what_to_do_next(admin: FlaskClient) -> None:
    assert "flowzz worker" in admin.get("/admin/queues", headers=HTML).text
    assert "flowzz enqueue" in admin.get("/admin/queues/whatsapp", headers=HTML).text
    assert "Nothing has failed" in admin.get("/admin/queues/whatsapp?state=failed", headers=HTML).text


def test_an_unknown_queue_is_404_with_the_nearest(admin: FlaskClient) -> None:
    answer = admin.get("/admin/queues/whatsap", headers=HTML)
    assert answer.status_code == 404
    assert "Did you mean whatsapp?" in answer.text


def test_an_unknown_job_is_404(admin: FlaskClient) -> None:
    answer = admin.get("/admin/jobs/nope", headers=HTML)
    assert answer.status_code == 404
    assert "no longer kept" in answer.text


def test_retry_puts_a_failed_job_back_and_is_on_record(
    act: Callable[..., Any], flowzz: Flowzz, ids: dict[str, str]
) -> None:
    page = act(f"/jobs/{ids['failed']}/retry")
    assert f"Job {ids['failed']} is waiting again." in page.text
    flowzz.queues.wait(ids["failed"], timedelta(seconds=90))
    assert len(flowzz.queues.attempts(ids["failed"])) > 3, "earlier attempts stay on record"
    entry = flowzz.store.audit()[0]
    assert (entry.actor, entry.action, entry.target) == ("admin@flowzz.example", "job.retry", ids["failed"])


def test_remove_takes_it_away_and_leads_back_to_the_list(act: Callable[..., Any], flowzz: Flowzz) -> None:
    job_id = flowzz.enqueue("coinzz.sync_sales", SALES)
    page = act(f"/jobs/{job_id}/remove", back="/admin/queues/sync-coinzz?state=waiting")
    assert f"Job {job_id} was removed." in page.text
    assert "<h1>sync-coinzz</h1>" in page.text
    with pytest.raises(JobNotFound):
        flowzz.queues.job(job_id)


def test_a_refusal_says_exactly_why_changes_nothing_and_is_on_record(
    act: Callable[..., Any], flowzz: Flowzz, ids: dict[str, str]
) -> None:
    assert f"Cannot remove job {ids['active']}: it is active." in act(f"/jobs/{ids['active']}/remove").text
    assert f"Cannot retry job {ids['completed']}: it is completed." in act(f"/jobs/{ids['completed']}/retry").text
    assert "No job has the id gone" in act("/jobs/gone/retry").text
    assert flowzz.queues.job(ids["active"]).state is JobState.ACTIVE
    assert all("refused" in entry.detail for entry in flowzz.store.audit()[:3])


def test_pause_and_resume(act: Callable[..., Any], flowzz: Flowzz) -> None:
    flowzz.enqueue("whatsapp.send_message", {**SALES, "to": "55", "template": "t"})
    assert "Queue whatsapp is paused." in act("/queues/whatsapp/pause", reason=" review ").text
    stats = flowzz.queues.stats(["whatsapp"])[0]
    assert (stats.is_paused, stats.pause_reason, stats.paused, stats.waiting) == (True, "review", 1, 0)
    assert "Queue whatsapp runs again." in act("/queues/whatsapp/resume").text
    assert not flowzz.queues.stats(["whatsapp"])[0].is_paused
    assert [entry.action for entry in flowzz.store.audit()[:2]] == ["queue.resume", "queue.pause"]


@pytest.mark.parametrize("path", ["/jobs/{}/remove", "/jobs/{}/retry", "/queues/whatsapp/pause"])
def test_no_action_without_a_token_or_by_get(admin: FlaskClient, flowzz: Flowzz, path: str) -> None:
    job_id = flowzz.enqueue("coinzz.sync_sales", SALES, EnqueueOptions(delay=timedelta(hours=1)))
    target = "/admin" + path.format(job_id)
    assert admin.post(target, headers=HTML).status_code == 403
    assert admin.post(target, data={"csrf_token": "forged"}, headers=HTML).status_code == 403
    assert admin.get(target, headers=HTML).status_code in (404, 405)
    assert flowzz.queues.job(job_id).state is JobState.DELAYED
    assert not flowzz.queues.stats(["whatsapp"])[0].is_paused
    assert [entry.action for entry in flowzz.store.audit()] == ["session.start"]


def test_the_live_part_comes_alone_when_the_page_asks(admin: FlaskClient) -> None:
    part = admin.get("/admin/queues", headers={"X-Flowzz-Fragment": "live", **HTML}).text
    assert "<html" not in part
    assert "sync-coinzz" in part


def test_plugins_show_what_they_bring_and_what_is_wrong(settings: Settings, flowzz: Flowzz) -> None:
    broken = Plugin(name="broken", title="Broken one", api=">=9", hooks=object())
    host = PluginHost.of([*gallery.plugins(), broken])
    client = create_app(Flowzz(settings, host, flowzz.store, flowzz.queues)).test_client()
    sign_in(client)
    shown = client.get("/admin/plugins", headers=HTML).text
    assert "coinzz.sync_sales" in shown
    assert "incompatible" in shown
    assert "&gt;=9" in shown


def test_without_plugins_it_says_how_to_get_one(settings: Settings, flowzz: Flowzz) -> None:
    client = create_app(Flowzz(settings, PluginHost.of([]), flowzz.store, flowzz.queues)).test_client()
    sign_in(client)
    for path in ("/admin/plugins", "/admin/queues"):
        assert "pip install flowzz-coinzz" in client.get(path, headers=HTML).text
