"""What must be there before the first child of `flowzz up` starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from flowzz.cli.session import Session
from flowzz.cli.standing import Plan, standing
from flowzz.errors import ConfigurationError, InvalidRequest
from support.shop import install

from .conftest import Cli


@pytest.fixture
def session(cli: Cli, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Session:
    for name, value in cli.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REDIS_URL", redis_url)
    return Session(quiet=True)


def test_the_first_admin_gets_the_given_password(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_ADMIN_PASSWORD", "a given password")
    monkeypatch.setenv("FLOWZZ_ADMIN_EMAIL", "chefe@loja.example")
    with standing(session, Plan(port=0), "up") as here:
        assert here.first_admin is not None
        assert here.first_admin.email == "chefe@loja.example"
        assert here.store.authenticate("chefe@loja.example", SecretStr("a given password")) is not None
        assert here.valkey is None
    with standing(session, Plan(port=0), "up") as here:
        assert here.first_admin is None


def test_a_given_password_that_is_too_short_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_ADMIN_PASSWORD", "short")
    with pytest.raises(InvalidRequest, match="12"), standing(session, Plan(port=0), "up"):
        pytest.fail("it must not start")


def test_a_free_port_is_what_webhook_urls_name(session: Session) -> None:
    with standing(session, Plan(port=0, sandbox=True), "up") as here:
        port = here.web_socket.getsockname()[1]
        assert here.settings.web_url == f"http://127.0.0.1:{port}"
        assert here.sandbox_url.startswith("http://127.0.0.1:")


def test_a_failed_start_lets_go_of_everything(session: Session) -> None:
    with standing(session, Plan(port=0), "up") as here:
        with pytest.raises(ConfigurationError, match="already runs"), standing(session, Plan(port=0), "up"):
            pytest.fail("it must not start")
        taken = here.settings.port
    with standing(session, Plan(port=taken), "up"):
        pass


def test_a_plugin_whose_tables_fail_does_not_keep_the_others_down(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flowzz_tableless.py").write_text(
        "from pathlib import Path\n"
        "from flowzz.plugins.contributions import Migrations, Plugin\n"
        "from flowzz.plugins.hookspecs import hookimpl\n"
        "class Hooks:\n"
        "    @hookimpl\n"
        "    def flowzz_migrations(self):\n"
        "        return [Migrations(plugin='tableless', folder=Path(__file__).parent / 'tables')]\n"
        "plugin = Plugin(name='tableless', title='Tableless', api='>=1,<2', hooks=Hooks())\n"
    )
    (tmp_path / "tables" / "versions").mkdir(parents=True)
    (tmp_path / "tables" / "versions" / "tableless_0001.py").write_text("raise RuntimeError('no tables today')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(install(tmp_path / "odd", entry="flowzz_tableless:plugin", name="tableless"))
    with standing(session, Plan(port=0), "up") as here:
        assert len(here.store.users()) == 1
    assert "no tables today" in (here.settings.data_folder / "logs" / "error.log").read_text()
