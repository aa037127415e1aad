"""The pages in a real Chromium: usable by keyboard and by a screen reader, on a phone, in the dark, under attack."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.retry import NoRetry
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from support import gallery, parcels
from support.chromium import chromium
from support.serving import serving
from support.visiting import PASSWORD
from support.waiting import eventually

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "'-alert(4)-'",
    "{{ 7*7 }}{% raw %}",
    "</pre></code></textarea></title><iframe src=javascript:alert(5)>",
    "javascript:alert(6)",
    "\u202e<b onmouseover=alert(7)>reversed",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def flowzz(prepared_home: Path, settings: Settings) -> Iterator[Flowzz]:
    shutil.copytree(prepared_home, settings.home)
    with Flowzz.open(settings, plugins=PluginHost.of([*gallery.plugins(), parcels.PLUGIN])) as opened:
        yield opened


@pytest.fixture
def base_url(app: Flask) -> Iterator[str]:
    """The web on a real port."""
    with serving(app) as url:
        yield url


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, base_url: str) -> Iterator[Open]:
    """Opens a browser of its own, signed in unless told otherwise; anything the page complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(path: str = "/admin/queues", *, signed_in: bool = True, width: int = 1280, **options: object) -> Page:
        viewport = {"width": width, "height": 844}
        context = browser.new_context(viewport=viewport, base_url=base_url, reduced_motion="reduce", **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto("/login" if signed_in else path)
        if signed_in:
            page.get_by_label(re.compile("E-mail")).fill("admin@flowzz.example")
            page.locator("[name=password]").fill(PASSWORD)
            page.locator(".card button").click()
            page.wait_for_url("**/admin/queues")
            page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not [one for one in complaints if "Failed to load resource" not in one]


@pytest.fixture
def ids(flowzz: Flowzz) -> Iterator[dict[str, str]]:
    company = flowzz.store.add_company("Loja Aurora")
    one, _token = flowzz.store.add_connection(
        company.id, "parcels", "Parcels", {"depots": ["POA"]}, {"token": SecretStr(parcels.TOKEN)}
    )
    flowzz.store.need_credentials(one.id, "the carrier refused the token", as_of=now())
    with gallery.busy(flowzz) as made:
        yield {**made, "connection": one.id}


def pages(ids: dict[str, str]) -> list[str]:
    lists = [f"/admin/queues/{queue}" for queue in ("whatsapp", "reports?state=failed", "sync-facebook?state=failed")]
    jobs = [f"/admin/jobs/{ids[state]}" for state in ("completed", "failed", "active", "delayed")]
    forms = ["/admin/pauses/new", "/admin/schedules/coinzz.sync_sales"]
    forms += ["/admin/connections", "/admin/connections/new", "/admin/connections/new?plugin=parcels"]
    forms += [f"/admin/connections/{ids['connection']}"]
    return ["/admin/queues", *lists, *jobs, *forms, "/admin/plugins", "/admin/jobs/gone", "/admin/nowhere"]


@pytest.mark.parametrize(
    ("scheme", "width", "locale"), [("light", 1280, "en"), ("dark", 1280, "pt-BR"), ("dark", 390, "en")]
)
def test_pages_are_accessible_and_fit(
    open_page: Open, ids: dict[str, str], scheme: str, width: int, locale: str
) -> None:
    axe = Axe()
    page = open_page("/login", signed_in=False, color_scheme=scheme, width=width, locale=locale)
    found = {"/login": axe.run(page)}
    page = open_page(color_scheme=scheme, width=width, locale=locale)
    for path in pages(ids):
        page.goto(path)
        found[path] = axe.run(page)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, f"{path} scrolls sideways"
    broken = {path: result.generate_report() for path, result in found.items() if result.violations_count}
    assert not broken, "\n".join(f"{path}: {report}" for path, report in broken.items())


def test_sign_in_pause_and_resume_with_the_keyboard_alone(open_page: Open, flowzz: Flowzz) -> None:
    page = open_page("/admin/queues", signed_in=False)
    page.keyboard.type("admin@flowzz.example")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Queues", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    pause = page.get_by_role("button", name="Pause: whatsapp")
    for _ in range(60):
        page.keyboard.press("Tab")
        if pause.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Queue whatsapp is paused.")
    assert flowzz.queues.stats(["whatsapp"])[0].pause_reason == "by keyboard"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_line_is_edited_with_the_keyboard_and_mistakes_are_accessible(
    open_page: Open, flowzz: Flowzz, scheme: str, width: int
) -> None:
    page = open_page("/admin/schedules/coinzz.sync_sales", color_scheme=scheme, width=width)
    page.get_by_label("Cron line").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("61 * * * *")
    page.keyboard.press("Enter")
    field = page.get_by_label("Cron line")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("cannot be read, or never ticks"))
    assert Axe().run(page).violations_count == 0
    page.keyboard.press("Control+A")
    page.keyboard.type("30 6 * * *")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Next ticks").get_by_role("listitem")).to_have_count(5)
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("ticks by the new line")
    expect(page.locator("ins")).to_have_text("30 6 * * *")
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Revert").press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("ins")).to_have_count(0)


def test_a_company_is_paused_with_the_keyboard_and_mistakes_are_accessible(open_page: Open, flowzz: Flowzz) -> None:
    flowzz.store.add_company("Loja da Ana", "loja-1")
    page = open_page("/admin/queues")
    page.get_by_role("link", name="Pause a company or a type of job").press("Enter")
    page.get_by_label("Company or type of job").focus()
    page.keyboard.type("Loja")
    page.get_by_label("Ends after").fill("soon")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Ends after")).to_have_accessible_description(re.compile("such as 30m"))
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Ends after").fill("2h")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("Loja da Ana is paused.")
    assert [pause.name for pause in flowzz.queues.pauses()] == ["loja-1"]
    assert Axe().run(page).violations_count == 0


def test_focus_is_always_visible(open_page: Open) -> None:
    page = open_page("/admin/queues")
    for _ in range(25):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")


def test_cancel_means_nothing_happens(open_page: Open, flowzz: Flowzz) -> None:
    page = open_page("/admin/queues")
    page.get_by_role("button", name="Pause: whatsapp").click()
    expect(page.get_by_role("dialog")).to_contain_text("Pause queue whatsapp?")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Pause: whatsapp").click()
    page.keyboard.press("Escape")
    assert not flowzz.queues.stats(["whatsapp"])[0].is_paused


def test_a_failed_job_is_found_read_and_retried(open_page: Open, flowzz: Flowzz, ids: dict[str, str]) -> None:
    page = open_page("/admin/queues")
    page.get_by_role("link", name="sync-facebook, Failed: 2").click()
    page.locator(f"a[href='/admin/jobs/{ids['failed']}']").click()
    expect(page.get_by_role("group", name="Stack trace").first).to_contain_text("ValueError")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status")).to_contain_text("is waiting again")
    eventually(lambda: len(flowzz.queues.attempts(ids["failed"])) == 6, saying="three more attempts")
    expect(page.locator(".timeline li")).to_have_count(6)


def test_a_page_follows_what_happens_without_losing_the_focus(open_page: Open, flowzz: Flowzz) -> None:
    page = open_page("/admin/queues")
    button = page.get_by_role("button", name="Pause: whatsapp")
    button.focus()
    flowzz.enqueue("coinzz.sync_sales", {"empresaId": "loja-1"})
    expect(page.get_by_role("link", name="sync-coinzz, Waiting: 1")).to_be_visible(timeout=8000)
    expect(button).to_be_focused()


def test_live_refresh_can_be_paused_and_stays_so(open_page: Open, flowzz: Flowzz) -> None:
    page = open_page("/admin/queues")
    page.locator("[data-live-toggle]").click()
    expect(page.locator("[data-live-text]")).to_have_text("Live refresh is paused")
    page.reload()
    expect(page.locator("[data-live-text]")).to_have_text("Live refresh is paused")
    page.locator("[data-live-toggle]").click()
    expect(page.locator("[data-live-text]")).to_contain_text("every 2 seconds")


def test_it_works_without_scripts(open_page: Open, flowzz: Flowzz) -> None:
    page = open_page("/admin/queues", java_script_enabled=False)
    page.get_by_role("button", name="Pause: whatsapp").click()
    expect(page.get_by_role("status")).to_contain_text("Queue whatsapp is paused.")
    page.get_by_role("link", name="Português").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Filas")


class Hostile(Payload):
    text: str


@job("evil.echo", queue="evil", retry=NoRetry())
def echo(ctx: JobContext, data: Hostile) -> None:
    """Puts the text everywhere a job can put one."""
    ctx.log(data.text)
    ctx.progress(50, data.text)
    ctx.save_checkpoint({data.text: data.text})
    raise type(data.text, (Exception,), {})(data.text)


class EvilHooks:
    @hookimpl
    def flowzz_jobs(self) -> list[object]:
        return [echo]


class TestHostileText:
    @pytest.fixture
    def flowzz(self, flowzz: Flowzz, settings: Settings) -> Iterator[Flowzz]:
        """The same Flowzz, with one plugin whose every word is an attack."""
        plugin = Plugin(name="evil", title=ATTACKS[0], api=">=1,<2", hooks=EvilHooks())
        with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as opened:
            yield opened

    def test_nothing_a_job_says_becomes_code(self, open_page: Open, flowzz: Flowzz) -> None:
        company = flowzz.store.add_company(ATTACKS[1])
        sent = [flowzz.enqueue("evil.echo", {"text": text}) for text in ATTACKS]
        flowzz.enqueue("evil.echo", {"text": company.name}, EnqueueOptions(delay=timedelta(hours=1)))
        with gallery.working(flowzz, name=ATTACKS[1].replace(" ", "")):
            for job_id in sent:
                assert flowzz.queues.wait(job_id, timedelta(seconds=90)).state is JobState.FAILED
            flowzz.queues.pause("evil", ATTACKS[1])
            page = open_page("/admin/queues")
            violations: list[str] = []
            page.on("console", lambda said: violations.append(said.text) if "Content Security" in said.text else None)
            for path in (
                "/admin/queues",
                "/admin/plugins",
                "/admin/queues/evil?state=failed",
                "/admin/queues/evil?state=delayed",
            ):
                page.goto(path)
            for job_id, text in zip(sent, ATTACKS, strict=True):
                page.goto(f"/admin/jobs/{job_id}")
                expect(page.get_by_role("group", name="Payload")).to_contain_text(text.replace('"', '\\"'))
                expect(page.locator(".log .text")).to_have_text(text)
                assert page.locator("main script, main iframe, main img, main svg").count() == 0
            for text in ATTACKS:
                for address in (
                    f"/admin/queues/{quote(text)}",
                    f"/admin/jobs/{quote(text)}",
                    f"/login?next={quote(text)}",
                ):
                    page.goto(address)
        assert not violations


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_company_is_connected_with_the_keyboard_and_mistakes_are_accessible(
    open_page: Open, flowzz: Flowzz, scheme: str, width: int
) -> None:
    flowzz.store.add_company("Loja Aurora")
    page = open_page("/admin/connections/new?plugin=parcels", color_scheme=scheme, width=width)
    page.get_by_label("Company").select_option(label="Loja Aurora")
    page.get_by_label("Token").fill("refused")
    page.get_by_label("Depots").fill("POA")
    page.get_by_text("More settings").press("Enter")
    page.get_by_label("Rows a page").fill("0")
    page.get_by_role("button", name="Test and save").press("Enter")
    wrong = page.get_by_label("Rows a page")
    expect(wrong).to_be_visible()
    expect(wrong).to_have_accessible_description(re.compile("greater than or equal to 1"))
    assert Axe().run(page).violations_count == 0
    wrong.fill("10")
    page.get_by_label("Token").fill("refused")
    page.get_by_role("button", name="Test and save").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("the carrier refused the token")
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Token").fill(parcels.TOKEN)
    page.get_by_role("button", name="Test and save").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("is connected")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    (made,) = flowzz.store.all_connections()
    assert made.config["page_size"] == 10
