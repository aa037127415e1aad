"""The sandbox itself: faithful to the reference, and every switch works."""

from __future__ import annotations

from typing import Any

import pytest

from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT
from flowzz_facebook.sandbox.faults import CATALOGUE
from flowzz_facebook.sandbox.state import TOKEN, SandboxState

AUTH = {"Authorization": f"Bearer {TOKEN}"}
ADS = f"v26.0/act_{FIRST_ACCOUNT}/ads"


def get(upstream: Any, path: str, **query: Any) -> Any:
    return upstream.http.get(f"{upstream.url}/{path}", params=query, headers=AUTH)


def test_the_page_explains_it(upstream: Any) -> None:
    page = get(upstream, "")
    assert page.headers["Content-Type"].startswith("text/html")
    for name in [*CATALOGUE, "_control/seed", FIRST_ACCOUNT, "running_polls"]:
        assert name in page.text


def test_a_query_token_works_too(upstream: Any) -> None:
    def status(**query: str) -> int:
        answered: int = upstream.http.get(f"{upstream.url}/v26.0/me", params=query).status_code
        return answered

    assert (status(access_token=TOKEN), status(access_token="other"), status()) == (200, 400, 400)
    assert get(upstream, "v26.0/me/adaccounts", fields="name").json()["data"][0]["name"] == "Conta Exemplo 1"


def test_debug_token_tells_about_a_token(upstream: Any) -> None:
    good, bad = (get(upstream, "v26.0/debug_token", input_token=one).json()["data"] for one in (TOKEN, "x"))
    assert (good["is_valid"], good["scopes"], bad["is_valid"], bad["error"]["code"]) == (True, ["ads_read"], False, 190)


def test_fields_are_a_projection(upstream: Any) -> None:
    upstream.seed(1, 1, 1)
    (bare,) = get(upstream, ADS).json()["data"]
    assert list(bare) == ["id"]
    (named,) = get(upstream, ADS, fields="name,creative{id}").json()["data"]
    assert set(named) == {"id", "name", "creative"}


def test_the_last_page_has_a_cursor_and_no_next(upstream: Any) -> None:
    upstream.seed(1, 1, 3)
    first = get(upstream, ADS, limit=2).json()
    assert len(first["data"]) == 2
    assert "access_token=" in first["paging"]["next"]
    last = get(upstream, ADS, limit=2, after=first["paging"]["cursors"]["after"]).json()
    assert len(last["data"]) == 1
    assert "next" not in last["paging"]
    assert last["paging"]["cursors"]["after"]


def test_hidden_objects_come_when_they_are_asked_for(upstream: Any) -> None:
    upstream.seed(1, 1, 3)
    gone = upstream.objects("ads")[0]["id"]
    upstream.change("ads", gone, effective_status="ARCHIVED")
    assert gone not in {one["id"] for one in get(upstream, ADS).json()["data"]}
    asked = '[{"field":"ad.effective_status","operator":"IN","value":["ARCHIVED"]}]'
    assert [one["id"] for one in get(upstream, ADS, filtering=asked).json()["data"]] == [gone]
    wrong = get(upstream, ADS, filtering='[{"field":"ad.colour","operator":"IN","value":[]}]')
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, 100)


def test_insights_have_gaps(upstream: Any) -> None:
    upstream.seed(1, 1, 4)
    asked = {"level": "ad", "fields": "ad_id,spend,clicks,actions", "limit": 500}
    asked["time_range"] = '{"since":"2026-03-01","until":"2026-03-28"}'
    rows = get(upstream, f"v26.0/act_{FIRST_ACCOUNT}/insights", **asked).json()["data"]
    assert 80 < len(rows) < 4 * 28
    assert all(isinstance(row["spend"], str) for row in rows)
    assert 0 < sum("clicks" in row for row in rows) < len(rows)


def test_seeding_is_the_same_each_time() -> None:
    def seeded() -> Any:
        state = SandboxState()
        account = state.account(FIRST_ACCOUNT)
        account.grow(2, 2, 2)
        return account.edges

    assert seeded() == seeded()


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("PUT", "faults", {"gremlins": True}, "no fault is named 'gremlins'"),
        ("PUT", "faults", {"blocked": {"colour": 1}}, "no option is named colour"),
        ("PUT", "settings", {"colour": 1}, "no setting is named colour"),
        ("POST", "seed", {"campaigns": 0}, "expected campaigns to be 1 to"),
        ("POST", "seed", {"account": "7"}, "not found"),
        ("PUT", f"objects/{FIRST_ACCOUNT}/ads/7", {"name": "x"}, "not found"),
        ("PUT", f"objects/{FIRST_ACCOUNT}/dogs/7", {"name": "x"}, "expected one of campaigns"),
        ("POST", "clock", {"days": 0}, "expected days"),
    ],
)
def test_wrong_switches_say_what_is_wrong(upstream: Any, method: str, path: str, body: Any, said: str) -> None:
    answer = upstream.http.request(method, f"{upstream.url}/_control/{path}", json=body)
    assert answer.status_code in (400, 404)
    assert said in answer.json()["message"]


def test_faults_may_be_narrowed(upstream: Any) -> None:
    upstream.faults(refused={"endpoint": "ads", "account": FIRST_ACCOUNT})
    assert get(upstream, ADS).status_code == 400
    assert get(upstream, f"v26.0/act_{FIRST_ACCOUNT}/adsets").status_code == 200
    assert get(upstream, "v26.0/act_1000000000000002/ads").status_code == 200


def test_reset_forgets_everything(upstream: Any) -> None:
    upstream.seed()
    upstream.faults(blocked=True)
    upstream.control("accounts", {"timezone": "Europe/Lisbon", "currency": "EUR"})
    assert len(upstream.stats()["accounts"]) == 3
    upstream.control("reset")
    assert upstream.control("faults", method="GET")["on"] == {}
    assert [edges["ads"] for edges in upstream.stats()["accounts"].values()] == [0, 0]
