"""The sandbox is faithful where the client does not look."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from flowzz_whatsapp.sandbox.state import APP_SECRET, PHONE_NUMBER_ID, TOKEN, WABA_ID

ANA = "+5511987654321"


@pytest.fixture
def call(upstream: Any) -> Any:
    """Calls the API with the right token."""

    def call(method: str, path: str, token: str = TOKEN, **content: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        response: httpx.Response = upstream.http.request(
            method, f"{upstream.url}/v26.0/{path}", headers=headers, **content
        )
        return response

    return call


def text(**more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": ANA, "type": "text", "text": {"body": "oi"}, **more}


def code_of(response: httpx.Response) -> int:
    return int(response.json()["error"]["code"])


def test_the_token_is_looked_at_before_the_faults(upstream: Any, call: Any) -> None:
    upstream.faults(error={"code": 131000})
    wrong = call("POST", f"{PHONE_NUMBER_ID}/messages", token="wrong", json=text())
    assert (wrong.status_code, code_of(wrong)) == (401, 190)
    assert upstream.control("faults", method="GET")["on"]["error"]["struck"] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"messaging_product": "sms"}, 100),
        ({"type": "fax"}, 131051),
        ({"to": None}, 131008),
        ({"to": "Ana"}, 131009),
        ({"text": {"body": ""}}, 131008),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"biz_opaque_callback_data": "x" * 513}, 131009),
        ({"to": None, "recipient": "Ana"}, 131009),
        ({"type": "template"}, 131008),
    ],
)
def test_messages_are_validated(call: Any, change: dict[str, Any], code: int) -> None:
    response = call("POST", f"{PHONE_NUMBER_ID}/messages", json=text(**change))
    assert (response.status_code, code_of(response)) == (400, code)


@pytest.mark.parametrize("to", ["5511987654321", "+55 (11) 98765-4321", "+5511987654321"])
def test_numbers_are_taken_in_any_dress(call: Any, to: str) -> None:
    answer = call("POST", f"{PHONE_NUMBER_ID}/messages", json=text(to=to)).json()
    assert answer["contacts"][0]["wa_id"] == "5511987654321"
    assert answer["messages"][0]["id"].startswith("wamid.")


def test_some_areas_go_without_the_ninth_digit(upstream: Any, call: Any) -> None:
    upstream.settings(short_area_codes=["62"])
    answer = call("POST", f"{PHONE_NUMBER_ID}/messages", json=text(to="+5562987654321")).json()
    assert answer["contacts"][0] == {"input": "+5562987654321", "wa_id": "556287654321", "user_id": "BR.556287654321"}


def test_a_user_may_hide_the_phone(upstream: Any, call: Any) -> None:
    upstream.settings(username_users=[ANA])
    answer = call("POST", f"{PHONE_NUMBER_ID}/messages", json=text()).json()
    assert answer["contacts"][0] == {"input": ANA, "user_id": "BR.551187654321"}


def test_who_stopped_marketing_gets_no_marketing(upstream: Any, call: Any) -> None:
    upstream.control("templates", {"name": "oferta", "category": "MARKETING"})
    upstream.control("incoming", {"from": ANA, "kind": "stop"})
    template = {"name": "oferta", "language": {"code": "pt_BR"}}
    asked = {"messaging_product": "whatsapp", "to": ANA, "type": "template", "template": template}
    assert code_of(call("POST", f"{PHONE_NUMBER_ID}/messages", json=asked)) == 131050


def test_the_window_opens_and_closes_by_the_sandboxs_clock(upstream: Any, call: Any) -> None:
    upstream.settings(window="sync")
    send = f"{PHONE_NUMBER_ID}/messages"
    assert code_of(call("POST", send, json=text())) == 131047
    upstream.control("incoming", {"from": ANA})
    assert call("POST", send, json=text()).status_code == 200
    upstream.control("clock", {"advance": 24 * 3600})
    assert code_of(call("POST", send, json=text())) == 131047


def test_a_wrong_app_secret_proof_is_refused(call: Any) -> None:
    assert APP_SECRET
    response = call("GET", PHONE_NUMBER_ID, params={"appsecret_proof": "0" * 64})
    assert code_of(response) == 100


def test_reads_and_subscriptions(upstream: Any, call: Any) -> None:
    assert call("GET", PHONE_NUMBER_ID).json()["status"] == "CONNECTED"
    assert call("GET", f"{WABA_ID}/phone_numbers").json()["data"][0]["id"] == PHONE_NUMBER_ID
    named = call("GET", f"{WABA_ID}/message_templates", params={"name": "pedido_enviado"}).json()["data"]
    assert [(one["language"], one["parameter_format"]) for one in named] == [("pt_BR", "NAMED")]
    assert call("GET", f"{WABA_ID}/subscribed_apps").json() == {"data": []}
    assert call("POST", f"{WABA_ID}/subscribed_apps").json() == {"success": True}
    assert len(call("GET", f"{WABA_ID}/subscribed_apps").json()["data"]) == 1
    upstream.settings(management_rate=4)
    assert code_of(call("GET", f"{WABA_ID}/subscribed_apps")) == 80007
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"}
    assert call("POST", f"{PHONE_NUMBER_ID}/messages", json=read).json() == {"success": True}


def test_the_page_lists_every_switch(upstream: Any) -> None:
    page = upstream.http.get(f"{upstream.url}/").text
    catalogue = upstream.control("faults", method="GET")["catalogue"]
    for name in [*catalogue, *upstream.control("settings", method="GET")]:
        assert f"<code>{name}</code>" in page


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("faults", {"nothing_known": True}, 400),
        ("settings", {"nothing_known": 1}, 400),
        ("settings", {}, 200),
    ],
)
def test_a_wrong_switch_is_named(upstream: Any, path: str, body: dict[str, Any], status: int) -> None:
    response = upstream.http.put(f"{upstream.url}/_control/{path}", json=body)
    assert response.status_code == status
    assert status == 200 or "nothing_known" in response.json()["message"]


def test_a_burst_goes_in_few_posts(upstream: Any, posting: Any, company: Any) -> None:
    with posting(company) as url:
        sent = upstream.control("burst", {"count": 1500, "url": url})
    assert (sent["sent"], sent["posts"]) == (1500, 2)
    assert len({row["wa_id"] for row in company.contacts()}) == 1500
