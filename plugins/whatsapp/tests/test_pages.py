"""The admin's page of messages: whose, how far, what to do; in both languages, for everybody, on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from pydantic import SecretStr
from sqlalchemy import insert, update

import flowzz_web
import flowzz_whatsapp
from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_web import create_app
from flowzz_whatsapp.models import MIGRATIONS, account_news, messages
from flowzz_whatsapp.plugin import plugin
from flowzz_whatsapp.states import State
from support.catalogues import compiled_texts, texts_once_compiled
from support.chromium import chromium
from support.serving import serving
from support.visiting import HTML, PASSWORD, post, sign_in

PAGE = "/admin/plugins/whatsapp/"
ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def flowzz(settings: Settings) -> Iterator[Flowzz]:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
        opened.store.migrate([MIGRATIONS])
        opened.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
        yield opened


@pytest.fixture
def app(flowzz: Flowzz) -> Flask:
    return create_app(flowzz)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Signed in."""
    made = app.test_client()
    sign_in(made)
    return made


@pytest.fixture
def lojas(flowzz: Flowzz, connected: Any) -> tuple[Any, Any]:
    """Two companies; the first has a message in every state and 60 that were read, the second one that failed, and one
    that failed long ago, without its content."""
    first, second = connected(flowzz.store), connected(flowzz.store)
    rows = [row(first, place, state.value) for place, state in enumerate(State)]
    rows += [row(first, 100 + place, "read") for place in range(60)]
    rows.append(row(second, 900, "failed", problem=f"131026: {ATTACK}", body=ATTACK))
    blank = {"recipient": "", "match_key": "", "body": "", "content_deleted_at": now() - timedelta(days=3)}
    rows.append(row(second, 901, "failed", error_code=131026, template_name="pedido_enviado", **blank))
    every = {name: None for one in rows for name in one}
    with flowzz.store.session() as session:
        session.execute(insert(messages), [every | one for one in rows])
    return first, second


def row(company: Any, place: int, state: str, **more: Any) -> dict[str, Any]:
    at = now()
    given = {
        "company_id": company.id,
        "connection_id": company.connection.id,
        "phone_number_id": "500000000000001",
        "job_id": f"job-{place}",
        "correlation": f"job:job-{place}",
        "fingerprint": "f",
        "recipient": f"+5511987650{place:03d}",
        "match_key": f"551187650{place:03d}",
        "kind": "text",
        "body": f"Seu pedido {place} saiu para entrega.",
        "template_name": None,
        "state": state,
        "problem": None,
        "attempts": 1,
        "throttles": 0,
        "created_at": at,
        "unknown_at": at,
        "sent_at": at,
        "delivered_at": at if state in ("delivered", "read") else None,
        "read_at": at if state == "read" else None,
        "updated_at": at,
    }
    return {**given, **more}


def test_without_messages_it_says_how_they_come(client: FlaskClient) -> None:
    page = client.get(PAGE, headers=HTML).text
    assert "No messages yet" in page
    assert "flowzz enqueue whatsapp.send_message" in page
    assert 'href="/admin/plugins/whatsapp/" aria-current="page"' in page


def test_only_an_admin_gets_in(app: Flask, flowzz: Flowzz) -> None:
    assert app.test_client().get(PAGE).status_code == 401
    flowzz.store.add_user("user@flowzz.example", SecretStr(PASSWORD), Role.VIEWER)
    other = app.test_client()
    sign_in(other, "user@flowzz.example")
    assert other.get(PAGE, headers=HTML).status_code == 403
    assert post(other, f"{PAGE}1/resend").status_code in (400, 403)


def test_it_shows_one_companys_messages_by_state(client: FlaskClient, lojas: tuple[Any, Any]) -> None:
    first, second = lojas
    page = client.get(PAGE, query_string={"company": first.id, "state": "unknown"}, headers=HTML).text
    assert "+5511987650002" in page
    assert page.count("<tr") == 2
    assert client.get(PAGE, query_string={"company": second.id}, headers=HTML).text.count("<tr") == 3
    of_second = client.get(PAGE, query_string={"company": second.id}, headers=HTML).text
    assert re.findall(r"<a href=[^>]*>(\w+) <span class=\"count", of_second) == ["All", "Failed"], "states it has"
    nothing = client.get(PAGE, query_string={"company": second.id, "state": "read"}, headers=HTML).text
    assert "No message fits this company and state." in nothing


def test_it_goes_by_pages(client: FlaskClient, lojas: tuple[Any, Any]) -> None:
    first, _ = lojas
    page = client.get(PAGE, query_string={"company": first.id, "state": "read"}, headers=HTML).text
    assert "1–50 of 61" in page
    second = client.get(PAGE, query_string={"company": first.id, "state": "read", "offset": 50}, headers=HTML).text
    assert "51–61 of 61" in second
    past = client.get(PAGE, query_string={"state": "read", "offset": 500}, headers=HTML).text
    assert "This page is empty by now" in past


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"offset": "-7"}, {"offset": "x"}, {"company": "' or 1=1"}])
def test_a_strange_address_is_no_error(client: FlaskClient, lojas: tuple[Any, Any], query: dict[str, str]) -> None:
    assert client.get(PAGE, query_string=query, headers=HTML).status_code == 200


def test_what_others_wrote_is_only_text(client: FlaskClient, lojas: tuple[Any, Any]) -> None:
    page = client.get(PAGE, query_string={"company": lojas[1].id}, headers=HTML).text
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_failed_message_can_be_sent_again(client: FlaskClient, flowzz: Flowzz, lojas: tuple[Any, Any]) -> None:
    with flowzz.store.session() as session:
        session.execute(update(messages).where(messages.c.job_id == "job-900").values(problem="131026"))
    failed, _ = lojas[1].messages()
    page = client.get(PAGE, query_string={"company": lojas[1].id}, headers=HTML).text
    assert f'action="{PAGE}{failed["id"]}/resend"' in page

    answer = post(client, f"{PAGE}{failed['id']}/resend", back=PAGE)

    assert (answer.status_code, answer.location) == (303, PAGE)
    (job,) = flowzz.queues.jobs("whatsapp", JobState.WAITING).items
    assert job.name == "whatsapp.send_message"
    assert job.id.startswith("whatsapp-resend-")
    assert "is sent again by job" in client.get(PAGE, headers=HTML).text
    entry = flowzz.store.audit(1)[0]
    assert (entry.actor, entry.action, entry.target) == ("admin@flowzz.example", "whatsapp.resend", str(failed["id"]))


@pytest.mark.parametrize(("say", "state", "told"), [("arrived", "sent", "counts as sent"), ("dropped",) * 3])
def test_a_person_decides_about_an_unknown_one(
    client: FlaskClient, flowzz: Flowzz, lojas: tuple[Any, Any], say: str, state: str, told: str
) -> None:
    unknown = next(row for row in lojas[0].messages() if row["state"] == "unknown")
    address = f"{PAGE}{unknown['id']}/{say}"
    assert address not in client.get(PAGE, query_string={"state": "unknown"}, headers=HTML).text, "a status may come"
    with flowzz.store.session() as session:
        session.execute(
            update(messages).where(messages.c.id == unknown["id"]).values(unknown_at=now() - timedelta(minutes=16))
        )
    assert address in client.get(PAGE, query_string={"state": "unknown"}, headers=HTML).text

    assert post(client, address, back=PAGE).status_code == 303

    (row,) = (row for row in lojas[0].messages() if row["id"] == unknown["id"])
    assert row["state"] == state
    assert row["problem"].startswith("admin@flowzz.example found" if say == "arrived" else "nobody knows")
    assert told in client.get(PAGE, headers=HTML).text
    entry = flowzz.store.audit(1)[0]
    assert (entry.actor, entry.action, entry.target) == ("admin@flowzz.example", f"whatsapp.{say}", str(unknown["id"]))
    assert post(client, address, back=PAGE).status_code == 303
    assert "nothing is to be decided" in client.get(PAGE, headers=HTML).text
    assert "refused" in flowzz.store.audit(1)[0].detail


def test_a_message_without_content_says_so_and_cannot_be_sent_again(
    client: FlaskClient, lojas: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWZZ_WHATSAPP_KEEP_DAYS", "45")
    _, blank = lojas[1].messages()
    page = client.get(PAGE, query_string={"company": lojas[1].id}, headers=HTML).text
    assert "Content deleted" in page
    assert "Recipient and text are kept for 45 days; these were deleted" in page
    assert "3 days ago" in page
    assert "pedido_enviado" in page
    assert "the message cannot be delivered: no WhatsApp on that number" in page
    assert f"{PAGE}{blank['id']}/resend" not in page
    theirs = client.get(PAGE, query_string={"company": lojas[1].id, "lang": "pt_BR"}, headers=HTML).text
    assert "Conteúdo apagado" in theirs
    assert "Destinatário e texto são guardados por 45 dias; estes foram apagados" in theirs


def test_what_meta_told_is_shown(client: FlaskClient, flowzz: Flowzz, lojas: tuple[Any, Any]) -> None:
    first, second = lojas
    tell(flowzz, first, 51)
    assert re.search(
        rf'{PAGE}account">News from Meta</a>\s*<span class="count">51<', client.get(PAGE, headers=HTML).text
    )
    page = client.get(f"{PAGE}account", headers=HTML).text
    for text in ("pedido_enviado (pt_BR)", "quality of a template", "GREEN → RED", "LOW", "1–50 of 51"):
        assert text in page
    assert "51–51 of 51" in client.get(f"{PAGE}account?offset=50", headers=HTML).text
    assert "This page is empty by now" in client.get(f"{PAGE}account?offset=100", headers=HTML).text
    assert "No news from Meta" in client.get(f"{PAGE}account?company={second.id}", headers=HTML).text
    theirs = client.get(f"{PAGE}account?lang=pt_BR", headers=HTML).text
    for text in ("Avisos da Meta", "qualidade de um modelo", "A Meta diz"):
        assert text in theirs


def tell(flowzz: Flowzz, company: Any, count: int) -> None:
    row = {"company_id": company.id, "waba_id": "4", "field": "message_template_quality_update", "happened_at": now()}
    row |= {"subject": "pedido_enviado (pt_BR)", "told": "RED", "before": "GREEN", "reason": "LOW"}
    with flowzz.store.session() as session:
        session.execute(insert(account_news), [{**row, "digest": str(place)} for place in range(count)])


def test_a_read_one_cannot(client: FlaskClient, flowzz: Flowzz, lojas: tuple[Any, Any]) -> None:
    read = next(row for row in lojas[0].messages() if row["state"] == "read")
    answer = post(client, f"{PAGE}{read['id']}/resend")
    assert answer.status_code == 303
    assert "cannot be sent again" in client.get(PAGE, headers=HTML).text
    assert post(client, f"{PAGE}999999/resend").status_code == 303


def test_every_text_is_translated() -> None:
    here, admin = Path(flowzz_whatsapp.__file__).parent, Path(flowzz_web.__file__).parent
    methods = [("pages.py", "python"), ("templates/**.html", "jinja2")]
    keywords = {"_": None, "translate": None, "ngettext": (1, 2)}
    said = {message for _, _, message, _, _ in extract_from_dir(here, methods, keywords=keywords)} | {"Messages"}
    file = here / "translations/pt_BR/LC_MESSAGES/messages.po"
    with file.open("rb") as own, (admin / "translations/pt_BR/LC_MESSAGES/messages.po").open("rb") as theirs:
        catalogue, known = read_po(own, locale="pt_BR"), {message.id for message in read_po(theirs, locale="pt_BR")}
    assert {message.id for message in catalogue if message.id} == said - known
    for message in catalogue:
        assert message.string, message.id
        assert not list(message.check(catalogue)), message.id
    assert compiled_texts(file.with_suffix(".mo")) == texts_once_compiled(catalogue)


def test_it_speaks_portuguese(client: FlaskClient, lojas: tuple[Any, Any]) -> None:
    page = client.get(PAGE, query_string={"lang": "pt_BR", "state": "failed"}, headers=HTML).text
    for text in ("Mensagens de WhatsApp", "Resultado desconhecido", "Enviar de novo", "Todas as empresas"):
        assert text in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def base_url(app: Flask) -> Iterator[str]:
    with serving(app) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
@pytest.mark.parametrize(
    "path", [PAGE, f"{PAGE}?state=failed", f"{PAGE}?state=unknown", f"{PAGE}?company=nobody", f"{PAGE}account"]
)
def test_everybody_can_read_it(
    browser: Browser,
    base_url: str,
    flowzz: Flowzz,
    lojas: tuple[Any, Any],
    width: int,
    scheme: Any,
    path: str,
    tmp_path: Path,
) -> None:
    tell(flowzz, lojas[0], 3)
    with flowzz.store.session() as session:
        session.execute(update(messages).values(unknown_at=now() - timedelta(minutes=16)))
    context = browser.new_context(
        viewport={"width": width, "height": 844}, base_url=base_url, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto("/login")
    page.fill("input[name=email]", "admin@flowzz.example")
    page.fill("input[name=password]", PASSWORD)
    page.click("form button")
    page.goto(path)
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    found = Axe().run(page)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert found.violations_count == 0, found.generate_report()
    assert wide <= 0
