"""Calls to the Graph API: every way they can go wrong ends in the one error that says what to do next."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from flowzz.errors import NeedsCredentials, Throttled
from flowzz_facebook.client import ACCOUNT_LIMIT, BLOCKED_FOR, GraphClient
from flowzz_facebook.connection import FacebookConnection
from flowzz_facebook.errors import (
    AccountRefused,
    ObjectMissing,
    Refused,
    TooMuchData,
    TransientError,
    WrongEndpoint,
)
from flowzz_facebook.graph import check, read_account
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT, connection_fields
from flowzz_facebook.sandbox.state import APP_SECRET, TOKEN
from flowzz_facebook.usage import ADS_INSIGHTS, ADS_MANAGEMENT, Usage, usage_of
from flowzz_facebook.verdicts import GraphError, Verdict

Connect = Callable[..., GraphClient]
ACCOUNT = f"act_{FIRST_ACCOUNT}"
FIELDS = {"fields": "id"}


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def connect(upstream: Any, waits: list[float]) -> Iterator[Connect]:
    opened: list[GraphClient] = []

    def open_client(url: str = upstream.url, read_timeout: float = 30, **fields: Any) -> GraphClient:
        settings = FacebookConnection.model_validate({**connection_fields(url), **fields})
        client = GraphClient(
            settings,
            "connection-7",
            settings.ad_account_ids[0],
            read_timeout=timedelta(seconds=read_timeout),
            wait=waits.append,
        )
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


def test_the_token_is_in_the_header_and_signed(upstream: Any, connect: Connect) -> None:
    upstream.settings(require_proof=True)
    assert read_account(connect())["currency"] == "BRL"
    (request,) = upstream.requests("account")
    assert request["tokenIn"] == "header"
    assert TOKEN not in json.dumps(request)
    proof = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert request["query"]["appsecret_proof"] == proof


def test_a_missing_proof_is_told(upstream: Any, connect: Connect) -> None:
    upstream.settings(require_proof=True)
    with pytest.raises(Refused, match="require an appsecret_proof"):
        connect(app_secret=None).get(ACCOUNT, FIELDS)


def test_the_check_asks_for_each_account(company: Any, store: Any, upstream: Any, connected: Any) -> None:
    check(company.connection)
    two = connected(store, upstream.url, ad_account_ids=[FIRST_ACCOUNT, "7", "8"])
    with pytest.raises(AccountRefused, match=r"act_7.*act_8"):
        check(two.connection)
    assert upstream.calls("debug_token") == 0


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 492])
def test_a_dead_token_names_the_connection_and_why(upstream: Any, connect: Connect, subcode: int) -> None:
    upstream.faults(token_refused={"subcode": subcode})
    with pytest.raises(NeedsCredentials, match=rf"190/{subcode}.*make a new token") as caught:
        connect().get(ACCOUNT, FIELDS)
    assert caught.value.connection_id == "connection-7"
    assert upstream.stats()["byEndpoint"] == {"account": 1, "me": 1}


def test_another_token_is_refused_and_not_shown(connect: Connect) -> None:
    with pytest.raises(NeedsCredentials) as caught:
        connect(access_token="EAAwrongwrongwrong", app_secret=None).get(ACCOUNT, FIELDS)
    assert "wrongwrong" not in str(caught.value)


def test_a_token_refused_for_one_account_only_is_not_dead(upstream: Any, connect: Connect) -> None:
    upstream.faults(token_refused={"account": FIRST_ACCOUNT})
    with pytest.raises(AccountRefused, match="the token works elsewhere"):
        connect().get(ACCOUNT, FIELDS)


@pytest.mark.parametrize("code", [10, 3, 200, 270, 294])
def test_no_permission_is_the_accounts_own_matter(upstream: Any, connect: Connect, code: int) -> None:
    upstream.faults(no_permission={"code": code})
    with pytest.raises(AccountRefused, match=rf"{code}.*needs ads_read"):
        connect().get(ACCOUNT, FIELDS)


def test_a_wrong_signature_is_tried_once_more(upstream: Any, connect: Connect) -> None:
    upstream.faults(wrong_signature={"times": 1})
    connect().get(ACCOUNT, FIELDS)
    assert upstream.calls("account") == 2
    with pytest.raises(NeedsCredentials, match="check the app secret"):
        connect(app_secret="notthissecret").get(ACCOUNT, FIELDS)


def test_blocked_for_a_policy_waits_for_hours(upstream: Any, connect: Connect) -> None:
    upstream.faults(blocked=True)
    with pytest.raises(Throttled, match="a person must look") as caught:
        connect().get(ACCOUNT, FIELDS)
    assert (caught.value.after, caught.value.hold) == (BLOCKED_FOR, ACCOUNT_LIMIT)


@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("code", [80000, 80004, 80003, 17, 4, 613, 32, 341, 80014])
def test_a_throttle_is_told_by_its_code(upstream: Any, connect: Connect, status: int, code: int) -> None:
    upstream.settings(usage_headers=False)
    upstream.faults(throttled={"code": code, "status": status})
    with pytest.raises(Throttled) as caught:
        connect().get(ACCOUNT, FIELDS)
    assert caught.value.hold == ACCOUNT_LIMIT
    assert caught.value.after == timedelta(minutes=15 if code == 4 else 5)
    assert upstream.calls("account") == 1


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"minutes": 12}, 720),
        ({"seconds": 90, "minutes": 0}, 90),
        ({"minutes": 1, "seconds": 30, "retry_after": 600}, 600),
    ],
)
def test_a_throttle_lasts_as_the_headers_say(
    upstream: Any, connect: Connect, asked: dict[str, int], seconds: int
) -> None:
    upstream.faults(throttled=asked)
    with pytest.raises(Throttled) as caught:
        connect().get(ACCOUNT, FIELDS)
    assert caught.value.after == timedelta(seconds=seconds)


def test_a_block_grows_when_it_is_called_on(upstream: Any, connect: Connect) -> None:
    upstream.settings(allowance=2, block_seconds=120)
    client = connect()
    client.get(ACCOUNT, FIELDS)
    assert client.usage.percent == 50
    client.get(ACCOUNT, FIELDS)
    assert client.usage.percent == 100
    waits = []
    for _ in range(3):
        with pytest.raises(Throttled) as caught:
            client.get(ACCOUNT, FIELDS)
        waits.append(caught.value.after)
    assert waits == sorted(waits)
    assert timedelta(minutes=2) <= waits[0] < waits[-1]


def test_usage_reads_every_header() -> None:
    business = {FIRST_ACCOUNT: [{"type": "ads_insights", "call_count": 97, "estimated_time_to_regain_access": 12}]}
    told = {"x-business-use-case-usage": json.dumps(business)}
    assert usage_of(told, FIRST_ACCOUNT, ADS_INSIGHTS) == Usage(97, timedelta(minutes=12))
    assert usage_of(told, FIRST_ACCOUNT, ADS_MANAGEMENT) == Usage()
    assert usage_of(told, "7", ADS_INSIGHTS) == Usage()
    assert usage_of({"x-app-usage": '{"call_count": 28, "total_time": 118}'}, "7", ADS_INSIGHTS).percent == 118
    account = {"x-ad-account-usage": '{"acc_id_util_pct": 95.5, "reset_time_duration": 40}'}
    assert usage_of(account, "7", ADS_MANAGEMENT) == Usage(95.5, timedelta(seconds=40))
    assert usage_of({"x-fb-ads-insights-throttle": '{"acc_id_util_pct": 80}'}, "7", ADS_INSIGHTS).percent == 80
    assert usage_of({"x-app-usage": "not json", "x-ad-account-usage": "[]"}, "7", ADS_INSIGHTS) == Usage()


def test_usage_pauses_before_the_limit() -> None:
    assert Usage(74.9).pause is None
    assert Usage(75).pause == timedelta(seconds=10)
    assert Usage(95).pause == timedelta(minutes=1)
    assert Usage(118, timedelta(minutes=30)).pause == timedelta(minutes=30)


@pytest.mark.parametrize(
    "fault",
    [
        {"passing_error": {"code": 1}},
        {"passing_error": {"code": 2}},
        {"passing_error": {"status": 200}},
        {"unknown_passing_error": True},
        {"server_error": {"status": 502, "body": "html"}},
        {"server_error": {"status": 503, "body": "empty"}},
        {"server_error": {"status": 500, "body": "json"}},
        {"broken_json": True},
        {"reset": True},
    ],
    ids=str,
)
def test_passing_trouble_is_tried_again(upstream: Any, connect: Connect, waits: list[float], fault: Any) -> None:
    ((name, options),) = fault.items()
    given = {} if options is True else options
    upstream.faults(**{name: {**given, "times": 2}})
    assert connect().get(ACCOUNT, FIELDS)["id"] == ACCOUNT
    assert waits == [0.5, 2]
    upstream.faults(**{name: given or True})
    with pytest.raises(TransientError):
        connect().get(ACCOUNT, FIELDS)


@pytest.mark.parametrize("fault", ["slow", "slow_headers"])
def test_a_slow_answer_is_transient(upstream: Any, connect: Connect, fault: str) -> None:
    upstream.faults(**{fault: {"delay": 6, "times": 1}})
    assert connect(read_timeout=2).get(ACCOUNT, FIELDS)["id"] == ACCOUNT
    assert upstream.control("faults", method="GET")["on"][fault]["struck"] == 1


def test_nobody_there_is_transient(connect: Connect) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(TransientError, match="ConnectError"):
            connect(url).get(ACCOUNT, FIELDS)


def test_too_much_data_is_told(upstream: Any, connect: Connect) -> None:
    upstream.faults(too_much_data={"rows": 10})
    with pytest.raises(TooMuchData, match="reduce the amount"):
        connect().page(f"{ACCOUNT}/ads", {"fields": "id", "limit": 11})
    connect().page(f"{ACCOUNT}/ads", {"fields": "id", "limit": 10})


def test_bad_input_is_permanent_and_says_which(upstream: Any, connect: Connect) -> None:
    upstream.faults(refused=True)
    with pytest.raises(Refused, match=r"blame_field_specs.*AsandboxTrace"):
        connect().get(ACCOUNT, FIELDS)
    assert upstream.calls("account") == 1


def test_a_bad_breakdown_is_permanent_though_its_code_is_2(upstream: Any, connect: Connect) -> None:
    asked = {"level": "ad", "breakdowns": "age,region", "fields": "spend"}
    with pytest.raises(Refused, match="2/1504041"):
        connect().get(f"{ACCOUNT}/insights", asked)


def test_days_beyond_the_history_are_refused(connect: Connect) -> None:
    asked = {"level": "ad", "fields": "spend", "time_range": '{"since":"2019-01-01","until":"2019-01-02"}'}
    with pytest.raises(Refused, match="3018"):
        connect().get(f"{ACCOUNT}/insights", asked)


def test_an_unknown_object_is_missing(connect: Connect) -> None:
    with pytest.raises(ObjectMissing, match="100/33"):
        connect().get("act_999", FIELDS)


@pytest.mark.parametrize(("version", "said"), [("v22.0", "2635"), ("v99.0", "2500")])
def test_a_dead_version_is_refused(connect: Connect, version: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        connect(api_version=version).get(ACCOUNT, FIELDS)


def test_what_headers_say_of_the_version_is_noted(upstream: Any, connect: Connect) -> None:
    upstream.faults(version_warning=True)
    client = connect(api_version="v25.0")
    client.get(ACCOUNT, FIELDS)
    assert any("answered with version v26.0 where v25.0" in notice for notice in client.notices)
    assert any("warns about the version" in notice for notice in client.notices)


def test_a_web_page_is_not_the_graph_api(upstream: Any, connect: Connect) -> None:
    with pytest.raises(WrongEndpoint, match="expected JSON from the Graph API, got text/html with status 404"):
        connect(upstream.url.removesuffix("/facebook")).get(ACCOUNT, FIELDS)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        ({"code": 1}, Verdict.TRANSIENT),
        ({"code": 2}, Verdict.TRANSIENT),
        ({"code": 2, "error_subcode": 1504038}, Verdict.TRANSIENT),
        ({"code": 2, "error_subcode": 1504043}, Verdict.TRANSIENT),
        ({"code": 2, "error_subcode": 1504041}, Verdict.REFUSED),
        ({"code": 2, "error_subcode": 1504042, "is_transient": True}, Verdict.REFUSED),
        ({"code": -2, "error_subcode": 2490547}, Verdict.TRANSIENT),
        ({"code": 960}, Verdict.TRANSIENT),
        ({"code": 100, "error_subcode": 99}, Verdict.TRANSIENT),
        ({"code": 100}, Verdict.REFUSED),
        ({"code": 100, "error_subcode": 33}, Verdict.MISSING),
        ({"code": 100, "error_subcode": 1487534}, Verdict.TOO_MUCH),
        ({"code": 100, "error_subcode": 1504018}, Verdict.TOO_MUCH),
        ({"code": -3, "error_subcode": 1504045}, Verdict.TOO_MUCH),
        ({"code": 1, "message": "Please reduce the amount of data you're asking for"}, Verdict.TOO_MUCH),
        ({"code": 500, "message": "Please Reduce the amount of data"}, Verdict.TOO_MUCH),
        ({"code": 4, "is_transient": True}, Verdict.THROTTLED),
        ({"code": 17, "error_subcode": 2446079}, Verdict.THROTTLED),
        ({"code": 80009}, Verdict.THROTTLED),
        ({"code": 613, "error_subcode": 1996}, Verdict.THROTTLED),
        ({"code": 190, "error_subcode": 463}, Verdict.TOKEN),
        ({"code": 102}, Verdict.TOKEN),
        ({"code": 104}, Verdict.SIGNATURE),
        ({"code": 10}, Verdict.PERMISSION),
        ({"code": 299}, Verdict.PERMISSION),
        ({"code": 100, "error_subcode": 3191001}, Verdict.PERMISSION),
        ({"code": 368}, Verdict.BLOCKED),
        ({"code": 803}, Verdict.REFUSED),
        ({"code": 2500}, Verdict.REFUSED),
        ({"code": 2635}, Verdict.REFUSED),
        ({"code": 3018}, Verdict.REFUSED),
        ({"code": 424242, "is_transient": True}, Verdict.TRANSIENT),
        ({"code": 424242}, Verdict.REFUSED),
        ({"code": "190"}, Verdict.TOKEN),
        ({}, Verdict.REFUSED),
    ],
    ids=str,
)
def test_errors_are_classed_by_subcode_then_code(error: Any, verdict: Verdict) -> None:
    assert GraphError.read(error).verdict is verdict


def test_connection_fields_are_checked() -> None:
    fields = connection_fields("http://127.0.0.1/facebook/")
    settings = FacebookConnection.model_validate({**fields, "ad_account_ids": "act_7, 8,7,"})
    assert settings.ad_account_ids == ("7", "8")
    assert settings.base_url == "http://127.0.0.1/facebook"
    for name, value in [
        ("ad_account_ids", "seven"),
        ("ad_account_ids", ""),
        ("api_version", "26"),
        ("base_url", "graph.facebook.com"),
        ("access_token", "two words"),
        ("app_secret", " "),
        ("history_days", 2000),
        ("colour", "red"),
    ]:
        with pytest.raises(ValidationError, match=name):
            FacebookConnection.model_validate({**fields, name: value})


def test_secrets_do_not_print() -> None:
    settings = FacebookConnection.model_validate(connection_fields("http://127.0.0.1"))
    assert TOKEN not in repr(settings)
    assert APP_SECRET not in repr(settings)
