"""Connections in the admin and over HTTP: what is typed is checked by the plugin's model, and no secret comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from sqlalchemy import text
from werkzeug.test import TestResponse

from flowzz.app import Flowzz
from flowzz.clock import now
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from support import gallery
from support.parcels import PLUGIN, SIGNING, TOKEN, during_a_check
from support.visiting import HTML, post

EN = {"Accept-Language": "en", **HTML}
FORM = {"token": TOKEN, "depots": "POA, GRU", "region": "north", "page_size": "50", "tags": '{"vip": "yes"}'}
CONFIG = {"token": TOKEN, "depots": ["POA"]}

Call = Callable[..., TestResponse]


@pytest.fixture
def flowzz(prepared_home: Path, settings: Settings) -> Iterator[Flowzz]:
    shutil.copytree(prepared_home, settings.home)
    with Flowzz.open(settings, plugins=PluginHost.of([*gallery.plugins(), PLUGIN])) as opened:
        yield opened


@pytest.fixture
def admin(as_role: Callable[[Role], FlaskClient]) -> FlaskClient:
    return as_role(Role.ADMIN)


@pytest.fixture
def company(flowzz: Flowzz) -> str:
    return flowzz.store.add_company("Loja Aurora").id


@pytest.fixture
def stored(flowzz: Flowzz, company: str) -> Connection:
    secrets = {"token": SecretStr(TOKEN), "signing_key": SecretStr(SIGNING)}
    config = {"depots": ["POA"], "region": "south", "page_size": 50, "is_test": False, "tags": {}}
    return flowzz.store.add_connection(company, "parcels", "Main depot", config, secrets)[0]


def refuse(flowzz: Flowzz, one: Connection) -> None:
    assert flowzz.store.need_credentials(one.id, "the carrier refused the token", as_of=now())


def audited(flowzz: Flowzz) -> set[str]:
    return {entry.action for entry in flowzz.store.audit()}


class TestPages:
    def test_a_company_is_connected_by_the_form_of_the_model(
        self, admin: FlaskClient, flowzz: Flowzz, company: str
    ) -> None:
        assert "No connections yet" in admin.get("/admin/connections", headers=EN).text
        assert "Connect: Parcels" in admin.get("/admin/connections/new", headers=EN).text
        page = admin.get("/admin/connections/new?plugin=parcels", headers=EN).text
        assert all(text in page for text in ("From the carrier&#39;s back office.", 'type="password"', "Loja Aurora"))
        form = {"connection-company": company, "connection-label": "", **FORM, "signing_key": SIGNING, "is_test": "on"}
        answer = post(admin, "/admin/connections/new?plugin=parcels", **form)
        (made,) = flowzz.store.all_connections()
        assert answer.location == f"/admin/connections/{made.id}"
        assert (made.label, made.company_id, made.state) == ("Parcels", company, ConnectionState.ACTIVE)
        assert dict(made.config) == {
            "depots": ["POA", "GRU"], "region": "north", "page_size": 50, "is_test": True, "tags": {"vip": "yes"},
        }  # fmt: skip
        assert {name: value.get_secret_value() for name, value in made.secrets.items()} == {
            "token": TOKEN, "signing_key": SIGNING,
        }  # fmt: skip
        assert made.checked_at is not None
        page = admin.get(answer.location, headers=EN).text
        assert "Parcels is connected." in page
        assert TOKEN not in page
        assert SIGNING not in page
        assert "connection.add" in audited(flowzz)

    @pytest.mark.parametrize(
        ("change", "field", "says"),
        [
            ({"connection-company": "nobody"}, "connection-company", "Choose a company"),
            ({"token": ""}, "token", "Field required"),
            ({"depots": " , "}, "depots", "at least 1 item"),
            ({"page_size": "many"}, "page_size", "valid integer"),
            ({"region": "west"}, "region", "&#39;south&#39; or &#39;north&#39;"),
            ({"tags": "[1"}, "tags", "valid dictionary"),
        ],
    )
    def test_what_does_not_fit_is_said_under_its_field_and_the_rest_stays(
        self, admin: FlaskClient, flowzz: Flowzz, company: str, change: dict[str, str], field: str, says: str
    ) -> None:
        form = {"connection-company": company, "connection-label": "My depot", **FORM, **change}
        answer = post(admin, "/admin/connections/new?plugin=parcels", **form)
        assert answer.status_code == 422
        assert f'id="{field}-wrong"' in answer.text
        assert says in answer.text
        assert "My depot" in answer.text
        assert TOKEN not in answer.text
        assert flowzz.store.all_connections() == []

    def test_what_the_upstream_refuses_is_stored_only_when_one_insists(
        self, admin: FlaskClient, flowzz: Flowzz, company: str
    ) -> None:
        form = {"connection-company": company, **FORM, "token": "refused"}
        answer = post(admin, "/admin/connections/new?plugin=parcels", **form)
        assert answer.status_code == 422
        assert "the carrier refused the token" in answer.text
        assert 'value="store"' in answer.text
        assert flowzz.store.all_connections() == []
        assert post(admin, "/admin/connections/new?plugin=parcels", **form, then="store").status_code == 303
        assert len(flowzz.store.all_connections()) == 1

    def test_new_credentials_wake_a_connection_and_secrets_left_empty_stay(
        self, admin: FlaskClient, flowzz: Flowzz, stored: Connection
    ) -> None:
        refuse(flowzz, stored)
        assert "1 connection needs new credentials" in admin.get("/admin/queues", headers=EN).text
        page = admin.get(f"/admin/connections/{stored.id}", headers=EN).text
        assert "The upstream refused the credentials." in page
        assert "the carrier refused the token" in page
        answer = post(admin, f"/admin/connections/{stored.id}", **{**FORM, "token": "tok-new", "page_size": ""})
        assert answer.location == f"/admin/connections/{stored.id}"
        changed = flowzz.store.connection_by_id(stored.id)
        assert (changed.state, changed.label) == (ConnectionState.ACTIVE, "Main depot")
        assert changed.secrets["token"].get_secret_value() == "tok-new"
        assert changed.secrets["signing_key"].get_secret_value() == SIGNING
        assert changed.config["page_size"] == 50
        assert "the jobs that waited for it go on" in admin.get(answer.location, headers=EN).text

    def test_a_secret_that_may_be_absent_is_forgotten(
        self, admin: FlaskClient, flowzz: Flowzz, stored: Connection
    ) -> None:
        post(admin, f"/admin/connections/{stored.id}", **{**FORM, "token": "", "forget-signing_key": "on"})
        assert set(flowzz.store.connection_by_id(stored.id).secrets) == {"token"}

    def test_refused_new_credentials_change_nothing(
        self, admin: FlaskClient, flowzz: Flowzz, stored: Connection
    ) -> None:
        refuse(flowzz, stored)
        answer = post(admin, f"/admin/connections/{stored.id}", **{**FORM, "token": "refused"})
        assert answer.status_code == 422
        unchanged = flowzz.store.connection_by_id(stored.id)
        assert unchanged.state is ConnectionState.NEEDS_CREDENTIALS
        assert unchanged.secrets["token"].get_secret_value() == TOKEN

    def test_it_is_tested_paused_resumed_and_removed(
        self, admin: FlaskClient, flowzz: Flowzz, stored: Connection
    ) -> None:
        path = f"/admin/connections/{stored.id}"
        said = admin.get(post(admin, f"{path}/test").location, headers=EN).text
        assert "The connection works." in said
        post(admin, f"{path}/pause", reason="holidays")
        paused = flowzz.store.connection_by_id(stored.id)
        assert (paused.state, paused.state_reason) == (ConnectionState.PAUSED, "holidays")
        assert "holidays" in admin.get("/admin/connections?state=paused", headers=EN).text
        assert "No such connections" in admin.get("/admin/connections?state=active", headers=EN).text
        post(admin, f"{path}/resume")
        assert flowzz.store.connection_by_id(stored.id).state is ConnectionState.ACTIVE
        assert post(admin, f"{path}/remove", back="").location == "/admin/connections"
        assert flowzz.store.all_connections() == []
        assert {"connection.paused", "connection.active", "connection.remove"} <= audited(flowzz)

    def test_a_test_that_fails_is_said_and_kept(self, admin: FlaskClient, flowzz: Flowzz, stored: Connection) -> None:
        flowzz.store.update_connection(stored.id, secrets={"token": SecretStr("refused")})
        said = admin.get(post(admin, f"/admin/connections/{stored.id}/test").location, headers=EN).text
        assert "The connection does not work: the carrier refused the token" in said
        assert flowzz.store.connection_by_id(stored.id).check_problem == "the carrier refused the token"

    def test_a_webhooks_address_is_shown_once(self, admin: FlaskClient, flowzz: Flowzz, stored: Connection) -> None:
        answer = post(admin, f"/admin/connections/{stored.id}/rotate-webhook")
        token = answer.text.partition("/webhooks/parcels/")[2].partition("<")[0]
        found = flowzz.store.connection_by_webhook_token("parcels", token)
        assert found is not None
        assert found.id == stored.id
        assert "no-store" in answer.headers["Cache-Control"]
        assert "/webhooks/parcels/" not in admin.get(f"/admin/connections/{stored.id}", headers=EN).text

    def test_credentials_that_no_key_opens_are_given_anew(
        self, admin: FlaskClient, flowzz: Flowzz, stored: Connection
    ) -> None:
        with flowzz.store.session() as session:
            session.execute(text("UPDATE flowzz_connections SET sealed_secrets = 'garbage'"))
        path = f"/admin/connections/{stored.id}"
        assert "Main depot" in admin.get(path, headers=EN).text
        without = post(admin, path, **{**FORM, "token": ""})
        assert without.status_code == 422
        assert "store the credentials anew" in without.text
        assert post(admin, path, **{**FORM, "token": "tok-new"}).status_code == 303
        changed = flowzz.store.connection_by_id(stored.id)
        assert {name: value.get_secret_value() for name, value in changed.secrets.items()} == {"token": "tok-new"}

    def test_one_whose_plugin_is_gone_is_still_shown(self, admin: FlaskClient, flowzz: Flowzz, company: str) -> None:
        made, _token = flowzz.store.add_connection(company, "gone", "Old", {}, {})
        assert "pip install flowzz-gone" in admin.get(f"/admin/connections/{made.id}", headers=EN).text
        assert "Old" in admin.get("/admin/connections", headers=EN).text
        assert post(admin, f"/admin/connections/{made.id}").status_code == 404

    def test_who_is_no_admin_sees_and_does_nothing(
        self, as_role: Callable[[Role], FlaskClient], flowzz: Flowzz, stored: Connection
    ) -> None:
        viewer = as_role(Role.VIEWER)
        assert viewer.get("/admin/connections", headers=EN).status_code == 403
        assert viewer.post(f"/admin/connections/{stored.id}/remove").status_code in (400, 403)
        assert len(flowzz.store.all_connections()) == 1


class TestApi:
    @pytest.fixture
    def call(self, client: FlaskClient, bearer: Callable[..., dict[str, str]]) -> Call:
        def called(method: str, path: str = "", **options: Any) -> TestResponse:
            return client.open(f"/api/v1/connections{path}", method=method, headers=bearer(), **options)

        return called

    def test_added_changed_tested_and_removed(self, call: Call, flowzz: Flowzz, company: str) -> None:
        answer = call("POST", json={"plugin": "parcels", "companyId": company, "config": CONFIG})
        assert answer.status_code == 201
        made = answer.json
        assert made["webhookUrl"].startswith("http://127.0.0.1:3000/webhooks/parcels/")
        assert (made["state"], made["secrets"], made["label"]) == ("active", ["token", "signing_key"], "Parcels")
        assert made["config"] == {"depots": ["POA"], "region": "south", "page_size": 50, "is_test": False, "tags": {}}
        path = f"/{made['id']}"
        assert answer.headers["Location"] == f"/api/v1/connections{path}"
        assert TOKEN not in answer.text + call("GET").text + call("GET", path).text
        assert "webhookUrl" not in call("GET", path).json
        assert call("GET", "?plugin=parcels&state=active").json["connections"][0]["id"] == made["id"]
        assert call("GET", "?state=paused").json == {"connections": []}
        assert call("PATCH", path, json={"label": "Depot", "config": {"page_size": 7}}).json["config"]["page_size"] == 7
        assert flowzz.store.connection_by_id(made["id"]).secrets["token"].get_secret_value() == TOKEN
        assert call("POST", f"{path}/test").json == {"works": True, "problem": None}
        assert call("POST", f"{path}/pause", json={"reason": "holidays"}).status_code == 204
        assert call("GET", path).json["stateReason"] == "holidays"
        assert call("POST", f"{path}/resume").status_code == 204
        assert call("POST", f"{path}/rotate-webhook").json["webhookUrl"] != made["webhookUrl"]
        assert call("DELETE", path).status_code == 204
        assert call("GET", path).status_code == 404

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"config": {**CONFIG, "page_size": 0}}, 422, "config.page_size"),
            ({"config": {"depots": ["POA"]}}, 422, "config.token"),
            ({"config": {**CONFIG, "token": "refused"}}, 422, None),
            ({"config": CONFIG, "plugin": "parcel"}, 404, None),
            ({"config": CONFIG, "companyId": "nobody"}, 404, None),
            ({"config": 1}, 422, "config"),
            ({"config": CONFIG, "lable": "x"}, 422, "lable"),
        ],
    )
    def test_what_does_not_fit_is_refused_by_field(
        self, call: Call, flowzz: Flowzz, company: str, body: dict[str, Any], status: int, field: str | None
    ) -> None:
        answer = call("POST", json={"plugin": "parcels", "companyId": company, **body})
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        assert [one["field"] for one in answer.json.get("errors", [])] == ([field] if field else [])
        assert TOKEN not in answer.text
        assert flowzz.store.all_connections() == []

    def test_new_credentials_wake_one_that_needed_them_and_another_name_does_not(
        self, call: Call, flowzz: Flowzz, stored: Connection
    ) -> None:
        refuse(flowzz, stored)
        assert call("PATCH", f"/{stored.id}", json={"label": "Depot"}).json["state"] == "needs_credentials"
        refused = call("PATCH", f"/{stored.id}", json={"config": {"token": "refused"}})
        assert (refused.status_code, refused.json["type"]) == (422, "urn:flowzz:problem:connection-test-failed")
        assert call("GET", f"/{stored.id}").json["state"] == "needs_credentials"
        assert call("PATCH", f"/{stored.id}", json={"config": {"token": "tok-new"}}).json["state"] == "active"

    def test_what_somebody_else_stores_during_the_test_is_not_overwritten(
        self, call: Call, flowzz: Flowzz, stored: Connection
    ) -> None:
        def meanwhile() -> None:
            flowzz.store.set_connection_state(stored.id, ConnectionState.NEEDS_CREDENTIALS, "401")
            if rival:
                flowzz.store.update_connection(stored.id, secrets=rival)

        rival = {"token": SecretStr("tok-rival"), "signing_key": SecretStr(SIGNING)}
        with during_a_check(meanwhile):
            answer = call("PATCH", f"/{stored.id}", json={"config": {"page_size": 7}})
        assert (answer.status_code, answer.json["type"]) == (409, "urn:flowzz:problem:connection-changed")
        kept = flowzz.store.connection_by_id(stored.id)
        assert (kept.secrets["token"].get_secret_value(), kept.config["page_size"]) == ("tok-rival", 50)
        # A state that changes meanwhile is nobody's fields.
        rival = {}
        with during_a_check(meanwhile):
            answer = call("PATCH", f"/{stored.id}", json={"config": {"page_size": 7}})
        assert (answer.status_code, answer.json["state"]) == (200, "active")
        kept = flowzz.store.connection_by_id(stored.id)
        assert (kept.secrets["token"].get_secret_value(), kept.config["page_size"]) == ("tok-rival", 7)

    def test_monitors_see_numbers_only(self, client: FlaskClient, flowzz: Flowzz, stored: Connection) -> None:
        counts = {"plugin": "parcels", "active": 1, "paused": 0, "needsCredentials": 0}
        healthy = client.get("/health/connections")
        assert (healthy.status_code, healthy.json) == (200, {"status": "healthy", "connections": [counts]})
        refuse(flowzz, stored)
        degraded = client.get("/health/connections")
        assert (degraded.status_code, degraded.json["status"]) == (207, "degraded")
        assert degraded.json["connections"] == [{**counts, "active": 0, "needsCredentials": 1}]
        queues = client.get("/health/queues")
        assert (queues.status_code, set(queues.json)) == (200, {"status", "timestamp", "redis", "queues", "summary"})
        for private in ("Loja Aurora", "Main depot", stored.id, "the carrier refused"):
            assert private not in queues.text + degraded.text

    def test_only_admins(self, client: FlaskClient, bearer: Callable[..., dict[str, str]], stored: Connection) -> None:
        assert client.get("/api/v1/connections").status_code == 401
        assert client.get("/api/v1/connections", headers=bearer(Role.VIEWER)).status_code == 403
