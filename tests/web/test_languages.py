"""Two languages: the visitor's choice wins over the browser's, and nothing is left untranslated."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

import flowzz_web
from flowzz.store import Role
from support.catalogues import compiled_texts, texts_once_compiled
from support.visiting import HTML

FOLDER = Path(flowzz_web.__file__).parent
PO = FOLDER / "translations/pt_BR/LC_MESSAGES/messages.po"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "translate": None, "gettext": None, "ngettext": (1, 2)}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="pt_BR")


def test_every_string_has_a_translation_and_every_translation_a_string(catalog: Catalog) -> None:
    said = {message for _, _, message, _, _ in extract_from_dir(FOLDER, METHODS, keywords=KEYWORDS)}
    translated = {message.id for message in catalog if message.id}
    assert {message if isinstance(message, str) else tuple(message) for message in said} == translated
    for message in catalog:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(texts), message.id
        assert not list(message.check(catalog)), message.id


def test_the_compiled_catalogue_is_fresh(catalog: Catalog) -> None:
    fresh = texts_once_compiled(catalog)
    assert len(fresh) > 100
    assert compiled_texts(PO.with_suffix(".mo")) == fresh, "run: pybabel compile -d web/flowzz_web/translations"


@pytest.mark.parametrize(
    ("accepts", "language", "title"),
    [
        ("pt-BR,pt;q=0.9", "pt-BR", "Entrar no Flowzz"),
        ("pt-PT", "pt-BR", "Entrar no Flowzz"),
        ("de-DE,en;q=0.5", "en", "Sign in to Flowzz"),
        ("", "en", "Sign in to Flowzz"),
    ],
)
def test_the_browser_is_asked(client: FlaskClient, accepts: str, language: str, title: str) -> None:
    page = client.get("/login", headers={"Accept-Language": accepts, **HTML}).text
    assert f'<html lang="{language}">' in page
    assert title in page


def test_a_choice_is_remembered(client: FlaskClient) -> None:
    client.get("/login?lang=pt_BR", headers=HTML)
    assert "Entrar no Flowzz" in client.get("/login", headers={"Accept-Language": "en", **HTML}).text
    client.get("/login?lang=en", headers=HTML)
    assert "Sign in to Flowzz" in client.get("/login", headers={"Accept-Language": "pt-BR", **HTML}).text


def test_a_language_nobody_has_changes_nothing(client: FlaskClient) -> None:
    answer = client.get("/login?lang=../../etc", headers=HTML)
    assert "flowzz_lang" not in str(answer.headers.getlist("Set-Cookie"))
    assert "Sign in to Flowzz" in answer.text


def test_refusals_and_numbers_are_translated_too(as_role) -> None:  # type: ignore[no-untyped-def]
    browser = as_role(Role.VIEWER)
    page = browser.get("/admin/queues", headers={"Accept-Language": "pt-BR", **HTML}).text
    assert "com o papel VIEWER" in page
