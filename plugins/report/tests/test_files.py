"""Files: behind signed links only, whole or not at all, deleted when their time is over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import update
from structlog.testing import capture_logs

from flowzz.app import Flowzz
from flowzz.errors import ConfigurationError, JobCanceled, Permanent
from flowzz.plugins.host import PluginHost
from flowzz.store import Role
from flowzz_report import records
from flowzz_report.configuration import ReportSettings
from flowzz_report.generate import link_to, links_of
from flowzz_report.links import Links, Verdict
from flowzz_report.models import reports
from flowzz_report.records import State
from flowzz_report.storage import Storage
from flowzz_report.sweep import Sweep, sweep_reports
from flowzz_web import create_app
from support.market import order
from support.visiting import HTML, PASSWORD, sign_in

SOON = timedelta(seconds=1)


@pytest.fixture
def app(desk: Any, redis_url: str) -> Iterator[Flowzz]:
    """The web's side of the same installation."""
    settings = desk.host.settings.model_copy(update={"redis_url": SecretStr(redis_url)})
    with Flowzz.open(settings, plugins=PluginHost.of(["flowzz_report.plugin:plugin"])) as opened:
        yield opened


@pytest.fixture
def client(app: Flowzz) -> FlaskClient:
    return create_app(app).test_client()


def asked(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.mark.parametrize(
    ("form", "kind", "place"),
    [
        ("pdf", "application/pdf", 'inline; filename="vendas-2026-03-01-a-2026-03-31.pdf"'),
        (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            'attachment; filename="vendas-2026-03-01-a-2026-03-31.xlsx"',
        ),
        ("csv", "text/csv; charset=utf-8", 'attachment; filename="vendas-2026-03-01-a-2026-03-31.csv"'),
    ],
)
def test_whoever_has_the_link_gets_the_file(desk: Any, client: FlaskClient, form: str, kind: str, place: str) -> None:
    made = desk.ask(format=form)

    answer = client.get(asked(made.file_url))

    assert answer.status_code == 200
    assert answer.data == desk.file(made).read_bytes()
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Disposition"] == place
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert int(answer.headers["Content-Length"]) == desk.row(made.report_id).bytes == len(answer.data)


@pytest.mark.parametrize("change", ["signature", "expires", "report", "none", "other", "path", "long", "letters"])
def test_a_link_that_was_changed_opens_nothing(desk: Any, client: FlaskClient, change: str) -> None:
    made, other = desk.ask(), desk.ask("job-2")
    parts = urlsplit(made.file_url)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    path = parts.path
    if change == "signature":
        given["signature"] = ("0" if given["signature"][0] != "0" else "1") + given["signature"][1:]
    elif change == "expires":
        given["expires"] = str(int(given["expires"]) + 1)
    elif change == "report":
        path = f"/public/report/{other.report_id}"
    elif change == "none":
        given = {}
    elif change == "other":
        given["signature"] = parse_qs(urlsplit(other.file_url).query)["signature"][0][::-1]
    elif change == "path":
        path = "/public/report/..%2f..%2fflowzz.db"
    elif change == "long":
        given["signature"] += "00"
    else:
        given["expires"] = "١٢٣"

    answer = client.get(path, query_string=given)

    assert answer.status_code in (403, 404)
    assert answer.mimetype == "application/problem+json"
    assert desk.file(made).read_bytes() not in answer.data
    page = client.get(path, query_string=given, headers=HTML)
    assert page.mimetype == "text/html"


def test_a_link_ends_and_says_so(desk: Any, client: FlaskClient) -> None:
    made = desk.ask()
    expires = int(parse_qs(urlsplit(made.file_url).query)["expires"][0])
    assert abs(expires - (datetime.now(UTC) + timedelta(days=7)).timestamp()) < 60
    with time_machine.travel(datetime.fromtimestamp(expires, UTC) - SOON, tick=False):
        assert client.get(asked(made.file_url)).status_code == 200
    with time_machine.travel(datetime.fromtimestamp(expires, UTC), tick=False):
        answer = client.get(asked(made.file_url))
    assert (answer.status_code, answer.get_json()["type"]) == (410, "urn:flowzz:problem:expired-link")


def test_a_link_never_outlives_its_file(desk: Any) -> None:
    made = desk.ask()
    report = desk.row(made.report_id)
    url = link_to(links_of(desk.host.settings), report, ReportSettings(), lifetime=timedelta(days=366))
    assert parse_qs(urlsplit(url).query)["expires"] == [str(int(report.expires_at.timestamp()))]


def test_a_signature_is_not_good_for_another_installation() -> None:
    ours, theirs = (Links(SecretStr(letter * 40), "http://x") for letter in "ab")
    report, soon = "0" * 8 + "-0000-0000-0000-" + "0" * 12, datetime.now(UTC) + timedelta(hours=1)
    given = {name: values[0] for name, values in parse_qs(urlsplit(theirs.url(report, soon)).query).items()}
    assert theirs.judge(report, given["expires"], given["signature"], datetime.now(UTC)) is Verdict.GOOD
    assert ours.judge(report, given["expires"], given["signature"], datetime.now(UTC)) is Verdict.FORGED


def test_a_file_that_is_gone_is_said_to_be(desk: Any, client: FlaskClient) -> None:
    made = desk.ask()
    desk.file(made).unlink()
    answer = client.get(asked(made.file_url))
    assert (answer.status_code, answer.get_json()["type"]) == (410, "urn:flowzz:problem:file-deleted")


def test_no_log_has_the_signature(desk: Any, client: FlaskClient) -> None:
    made = desk.ask()
    with capture_logs() as logs:
        client.get(asked(made.file_url))
    signature = parse_qs(urlsplit(made.file_url).query)["signature"][0]
    assert logs
    assert signature not in repr(logs)
    assert signature not in "".join(desk.recorder.lines)


def test_what_is_over_is_deleted(desk: Any, client: FlaskClient) -> None:
    over, fresh = desk.ask(), desk.ask("job-2")
    path = desk.file(over)
    with desk.store.session() as session:
        past = datetime.now(UTC) - SOON
        session.execute(update(reports).where(reports.c.id == over.report_id).values(expires_at=past))

    assert sweep_reports(desk.context("sweep"), Sweep()).model_dump() == {"expired": 1, "abandoned": 0, "leftovers": 0}

    assert not path.exists()
    assert desk.row(over.report_id).state is State.EXPIRED
    assert client.get(asked(over.file_url)).status_code == 410
    assert client.get(asked(fresh.file_url)).status_code == 200
    with pytest.raises(Permanent, match="has no file: it is expired"):
        link_to(links_of(desk.host.settings), desk.row(over.report_id), ReportSettings())
    assert sweep_reports(desk.context("sweep"), Sweep()).expired == 0


def test_what_killed_runs_left_is_swept_and_what_may_still_run_is_not(desk: Any) -> None:
    made = desk.ask()
    folder = desk.host.settings.data_folder
    shutil.copy(desk.file(made), desk.file(made).with_name(f"{made.report_id}-{'0' * 8}.xlsx"))
    for name in ("reports/.partial/x", "reports-scratch/tmpabc/report.xlsx"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"half")
    report = records.begin(desk.store, "killed", _payload(desk))
    assert sweep_reports(desk.context("sweep"), Sweep()).model_dump() == {"expired": 0, "abandoned": 0, "leftovers": 0}

    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2), tick=False):
        swept = sweep_reports(desk.context("sweep"), Sweep())

    assert swept.model_dump() == {"expired": 0, "abandoned": 1, "leftovers": 3}
    assert desk.left() == [f"reports/{desk.row(made.report_id).file}"]
    assert desk.row(report.id).state is State.FAILED
    assert "its worker was lost" in desk.row(report.id).problem


def _payload(desk: Any) -> Any:
    from flowzz_report.payload import GenerateReport

    return GenerateReport(
        empresa_id=desk.company_id, report_type="sales", start_date="2026-03-01", end_date="2026-03-31", user_id="ana"
    )


@pytest.mark.parametrize("form", ["pdf", "xlsx", "csv"])
@pytest.mark.parametrize("after", [1, 30, 60, 90])
def test_a_canceled_run_leaves_no_file(desk: Any, form: str, after: int) -> None:
    desk.stock([order(number, "2026-03-05") for number in range(1_200)])

    def cancel(percent: float) -> None:
        desk.recorder.cancel_requested = percent >= after

    desk.recorder.on_progress = cancel
    with pytest.raises(JobCanceled):
        desk.ask(format=form)

    assert desk.left() == []
    assert desk.rows()[0].state is State.FAILED


@pytest.mark.parametrize("percent", [5, 50, 90])
def test_a_failed_run_leaves_no_file_and_the_next_one_makes_it(desk: Any, percent: int) -> None:
    desk.stock([order(number, "2026-03-05") for number in range(1_200)])

    def fail(reached: float) -> None:
        if reached >= percent:
            raise ConnectionError("Redis went away")

    desk.recorder.on_progress = fail
    with pytest.raises(ConnectionError):
        desk.ask()
    assert desk.left() == []
    assert desk.rows()[0].problem == "ConnectionError: Redis went away"

    desk.recorder.on_progress = lambda reached: None
    made = desk.ask()
    assert [report.id for report in desk.rows()] == [made.report_id]
    assert len(desk.left()) == 1


def test_a_run_again_tells_the_same_report(desk: Any) -> None:
    first = desk.ask()
    before = desk.file(first).stat().st_mtime_ns
    again = desk.ask()
    assert again.report_id == first.report_id
    assert again.generated_at == first.generated_at
    assert desk.file(again).stat().st_mtime_ns == before
    assert len({note.key for note in desk.host.told}) == 1


def test_a_run_that_lost_its_report_publishes_nothing(desk: Any) -> None:
    desk.stock([order(number, "2026-03-05") for number in range(1_200)])
    taken: list[str] = []

    def another_begins(percent: float) -> None:
        if percent >= 60 and not taken:
            taken.append(records.begin(desk.store, "job-1", _payload(desk)).execution)

    desk.recorder.on_progress = another_begins
    with pytest.raises(Permanent, match="another run of job job-1"):
        desk.ask()
    assert desk.left() == []
    assert desk.rows()[0].state is State.RUNNING
    assert desk.rows()[0].execution == taken[0]


def test_who_asked_is_told_once_with_the_link(desk: Any) -> None:
    made = desk.ask()
    (note,) = desk.host.told
    assert (note.kind, note.user_id, note.company_id) == ("report.ready", "ana", desk.company_id)
    assert note.link == made.file_url
    assert note.text == "Relatório de vendas de 01/03/2026 a 31/03/2026 em XLSX."
    assert made.report_id in note.key


def test_another_filesystem_holds_the_files(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    monkeypatch.setenv("FLOWZZ_REPORT_STORAGE", "memory://bucket/reports")
    made = desk.ask()
    report = desk.row(made.report_id)
    storage = Storage.of(desk.host.settings, ReportSettings.load())
    with storage.open(report.file) as file:
        assert len(file.read()) == report.bytes
    assert [stored.name for stored in storage.names()] == [report.file]
    assert [path for path in fsspec.filesystem("memory").find("/bucket") if ".partial" in path] == []
    storage.remove(report.file)
    assert list(storage.names()) == []
    assert desk.left() == []


@pytest.mark.parametrize("name", ["../flowzz.db", "/etc/passwd", "ab/../../x.pdf", "", "ab/x.pdf\n"])
def test_only_names_of_reports_are_opened(desk: Any, name: str) -> None:
    storage = Storage.of(desk.host.settings, ReportSettings.load())
    with pytest.raises(ValueError, match="expected the name of a report's file"):
        storage.open(name)


def test_files_are_private(desk: Any) -> None:
    path: Path = desk.file(desk.ask())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STORAGE_OPTIONS", '["s3cr3t"]', "FLOWZZ_REPORT_STORAGE_OPTIONS: .*expected a JSON object"),
        ("MAX_ROWS", "1048576", "FLOWZZ_REPORT_MAX_ROWS"),
        ("LOGO", "/nowhere.png", "FLOWZZ_REPORT_LOGO"),
        ("CSV_SEPARATOR", "|", "FLOWZZ_REPORT_CSV_SEPARATOR"),
    ],
)
def test_a_wrong_setting_is_named_and_a_secret_one_not_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FLOWZZ_REPORT_{name}", value)
    with pytest.raises(ConfigurationError, match=said) as caught:
        ReportSettings.load()
    assert "s3cr3t" not in str(caught.value)


def test_too_many_rows_are_refused_and_a_pdf_still_sums_them(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_REPORT_MAX_ROWS", "10")
    desk.stock([order(number, "2026-03-05") for number in range(11)])
    with pytest.raises(Permanent, match=r"the report has 11 rows and a file may have 10"):
        desk.ask()
    assert desk.left() == []
    assert desk.ask("job-2", format="pdf").report_id


def test_a_company_that_is_gone_is_named(desk: Any) -> None:
    with pytest.raises(Permanent, match="no company has the id 'nobody'"):
        desk.ask(empresaId="nobody")


def test_an_admin_finds_the_reports_of_a_company(desk: Any, app: Flowzz) -> None:
    desk.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
    made = desk.ask()
    other = desk.store.add_company("Outra")
    browser = create_app(app).test_client()
    assert browser.get("/admin/plugins/report/").status_code == 401
    sign_in(browser)

    page = browser.get(f"/admin/plugins/report/?company={desk.company_id}", headers=HTML)

    assert page.status_code == 200
    link = page.text.partition('<a href="http')[2].partition('"')[0].replace("&amp;", "&")
    assert browser.get(asked(f"http{link}")).data == desk.file(made).read_bytes()
    nothing = browser.get(f"/admin/plugins/report/?company={other.id}&lang=pt_BR", headers=HTML).text
    assert "Ainda não há relatórios" in nothing
