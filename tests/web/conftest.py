"""The web with its real parts behind it: Valkey, SQLite, plugins, and a user of each role."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role, Store
from flowzz_web import create_app
from support import gallery
from support.visiting import PASSWORD, sign_in

EMAILS = {role: f"{role.value}@flowzz.example" for role in Role}

SignIn = Callable[[Role | None], FlaskClient]
Headers = dict[str, str]


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with its tables and users, made once and copied for each test."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    with closing(Store.open(Settings.load(home=home))) as store:
        store.migrate()
        for role, email in EMAILS.items():
            store.add_user(email, SecretStr(PASSWORD), role)
    return home


@pytest.fixture
def flowzz(prepared_home: Path, settings: Settings) -> Iterator[Flowzz]:
    shutil.copytree(prepared_home, settings.home)
    with Flowzz.open(settings, plugins=PluginHost.of(gallery.plugins())) as opened:
        yield opened


@pytest.fixture
def app(flowzz: Flowzz) -> Flask:
    return create_app(flowzz)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def as_role(app: Flask) -> SignIn:
    """A client whose session belongs to a user of that role; None for a stranger."""

    def visit(role: Role | None) -> FlaskClient:
        client = app.test_client()
        if role is not None:
            sign_in(client, EMAILS[role])
        return client

    return visit


@pytest.fixture
def bearer(app: Flask, flowzz: Flowzz) -> Callable[..., Headers]:
    """The header of a token as signing in issues it, without the password's slow check."""

    def issue(role: Role = Role.ADMIN) -> Headers:
        user = flowzz.store.user_by_email(EMAILS[role])
        assert user is not None
        return {"Authorization": f"Bearer {app.extensions['flowzz'].tokens.issue(user)}"}

    return issue
