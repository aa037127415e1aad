"""The sync against the sandbox: complete, incremental, resumable, and patient."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from flowzz.errors import ConnectionInactive, JobCanceled, NeedsCredentials, Permanent, ReleaseJob, Throttled
from flowzz.jobs.connection import ConnectionState
from flowzz_facebook.client import ACCOUNT_LIMIT
from flowzz_facebook.errors import AccountRefused, PagingLoop, Refused, TooMuchData, TransientError
from flowzz_facebook.models import accounts, ad_sets, ads, campaigns, insights, sync_state
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT
from flowzz_facebook.sandbox.state import TOKEN
from flowzz_facebook.sync import accounts_to_sync

SECOND_ACCOUNT = "1000000000000002"
NOON = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    """A Wednesday at noon in São Paulo, so that no day ends in the middle of a test."""
    with time_machine.travel(NOON, tick=True):
        yield


def state_of(company: Any, account: str = FIRST_ACCOUNT) -> Any:
    with company.store.session() as session:
        query = select(sync_state).where(sync_state.c.company_id == company.id, sync_state.c.account_id == account)
        return session.execute(query).mappings().first()


def test_a_sync_stores_everything_once_on_both_databases(upstream: Any, each_company: Any, recorder: Any) -> None:
    upstream.seed(campaigns=3, ad_sets=2, ads=4)

    result = each_company.sync(recorder)

    stored = each_company.everything()
    counts = {name.removeprefix("facebook_"): len(rows) for name, rows in stored.items()}
    assert counts == {"accounts": 1, "campaigns": 3, "ad_sets": 6, "ads": 24, "insights": result.insights}
    assert result.model_dump(by_alias=True) == {
        "campaigns": 3,
        "adSets": 6,
        "ads": 24,
        "insights": counts["insights"],
        "errors": 0,
    }
    (first, *_) = each_company.rows(campaigns)
    assert (first["name"], first["daily_budget"], first["lifetime_budget"]) == (
        "Campaign 00001",
        Decimal("50.01"),
        None,
    )
    assert first["started_at"] == datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
    assert each_company.rows(ads)[0]["creative_id"] == "230000000000000001"
    assert each_company.rows(ad_sets)[0]["targeting"] == {"geo_locations": {"countries": ["BR"]}, "age_min": 19}
    assert each_company.rows(accounts)[0]["timezone"] == "America/Sao_Paulo"
    days = {row["day"] for row in each_company.rows(insights)}
    assert (min(days), max(days)) == (date(2026, 10, 1), date(2026, 11, 25))
    assert recorder.progressed[-1] == (100.0, "done")
    state = state_of(each_company)
    assert (state["insights_until"], state["last_errors"], state["problem"]) == (date(2026, 11, 25), 0, None)


def test_numbers_are_exact_and_absent_is_not_zero(upstream: Any, each_company: Any) -> None:
    upstream.seed(campaigns=2, ad_sets=2, ads=4)
    each_company.sync()
    rows = each_company.rows(insights)
    asked = {row["clicks"] is None for row in rows}, {row["purchases"] is None for row in rows}
    assert asked == ({True, False}, {True, False})
    assert all(isinstance(row["spend"], Decimal) and row["spend"] > 0 for row in rows)
    assert all(row["impressions"] > 0 for row in rows)
    assert not any(row["purchases"] == 0 for row in rows)


def test_one_purchase_type_counts_and_none_is_added(upstream: Any, company: Any, store: Any, connected: Any) -> None:
    upstream.seed()
    company.sync()
    other = connected(store, upstream.url, purchase_action_type="onsite_conversion.purchase")
    other.sync()
    pairs = list(zip(company.rows(insights), other.rows(insights), strict=True))
    sold = [(ours, theirs) for ours, theirs in pairs if ours["purchases"] is not None]
    assert sold
    assert all(theirs["purchases"] == ours["purchases"] - 1 for ours, theirs in sold)
    assert {row["purchase_action_type"] for row in company.rows(insights)} == {"omni_purchase"}


def test_another_purchase_type_reads_the_history_again(upstream: Any, company: Any) -> None:
    upstream.seed()
    company.sync()
    config = {**company.connection.config, "purchase_action_type": "purchase"}
    company.store.update_connection(company.connection.id, config=config)
    company.sync()
    assert {row["purchase_action_type"] for row in company.rows(insights)} == {"purchase"}


def test_a_second_sync_asks_only_for_what_changed(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    company.sync()
    changed = upstream.objects("ads")[4]["id"]
    upstream.change("ads", changed, name="Novo nome")

    result = company.sync(recorder)

    # The newest object of each kind lies within the overlap of an hour; so do its neighbours, a minute apart.
    assert (result.campaigns, result.ad_sets, result.ads) == (2, 4, 12)
    upstream.change("ads", changed, name="Outro nome")
    assert company.sync().ads == 1
    assert {row["ad_id"]: row["name"] for row in company.rows(ads)}[changed] == "Outro nome"
    assert "GREATER_THAN" in upstream.requests("ads")[-1]["query"]["filtering"]


def test_the_last_28_days_are_fetched_again_because_they_are_restated(upstream: Any, company: Any) -> None:
    upstream.seed()
    company.sync()
    before = {(row["ad_id"], row["day"]): row["spend"] for row in company.rows(insights)}
    upstream.control("clock", {"days": 3})

    company.sync()

    after = {(row["ad_id"], row["day"]): row["spend"] for row in company.rows(insights)}
    restated = {day for (_, day), spend in before.items() for ad in [_] if after[ad, day] != spend}
    assert min(restated) >= date(2026, 10, 29)
    assert max(restated) == date(2026, 11, 25)
    (window,) = [one["query"]["time_range"] for one in upstream.requests("create_report")][2:]
    assert window == '{"since":"2026-10-29","until":"2026-11-25"}'


def test_a_gap_since_the_last_success_is_filled(upstream: Any, company: Any) -> None:
    upstream.seed()
    company.sync()
    with time_machine.travel(NOON + timedelta(days=40)):
        company.sync()
    days = {row["day"] for row in company.rows(insights)}
    assert len(days) >= 90
    assert max(days) == date(2027, 1, 4)


def test_the_account_has_its_own_day(upstream: Any, company: Any, store: Any, connected: Any) -> None:
    """In São Paulo it is the 25th, 22:30; in Tokyo the 26th, and budgets there have no cents."""
    upstream.seed(account=SECOND_ACCOUNT)
    both = connected(store, upstream.url, ad_account_ids=[FIRST_ACCOUNT, SECOND_ACCOUNT])
    upstream.seed()
    with time_machine.travel(datetime(2026, 11, 26, 1, 30, tzinfo=UTC)):
        both.sync()
        both.sync(account=SECOND_ACCOUNT)
    last = {row["account_id"]: row["day"] for row in sorted(both.rows(insights), key=lambda row: row["day"])}
    assert last == {FIRST_ACCOUNT: date(2026, 11, 25), SECOND_ACCOUNT: date(2026, 11, 26)}
    budgets = {row["account_id"]: row["daily_budget"] for row in both.rows(campaigns) if row["daily_budget"]}
    assert budgets == {FIRST_ACCOUNT: Decimal("50.01"), SECOND_ACCOUNT: Decimal(5001)}


def test_deleted_and_archived_objects_are_there_and_their_numbers_stay(upstream: Any, company: Any) -> None:
    upstream.seed()
    company.sync()
    first, second = (upstream.objects("ads")[place]["id"] for place in (0, 1))
    before = [row for row in company.rows(insights) if row["ad_id"] in (first, second)]
    upstream.change("ads", first, effective_status="DELETED")
    upstream.change("ads", second, effective_status="ARCHIVED")

    company.sync()

    statuses = {row["ad_id"]: row["effective_status"] for row in company.rows(ads)}
    assert (statuses[first], statuses[second]) == ("DELETED", "ARCHIVED")
    assert [row for row in company.rows(insights) if row["ad_id"] in (first, second)] == before


def test_a_change_that_moves_no_time_comes_with_the_weekly_full_sync(
    upstream: Any, company: Any, store: Any, connected: Any
) -> None:
    """ASSUMPTION: the reference only infers that updated_time does not move for derived changes."""
    never = connected(store, upstream.url, full_sync_days=0)
    upstream.seed(campaigns=35, ad_sets=1, ads=2)
    for one in (company, never):
        one.sync()
    first = upstream.objects("ads")[0]["id"]
    upstream.change("ads", first, effective_status="CAMPAIGN_PAUSED", silently=True)

    def status(one: Any) -> str:
        return {row["ad_id"]: row["effective_status"] for row in one.rows(ads)}[first]

    company.sync()
    assert status(company) == "ACTIVE"
    with time_machine.travel(NOON + timedelta(days=8)):
        company.sync()
        never.sync()
    assert (status(company), status(never)) == ("CAMPAIGN_PAUSED", "ACTIVE")


def test_a_forced_sync_asks_for_everything(upstream: Any, company: Any) -> None:
    upstream.seed(campaigns=2, ad_sets=2, ads=10)
    first = company.sync()
    assert company.sync(full=True) == first


def test_history_ends_where_metas_does(upstream: Any, store: Any, connected: Any) -> None:
    upstream.seed(campaigns=1, ad_sets=1, ads=1)
    company = connected(store, upstream.url, history_days=1120)
    upstream.settings(running_polls=0)
    company.sync()
    oldest = min(row["day"] for row in company.rows(insights))
    assert timedelta(days=1100) < date(2026, 11, 25) - oldest <= timedelta(days=1120)


class Crash(BaseException):
    """The end of a process, as seen from inside."""


def test_a_crash_goes_on_at_its_page_and_ends_with_the_same_rows(
    upstream: Any, each_store: Any, connected: Any, recorder: Any
) -> None:
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    undisturbed, killed = (connected(each_store, upstream.url, page_size=5, insights_page_size=100) for _ in range(2))
    undisturbed.sync()
    whole = upstream.stats()["byEndpoint"]
    left = iter(range(1, 1000))

    def crash_now_and_then(checkpoint: Any) -> None:
        if next(left) % 3 == 0:
            raise Crash

    recorder.on_checkpoint = crash_now_and_then
    crashes = 0
    while True:
        try:
            killed.sync(recorder)
            break
        except Crash:
            crashes += 1
    assert crashes > 10
    assert killed.everything() == undisturbed.everything()
    for endpoint in ("campaigns", "ads", "create_report", "report_rows"):
        assert upstream.calls(endpoint) == 2 * whole[endpoint], f"{endpoint}: nothing is asked for twice"


def test_a_crash_between_a_page_and_its_checkpoint_reads_the_page_again(
    upstream: Any, store: Any, connected: Any, recorder: Any
) -> None:
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    undisturbed, killed = (connected(store, upstream.url, page_size=5) for _ in range(2))
    undisturbed.sync()
    kept: list[Any] = [None]
    seen: set[str] = set()

    def lose_every_third_first_time(checkpoint: Any) -> None:
        if str(checkpoint) not in seen and len(seen) % 3 == 2:
            seen.add(str(checkpoint))
            recorder.checkpoint = kept[-1]
            raise Crash
        seen.add(str(checkpoint))
        kept.append(checkpoint)

    recorder.on_checkpoint = lose_every_third_first_time
    while True:
        try:
            killed.sync(recorder)
            break
        except Crash:
            continue
    assert killed.everything() == undisturbed.everything()


def test_a_report_survives_its_run(upstream: Any, company: Any, recorder: Any) -> None:
    """Its id is kept before anything else happens, so the run after polls it instead of asking for another."""
    upstream.seed()
    upstream.settings(running_polls=3)

    def crash_with_a_report(checkpoint: Any) -> None:
        if checkpoint["windows"] and checkpoint["windows"][0]["report"]:
            raise Crash

    recorder.on_checkpoint = crash_with_a_report
    with pytest.raises(Crash):
        company.sync(recorder)
    recorder.on_checkpoint = lambda checkpoint: None
    company.sync(recorder)
    assert upstream.stats()["reports"] == 2, "one a window, none twice"


def test_a_throttle_keeps_its_page_and_holds_the_account(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    upstream.faults(throttled={"endpoint": "ads", "times": 1, "minutes": 7})
    with pytest.raises(Throttled) as caught:
        company.sync(recorder)
    assert (caught.value.after, caught.value.hold) == (timedelta(minutes=7), ACCOUNT_LIMIT)
    assert company.sync(recorder).ads == 12
    assert upstream.calls("campaigns") == 2


def test_usage_headers_slow_down_and_stop_before_the_limit(
    upstream: Any, store: Any, connected: Any, recorder: Any
) -> None:
    company = connected(store, upstream.url, page_size=1)
    upstream.seed(campaigns=5, ad_sets=1, ads=1)
    upstream.faults(usage={"percent": 80, "endpoint": "campaigns"})
    for done in (1, 2):
        with pytest.raises(Throttled, match="80 %") as caught:
            company.sync(recorder)
        assert (caught.value.after, caught.value.hold) == (timedelta(seconds=10), ACCOUNT_LIMIT)
        assert upstream.calls("campaigns") == len(company.rows(campaigns)) == done
    upstream.faults(usage={"percent": 96, "minutes": 9})
    with pytest.raises(Throttled) as caught:
        company.sync(recorder)
    assert caught.value.after == timedelta(minutes=9)
    upstream.settings(usage_headers=False)
    upstream.faults()
    assert company.sync(recorder).campaigns == 5


def test_a_dead_token_stops_and_the_run_goes_on_where_it_stood(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    upstream.faults(token_refused={"after": 5})
    with pytest.raises(NeedsCredentials) as caught:
        company.sync(recorder)
    assert caught.value.connection_id == company.connection.id
    before = upstream.stats()["byEndpoint"]
    upstream.faults()

    result = company.sync(recorder)

    assert (result.campaigns, result.ad_sets, result.ads) == (2, 4, 12)
    assert upstream.calls("campaigns") == before["campaigns"]


@pytest.mark.parametrize("fault", [{"no_permission": {"code": 200}}, {"token_refused": {"subcode": 467}}], ids=str)
def test_one_bad_account_never_spoils_another(upstream: Any, store: Any, connected: Any, fault: dict[str, Any]) -> None:
    company = connected(store, upstream.url, ad_account_ids=[FIRST_ACCOUNT, SECOND_ACCOUNT])
    upstream.seed()
    upstream.seed(account=SECOND_ACCOUNT)
    upstream.faults(**{name: {**options, "account": FIRST_ACCOUNT} for name, options in fault.items()})
    with pytest.raises(AccountRefused):
        company.sync()
    assert company.sync(account=SECOND_ACCOUNT).ads == 12
    assert store.connection_by_id(company.connection.id).state is ConnectionState.ACTIVE
    assert state_of(company)["problem"]
    assert state_of(company, SECOND_ACCOUNT)["problem"] is None


def test_less_data_is_asked_for_when_meta_wants_it(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    upstream.faults(too_much_data={"rows": 20})
    result = company.sync(recorder)
    assert (result.ads, result.insights) == (32, len(company.rows(insights)))
    assert any("12 rows at once" in line for line in recorder.lines)
    asked = [int(one["query"]["limit"]) for one in upstream.requests("report_rows")]
    assert asked[:6] == [500, 250, 125, 62, 31, 15]


def test_a_range_that_is_too_much_is_halved(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    company.sync()
    whole = company.everything()
    upstream.faults(too_much_data={"days": 7})
    company.sync(recorder, full=True)
    assert any("half of the days at a time" in line for line in recorder.lines)
    assert company.everything() == whole


def test_the_smallest_page_that_is_too_much_fails(upstream: Any, company: Any) -> None:
    upstream.seed()
    upstream.faults(too_much_data={"rows": 1, "endpoint": "campaigns"})
    with pytest.raises(TooMuchData, match="even 5 rows"):
        company.sync()


def test_a_few_days_need_no_report_and_become_one_when_they_are_too_much(upstream: Any, company: Any) -> None:
    from flowzz_facebook.insights import planned

    assert [window.as_report for window in planned(date(2026, 11, 25), 32, None)] == [True, False]
    config = {**company.connection.config, "history_days": 32}
    company.store.update_connection(company.connection.id, config=config)
    upstream.seed()
    upstream.faults(too_much_data={"days": 0, "endpoint": "insights"})
    result = company.sync()
    assert result.insights == len(company.rows(insights)) > 300
    upstream.faults()
    other = company.everything()
    assert company.sync(full=True).insights == result.insights
    assert company.everything() == other
    assert upstream.calls("insights") > 3


@pytest.mark.parametrize(
    ("fault", "reports"),
    [
        ({"report_skipped": {"times": 1}}, 3),
        ({"report_failed": {"times": 1}}, 3),
        ({"report_incomplete": {"times": 2}}, 2),
        ({"report_unreplicated": {"times": 2}}, 2),
        ({"report_expired": {"times": 1}}, 3),
        ({"report_stuck": {"times": 3}}, 2),
    ],
    ids=str,
)
def test_reports_that_go_wrong_are_polled_or_asked_for_again(
    upstream: Any, company: Any, fault: Any, reports: int
) -> None:
    upstream.seed()
    upstream.faults(**fault)
    result = company.sync()
    assert result.insights == len(company.rows(insights))
    days = {row["day"] for row in company.rows(insights)}
    assert (min(days), max(days)) == (date(2026, 10, 1), date(2026, 11, 25))
    assert upstream.stats()["reports"] == reports + (1 if "report_failed" in fault else 0)


def test_a_report_that_never_starts_is_given_up(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    upstream.faults(report_stuck=True)
    from flowzz.errors import Snoozed

    with pytest.raises(Snoozed):
        company.once(recorder)
    with time_machine.travel(NOON + timedelta(minutes=6)), pytest.raises(Snoozed):
        company.once(recorder)
    assert upstream.stats()["reports"] == 2
    assert any("'Job Not Started' at 0 % for over 0:05:00" in line for line in recorder.lines)


def test_a_report_that_always_fails_ends_in_an_error_with_its_reason(upstream: Any, company: Any) -> None:
    upstream.seed()
    upstream.faults(report_failed=True)
    with pytest.raises(TransientError, match=r"2/1504018 Report failed Ask for fewer days.*3 times in a row"):
        company.sync()


def test_short_and_empty_pages_end_nothing(upstream: Any, store: Any, connected: Any) -> None:
    company = connected(store, upstream.url, page_size=10, insights_page_size=100)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    upstream.faults(short_page={"every": 2}, empty_page={"every": 3})
    result = company.sync()
    assert (result.campaigns, result.ad_sets, result.ads) == (4, 8, 32)
    assert len(company.rows(ads)) == 32
    assert result.insights == len(company.rows(insights)) > 1000


def test_an_object_on_two_pages_is_one_row(upstream: Any, store: Any, connected: Any) -> None:
    company = connected(store, upstream.url, page_size=5)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    upstream.faults(inserted_item={"endpoint": "ads", "times": 2})
    assert company.sync().ads == 34
    assert len(company.rows(ads)) == 32


def test_an_object_that_was_missed_comes_with_a_full_sync(upstream: Any, store: Any, connected: Any) -> None:
    company = connected(store, upstream.url, page_size=5)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    upstream.faults(skipped_item={"endpoint": "ads", "times": 2})
    company.sync()
    assert len(company.rows(ads)) == 30
    company.sync(full=True)
    assert len(company.rows(ads)) == 32


@pytest.mark.parametrize("fault", [{"dead_cursor": {"times": 1}}, {"removed_item": {"times": 1}}], ids=str)
def test_a_dead_cursor_begins_the_listing_again(
    upstream: Any, store: Any, connected: Any, recorder: Any, fault: Any
) -> None:
    """ASSUMPTION: which error a dead cursor gives is not known; code 100 is our guess, behind restart_dead_cursors."""
    company = connected(store, upstream.url, page_size=5)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    ((name, options),) = fault.items()
    upstream.faults(**{name: {**options, "endpoint": "ads"}})
    result = company.sync(recorder)
    assert result.ads == len(upstream.objects("ads"))
    assert len(company.rows(ads)) >= result.ads
    assert any("ASSUMPTION" in line and "begins again" in line for line in recorder.lines)
    strict = connected(store, upstream.url, page_size=5, restart_dead_cursors=False)
    upstream.faults(**{name: {**options, "endpoint": "ads"}})
    with pytest.raises(Refused, match="cursor is not valid"):
        strict.sync()


def test_paging_that_goes_round_is_an_error(upstream: Any, store: Any, connected: Any) -> None:
    company = connected(store, upstream.url, page_size=5)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    upstream.faults(cursor_loop={"endpoint": "ads", "after": 1})
    with pytest.raises(PagingLoop, match="a cursor that it had given before"):
        company.sync()


def test_no_next_address_is_kept_or_called(upstream: Any, store: Any, connected: Any, recorder: Any) -> None:
    company = connected(store, upstream.url, page_size=5)
    upstream.seed(campaigns=4, ad_sets=2, ads=4)
    company.sync(recorder)
    kept = repr(recorder.checkpoints) + repr(recorder.lines)
    assert "access_token" not in kept
    assert TOKEN not in kept
    assert all(one["tokenIn"] == "header" for one in upstream.requests())


def test_a_broken_row_is_counted_and_stops_nothing(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    upstream.faults(broken_row={"times": 2})
    result = company.sync(recorder)
    assert (result.campaigns, result.ad_sets, result.errors) == (1, 3, 2)
    assert any("row 1: campaign_id: expected an object with an id" in line for line in recorder.lines)


def test_an_account_without_numbers_is_fine(upstream: Any, company: Any) -> None:
    upstream.seed()
    upstream.faults(no_insights=True)
    assert company.sync().insights == 0
    assert company.rows(insights) == []


def test_notices_of_the_version_are_in_the_log(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    upstream.faults(version_warning={"times": 3})
    company.sync(recorder)
    assert sum("warns about the version" in line for line in recorder.lines) >= 1


def test_cancel_and_stop_are_noticed_between_pages(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed()
    recorder.stop_requested = True
    with pytest.raises(ReleaseJob, match="goes on where it stands"):
        company.sync(recorder)
    recorder.stop_requested, recorder.cancel_requested = False, True
    with pytest.raises(JobCanceled):
        company.sync(recorder)
    recorder.cancel_requested = False
    assert company.sync(recorder).ads == 12


def test_the_schedule_has_one_job_an_account(upstream: Any, store: Any, connected: Any) -> None:
    company = connected(store, upstream.url, ad_account_ids=[FIRST_ACCOUNT, SECOND_ACCOUNT])
    other = connected(store, upstream.url)
    payloads = list(accounts_to_sync(store))
    assert [(one.empresa_id, one.ad_account_id) for one in payloads] == [
        (company.id, FIRST_ACCOUNT),
        (company.id, SECOND_ACCOUNT),
        (other.id, FIRST_ACCOUNT),
    ]
    store.set_connection_state(company.connection.id, ConnectionState.NEEDS_CREDENTIALS, "190 from Meta")
    assert [one.empresa_id for one in accounts_to_sync(store)] == [other.id]
    with pytest.raises(ConnectionInactive, match=r"needs credentials \(190 from Meta\); store new credentials"):
        company.sync()
    with pytest.raises(Permanent, match=f"expected adAccountId to be one of .*{FIRST_ACCOUNT}.*, got 7"):
        other.sync(account="act_7")
    store.remove_connection(other.connection.id)
    with pytest.raises(Permanent, match="flowzz connections add"):
        other.sync()


def test_syncing_again_changes_nothing(upstream: Any, each_company: Any) -> None:
    upstream.seed()
    each_company.sync()
    before = each_company.everything()
    each_company.sync(full=True)
    assert each_company.everything() == before
