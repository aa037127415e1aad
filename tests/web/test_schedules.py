"""Schedules over HTTP and in the admin."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.scheduling import Schedules
from flowzz.store import Role
from support.visiting import HTML, post

NAME = "coinzz.sync_sales"
EN = {"Accept-Language": "en", **HTML}


@pytest.fixture
def call(client: FlaskClient, bearer: Callable[..., dict[str, str]]) -> Callable[..., Any]:
    headers = bearer()
    return lambda method, path, **options: client.open(f"/api/v1{path}", method=method, headers=headers, **options)


@pytest.fixture
def admin(as_role: Callable[[Role], FlaskClient]) -> FlaskClient:
    return as_role(Role.ADMIN)


def test_the_list_has_each_schedule_with_its_next_tick(call: Callable[..., Any]) -> None:
    listed = {schedule["name"]: schedule for schedule in call("GET", "/schedules").json["schedules"]}
    found = listed[NAME]
    assert (found["cron"], found["timezone"], found["missed"]) == ("0 * * * *", "America/Sao_Paulo", "run_once")
    assert found["nextAt"].endswith(":00:00.000Z")
    assert (found["paused"], found["edited"], found["differences"]) == (None, None, [])
    assert found["links"]["self"] == f"/api/v1/schedules/{NAME}"


def test_pause_resume_edit_and_revert_with_who(call: Callable[..., Any], flowzz: Flowzz) -> None:
    paused = call("POST", f"/schedules/{NAME}/pause", json={"reason": "month end"}).json
    assert (paused["nextAt"], paused["paused"]["by"]) == (None, "admin@flowzz.example")
    assert call("POST", f"/schedules/{NAME}/resume").json["paused"] is None
    edited = call("PATCH", f"/schedules/{NAME}", json={"cron": "*/30 * * * *"}).json
    assert edited["cron"] == "*/30 * * * *"
    assert edited["differences"] == [{"field": "cron", "defined": "0 * * * *", "edited": "*/30 * * * *", "was": None}]
    assert call("DELETE", f"/schedules/{NAME}/edit").json["cron"] == "0 * * * *"
    actions = {entry.action for entry in flowzz.store.audit()}
    assert {"schedule.pause", "schedule.resume", "schedule.set", "schedule.revert"} <= actions


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PATCH", NAME, {"cron": "61 * * * *"}, 422, "cron line"),
        ("PATCH", NAME, {"timezone": "Brasil/Leste"}, 422, "IANA"),
        ("PATCH", NAME, {}, 422, "neither"),
        ("PATCH", NAME, {"every": 5}, 422, "every"),
        ("PATCH", "coinzz.sync_sale", {"cron": "0 0 * * *"}, 404, NAME),
        ("POST", "nobody/run", {}, 404, "unknown-schedule"),
    ],
)
def test_what_is_refused_says_why(
    call: Callable[..., Any], method: str, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    answer = call(method, f"/schedules/{path}", json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_run_now_once_a_run_id_and_the_ticks_tell(call: Callable[..., Any]) -> None:
    answers = [call("POST", f"/schedules/{NAME}/run", json={"runId": "r1"}) for _ in range(2)]
    assert [(answer.status_code, answer.json["ran"]) for answer in answers] == [(202, True), (200, False)]
    (tick,) = call("GET", f"/schedules/{NAME}").json["ticks"]
    assert (tick["how"], tick["by"]) == ("run", "admin@flowzz.example")
    assert call("GET", f"/schedules/{NAME}?ticks=0").status_code == 422


def test_the_queues_page_shows_edits_pauses_and_last_ticks(admin: FlaskClient, flowzz: Flowzz) -> None:
    schedules = Schedules(flowzz)
    schedules.set(NAME, "ana@loja.example", cron="*/30 * * * *")
    flowzz.fire(schedules.get(NAME).schedule, now() + timedelta(minutes=1))
    schedules.pause(NAME, "ana@loja.example", "bia@loja.example")
    page = admin.get("/admin/queues", headers=EN).text
    assert "*/30 * * * * by ana@loja.example" in page
    assert "the plugin says 0 * * * *" in page
    assert "Paused by bia@loja.example" in page
    assert "fired · 0 jobs" in page
    page = admin.get("/admin/queues", headers={"Accept-Language": "pt-BR", **HTML}).text
    assert "o plugin diz 0 * * * *" in page


def test_the_admins_buttons_work_and_are_on_record(admin: FlaskClient, flowzz: Flowzz) -> None:
    schedules = Schedules(flowzz)
    post(admin, f"/admin/schedules/{NAME}/pause", reason="month end")
    paused = schedules.get(NAME).state.paused
    assert paused is not None
    assert (paused.reason, paused.by) == ("month end", "admin@flowzz.example")
    post(admin, f"/admin/schedules/{NAME}/resume")
    assert not schedules.get(NAME).is_paused
    schedules.set(NAME, "x", cron="*/30 * * * *")
    post(admin, f"/admin/schedules/{NAME}/revert")
    assert not schedules.get(NAME).is_edited
    post(admin, f"/admin/schedules/{NAME}/run")
    assert [tick.how for tick in flowzz.queues.ticks(NAME)] == ["run"]
    refused = post(admin, "/admin/schedules/coinzz.sync_sale/run")
    assert "no schedule is named" in admin.get(refused.location, headers=EN).text
    actions = {entry.action for entry in flowzz.store.audit()}
    assert {"schedule.pause", "schedule.resume", "schedule.revert", "schedule.run"} <= actions
