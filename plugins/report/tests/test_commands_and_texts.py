"""The commands, and the texts of the admin's page in both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from click.testing import CliRunner, Result

import flowzz_report
from flowzz_report.commands import report_commands
from support.catalogues import compiled_texts, texts_once_compiled

FOLDER = Path(flowzz_report.__file__).parent
PO = FOLDER / "translations/pt_BR/LC_MESSAGES/messages.po"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]


@pytest.fixture
def run(desk: Any, redis_url: str) -> Any:
    environment = {"FLOWZZ_HOME": str(desk.host.settings.home), "REDIS_URL": redis_url, "DATABASE_URL": ""}

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(report_commands, words, env={**environment, "DATABASE_URL": None})

    return invoke


def test_reports_are_listed_and_get_new_links(desk: Any, run: Any) -> None:
    made = desk.ask()

    assert made.report_id in run("list").output
    (told,) = json.loads(run("list", "--company", desk.company_id, "--json").output)
    assert (told["id"], told["state"], told["bytes"]) == (made.report_id, "ready", desk.row(made.report_id).bytes)
    assert run("link", made.report_id).output.startswith(
        f"http://127.0.0.1:3000/public/report/{made.report_id}?expires="
    )
    assert "no reports yet" in run("list", "--company", "other").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("link", "nothing"), "no report has the id 'nothing'"),
        (("generate", "--company", "x", "--type", "sales", "--to", "2026-03-01", "--from", "2026-03-02"), "endDate"),
        (("generate", "--company", "x", "--type", "sales", "--filters", '{"prodct": 1}'), "did you mean 'product'"),
        (("generate", "--company", "x", "--type", "sales", "--to", "yesterday"), "Invalid isoformat string"),
        (("generate", "--company", "x", "--type", "profit"), "'profit' is not one of"),
    ],
)
def test_a_mistake_is_told(run: Any, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_report_may_be_asked_for_without_waiting(desk: Any, run: Any) -> None:
    done = run("generate", "--company", desk.company_id, "--type", "leads", "--no-wait")
    assert done.exit_code == 0, done.output
    assert len(done.output.strip()) == 36


def test_every_text_has_a_translation_and_the_catalogue_is_fresh() -> None:
    with PO.open("rb") as file:
        catalog = read_po(file, locale="pt_BR")
    keywords = {"_": None, "ngettext": (1, 2)}
    said = {message for _, _, message, _, _ in extract_from_dir(FOLDER, METHODS, keywords=keywords)}
    assert {message.id for message in catalog if message.id} == said | {"Reports"}
    assert all(message.string for message in catalog)
    assert compiled_texts(PO.with_suffix(".mo")) == texts_once_compiled(catalog)
