"""The admin's forms: pauses of companies and types of job, and the line of a schedule."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.queues.pauses import PauseKind
from flowzz.scheduling import Schedules
from flowzz.store import Role
from support.visiting import HTML, post

NAME = "coinzz.sync_sales"
PAGE = f"/admin/schedules/{NAME}"
EN, PT = {"Accept-Language": "en", **HTML}, {"Accept-Language": "pt-BR", **HTML}


@pytest.fixture
def admin(as_role: Callable[[Role], FlaskClient]) -> FlaskClient:
    return as_role(Role.ADMIN)


def audited(flowzz: Flowzz) -> dict[str, str]:
    return {entry.action: entry.target for entry in flowzz.store.audit()}


class TestPausing:
    def test_a_company_for_two_hours_with_a_reason(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        company = flowzz.store.add_company("Loja da Ana")
        answer = post(admin, "/admin/pauses/new", target=f"company:{company.id}", reason="invoice", lasts="2h")
        (pause,) = flowzz.queues.pauses()
        assert (pause.kind, pause.name, pause.reason) == (PauseKind.COMPANY, company.id, "invoice")
        assert pause.until is not None
        assert timedelta(minutes=119) < pause.until - now() <= timedelta(hours=2)
        page = admin.get(answer.location, headers=EN).text
        assert "Loja da Ana is paused." in page
        assert audited(flowzz)["company.pause"] == company.id

    def test_a_type_of_job_until_it_is_resumed_in_place_of_an_earlier_pause(
        self, admin: FlaskClient, flowzz: Flowzz
    ) -> None:
        for reason in ("first", "second"):
            post(admin, "/admin/pauses/new", target=f"job:{NAME}", reason=reason, lasts="")
        (pause,) = flowzz.queues.pauses()
        assert (pause.kind, pause.reason, pause.until) == (PauseKind.JOB, "second", None)
        assert "its pause is replaced" in admin.get("/admin/pauses/new", headers=EN).text
        post(admin, f"/admin/pauses/job/{NAME}/resume")
        assert flowzz.queues.pauses() == []

    @pytest.mark.parametrize(
        ("form", "field", "says"),
        [
            ({"target": "company:nobody"}, "target", "Choose a company"),
            ({"target": "queue:whatsapp"}, "target", "Choose a company"),
            ({"target": ""}, "target", "Choose a company"),
            ({"target": f"job:{NAME}", "lasts": "soon"}, "lasts", "such as 30m, 2h"),
            ({"target": f"job:{NAME}", "lasts": "0s"}, "lasts", "longer than 0"),
            ({"target": f"job:{NAME}", "lasts": "99999d"}, "lasts", "3650 days"),
        ],
    )
    def test_what_does_not_fit_is_said_under_its_field(
        self, admin: FlaskClient, flowzz: Flowzz, form: dict[str, str], field: str, says: str
    ) -> None:
        answer = post(admin, "/admin/pauses/new", reason="kept as typed", **form)
        assert answer.status_code == 422
        assert says in answer.text.partition(f'id="{field}-wrong"')[2].partition("</p>")[0]
        assert re.search(
            rf'name="{field}"[^>]*aria-invalid="true"[^>]*aria-describedby="[^"]*{field}-wrong', answer.text
        )
        assert 'value="kept as typed"' in answer.text
        assert flowzz.queues.pauses() == []

    def test_without_a_token_nothing_is_paused(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        assert admin.post("/admin/pauses/new", data={"target": f"job:{NAME}"}, headers=EN).status_code == 403
        assert flowzz.queues.pauses() == []

    def test_the_queues_page_leads_there_in_both_languages(self, admin: FlaskClient) -> None:
        assert "Pause a company or a type of job" in admin.get("/admin/queues", headers=EN).text
        assert "Pausar uma empresa ou um tipo de job" in admin.get("/admin/pauses/new", headers=PT).text


class TestTheLineOfASchedule:
    def test_a_preview_shows_ticks_and_changes_nothing(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        answer = post(admin, PAGE, cron="30 6 1 1 *", timezone="America/Sao_Paulo", then="preview")
        assert answer.status_code == 200
        assert len(re.findall(r"<strong>\d{4}-01-01 06:30</strong>", answer.text)) == 5
        assert "It is not saved yet." in answer.text
        assert not Schedules(flowzz).get(NAME).is_edited

    def test_saving_shows_the_difference_and_revert_ends_it(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        assert "Nothing is edited." in admin.get(PAGE, headers=EN).text
        answer = post(admin, PAGE, cron="  */30  * * * * ", timezone="America/Sao_Paulo", then="save")
        assert (answer.status_code, answer.location) == (303, PAGE)
        assert Schedules(flowzz).get(NAME).schedule.cron == "*/30 * * * *"
        page = admin.get(PAGE, headers=EN).text
        assert "<del><code>0 * * * *</code></del>" in page
        assert "<ins><code>*/30 * * * *</code></ins>" in page
        assert "Edited by admin@flowzz.example" in page
        post(admin, f"{PAGE}/revert", back=PAGE)
        assert "Nothing is edited." in admin.get(PAGE, headers=EN).text
        assert audited(flowzz)["schedule.set"] == NAME

    def test_saving_what_counts_already_changes_nothing(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        post(admin, PAGE, cron="0 * * * *", timezone="America/Sao_Paulo", then="save")
        assert "Nothing was changed" in admin.get(PAGE, headers=EN).text
        assert "schedule.set" not in audited(flowzz)

    @pytest.mark.parametrize(
        ("cron", "timezone", "field", "says"),
        [
            ("61 * * * *", "UTC", "cron", "higher than the maximum value (59)"),
            ("* * * *", "UTC", "cron", "Expected five fields"),
            ("0 0 30 2 *", "UTC", "cron", "no such day comes"),
            ("", "UTC", "cron", "Expected five fields"),
            ("0 0 * * *", "Brasil/Leste", "timezone", "IANA time zone"),
            ("0 0 * * *", "../etc/passwd", "timezone", "IANA time zone"),
            ("1" * 5000, "UTC", "cron", "Expected five fields"),
        ],
    )
    @pytest.mark.parametrize("then", ["preview", "save"])
    def test_a_bad_line_is_said_under_its_field(
        self, admin: FlaskClient, flowzz: Flowzz, cron: str, timezone: str, field: str, says: str, then: str
    ) -> None:
        answer = post(admin, PAGE, cron=cron, timezone=timezone, then=then)
        assert answer.status_code == 422
        assert says in answer.text.partition(f'id="{field}-wrong"')[2].partition("</p>")[0]
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', answer.text)
        assert not Schedules(flowzz).get(NAME).is_edited

    def test_an_unknown_schedule_is_404(self, admin: FlaskClient) -> None:
        assert admin.get("/admin/schedules/coinzz.sync_sale", headers=EN).status_code == 404

    def test_a_paused_one_says_so(self, admin: FlaskClient, flowzz: Flowzz) -> None:
        Schedules(flowzz).pause(NAME, "month end", "bia@loja.example")
        page = admin.get(PAGE, headers=EN).text
        assert "Paused by bia@loja.example" in page
        assert "these would be next" in page
