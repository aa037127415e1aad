"""Two languages: the visitor's choice wins over the browser's, and nothing is left untranslated."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po
from flask.testing import FlaskClient

import flowzz_web
from flowzz.store import Role
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
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    fresh = said_by(compiled)
    assert len(fresh) > 100
    with PO.with_suffix(".mo").open("rb") as file:
        assert said_by(file) == fresh, "run: pybabel compile -d web/flowzz_web/translations"


def said_by(file: IO[bytes]) -> dict[str, Any]:
    """What a compiled catalogue says, and its plural forms; not which Babel wrote it."""
    read = read_mo(file)
    said: dict[str, Any] = {str(message.id): message.string for message in read if message.id}
    return {**said, "plural forms": read.plural_forms}


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
