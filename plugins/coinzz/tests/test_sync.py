"""The hourly sync against the sandbox: complete, incremental, resumable, and patient."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from flowzz.errors import ConnectionInactive, JobCanceled, NeedsCredentials, Permanent, ReleaseJob, Throttled
from flowzz.jobs.connection import ConnectionState
from flowzz_coinzz.models import sync_state
from flowzz_coinzz.sync import companies_to_sync, sync_sales
from support.waiting import eventually


class Crash(BaseException):
    """The end of a process, as seen from inside."""


def test_a_sync_stores_every_sale_once_on_both_databases(upstream: Any, each_company: Any, recorder: Any) -> None:
    numbers = upstream.seed(137)

    result = each_company.sync(recorder)

    assert result.model_dump() == {"synced": 137, "errors": 0}
    stored = each_company.orders()
    assert sorted(stored) == sorted(numbers)
    first = stored["ord000001"]
    assert first["final_price"] == Decimal("98.01")
    assert first["financial_fees"] == Decimal("14.66")
    assert first["ordered_at"] == datetime(2026, 3, 2, 12, 7, tzinfo=UTC)
    assert first["day"].isoformat() == "2026-03-02"
    assert (first["order_group"], first["shipping_group"], first["payment_method"]) == ("open", "to_ship", "afterpay")
    assert (first["client_phone"], first["client_document"], first["state"]) == ("+5511900000001", "00000000001", "SP")
    assert upstream.stats()["byPage"] == {str(page): 1 for page in range(1, 15)}
    assert recorder.progressed[-1] == (100.0, "page 14/14")
    assert any("ASSUMPTION" in line for line in recorder.lines)


def test_a_second_sync_asks_only_for_what_changed(upstream: Any, company: Any, recorder: Any) -> None:
    numbers = upstream.seed(30)
    company.sync()
    upstream.control(f"orders/{numbers[3]}/advance", {"steps": 2, "delivery": {"never": True}})

    result = company.sync(recorder)

    assert result.synced == 1
    assert company.orders()[numbers[3]]["shipping_status"] == "Enviado"
    assert "sales updated since" in " ".join(recorder.lines)


def test_a_full_sync_asks_for_everything(upstream: Any, company: Any) -> None:
    upstream.seed(12)
    company.sync()

    assert company.sync(full=True).synced == 12


def test_a_crash_goes_on_at_its_page_and_stores_each_order_once(
    upstream: Any, each_company: Any, recorder: Any
) -> None:
    upstream.seed(50, per_page=5)

    def crash_at_page_six(checkpoint: Any) -> None:
        if checkpoint["page"] == 6:
            raise Crash

    recorder.on_checkpoint = crash_at_page_six
    with pytest.raises(Crash):
        each_company.sync(recorder)
    recorder.on_checkpoint = lambda checkpoint: None
    result = each_company.sync(recorder)

    assert result.model_dump() == {"synced": 50, "errors": 0}
    asked = upstream.stats()["byPage"]
    assert asked.pop("6") in (1, 2)  # asked for ahead, and thrown away by the crash
    assert asked == {str(page): 1 for page in range(1, 11) if page != 6}
    assert len(each_company.orders()) == 50
    assert Counter(event["order_number"] for event in each_company.events()).most_common(1)[0][1] == 1
    assert any("going on at page 6" in line for line in recorder.lines)


def test_a_crash_between_the_page_and_its_checkpoint_reads_the_page_again(
    upstream: Any, company: Any, recorder: Any
) -> None:
    upstream.seed(20, per_page=5)
    kept: list[Any] = []

    def crash_before_it_is_kept(checkpoint: Any) -> None:
        if checkpoint["page"] == 3:
            recorder.checkpoint = kept[-1]
            raise Crash
        kept.append(checkpoint)

    recorder.on_checkpoint = crash_before_it_is_kept
    with pytest.raises(Crash):
        company.sync(recorder)
    recorder.on_checkpoint = lambda checkpoint: None
    assert company.sync(recorder).synced == 20

    asked = upstream.stats()["byPage"]
    assert asked.pop("3") in (1, 2)  # asked for ahead, and thrown away by the crash
    assert asked == {"1": 1, "2": 2, "4": 1}
    assert len(company.orders()) == len(company.events()) == 20


def test_the_next_page_is_asked_for_while_one_is_stored(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(30)
    met: list[int] = []

    def look(checkpoint: Any) -> None:
        page = checkpoint["page"]  # the next one to store; nothing but a read ahead asks for it before this returns
        if page in (2, 3):
            met.append(eventually(lambda: upstream.stats()["byPage"].get(str(page), 0)))

    recorder.on_checkpoint = look
    assert company.sync(recorder).synced == 30
    assert met == [1, 1]
    assert upstream.stats()["byPage"] == {"1": 1, "2": 1, "3": 1}


def test_a_throttle_keeps_the_page(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(30)
    upstream.faults(throttled={"after": 1, "times": 1, "retry_after": 7})

    with pytest.raises(Throttled) as caught:
        company.sync(recorder)
    assert caught.value.after == timedelta(seconds=7)
    assert recorder.checkpoint["page"] == 2
    assert company.sync(recorder).synced == 30
    assert upstream.stats()["byPage"] == {"1": 1, "2": 1, "3": 1}


def test_a_rate_limit_of_the_sandbox_is_waited_out(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(30)
    upstream.settings(rate_limit=2, rate_window=60)

    with pytest.raises(Throttled) as caught:
        company.sync(recorder)
    assert timedelta(seconds=50) < caught.value.after <= timedelta(seconds=60)
    assert recorder.checkpoint["page"] == 3


def test_a_refused_token_names_the_connection(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(30)
    upstream.faults(unauthorized={"after": 2})

    with pytest.raises(NeedsCredentials) as caught:
        company.sync(recorder)
    assert caught.value.connection_id == company.connection.id
    assert "Configurações" in str(caught.value)
    assert len(company.orders()) == 20


@pytest.mark.parametrize("direction", ["up", "down"])
def test_rows_that_shift_between_pages_are_all_stored(
    upstream: Any, company: Any, recorder: Any, direction: str
) -> None:
    upstream.seed(30)
    upstream.faults(shifting_rows={"direction": direction, "times": 2})

    result = company.sync(recorder)

    everything = upstream.stats()["orderNumbers"]
    assert sorted(company.orders()) == sorted(everything)
    assert result.errors == 0
    assert result.synced == len(everything)


def test_sales_that_stay_missing_do_not_move_the_watermark(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(21)
    upstream.faults(shifting_rows=True)

    result = company.sync(recorder)

    missing = 21 - len(company.orders())
    assert result.errors == missing
    with company.store.session() as session:
        assert (session.scalar(select(sync_state.c.watermark)) is None) == (missing > 0)


def test_a_row_on_two_pages_is_one_order(upstream: Any, company: Any) -> None:
    upstream.seed(30)
    upstream.faults(duplicate_row=True)

    assert company.sync().model_dump() == {"synced": 30, "errors": 0}
    assert len(company.events()) == 30


def test_a_broken_row_is_counted_and_stops_nothing(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(20)
    upstream.faults(broken_row={"times": 1})

    assert company.sync(recorder).model_dump() == {"synced": 19, "errors": 1}
    assert any("row 1: order.order_number: missing" in line for line in recorder.lines)


def test_cancel_and_stop_are_noticed_between_pages(upstream: Any, company: Any, recorder: Any) -> None:
    upstream.seed(30)

    def ask(name: str) -> Any:
        def after_page_one(checkpoint: Any) -> None:
            setattr(recorder, name, checkpoint["page"] == 2)

        return after_page_one

    recorder.on_checkpoint = ask("stop_requested")
    with pytest.raises(ReleaseJob, match="goes on at page 2"):
        company.sync(recorder)
    recorder.stop_requested = False
    recorder.on_checkpoint = lambda checkpoint: None
    recorder.cancel_requested = True
    with pytest.raises(JobCanceled):
        company.sync(recorder)
    recorder.cancel_requested = False
    assert company.sync(recorder).synced == 30


def test_syncing_again_changes_nothing_and_logs_nothing(upstream: Any, each_company: Any) -> None:
    upstream.seed(20)
    each_company.sync()
    before = each_company.orders()

    each_company.sync(full=True)

    after = each_company.orders()
    changing = {"pull_run", "state_arrived_at"}
    assert [{k: v for k, v in row.items() if k not in changing} for row in after.values()] == [
        {k: v for k, v in row.items() if k not in changing} for row in before.values()
    ]
    assert len(each_company.events()) == 20


def test_without_the_pull_nothing_is_asked(store: Any, upstream: Any, connected: Any, recorder: Any) -> None:
    company = connected(store, upstream.url, pull_enabled=False)
    upstream.seed(5)

    assert company.sync(recorder).model_dump() == {"synced": 0, "errors": 0}
    assert upstream.stats()["calls"] == 0
    assert any("the pull is off" in line and "ASSUMPTION" in line for line in recorder.lines)


def test_another_pull_path_is_asked(store: Any, upstream: Any, connected: Any) -> None:
    company = connected(store, upstream.url, pull_path="v2/vendas")
    upstream.seed(5)
    upstream.settings(pull_path="v2/vendas")

    assert company.sync().synced == 5


def test_only_an_active_connection_is_synced(company: Any, store: Any, connected: Any) -> None:
    assert [payload.empresa_id for payload in companies_to_sync(store)] == [company.id]
    other = connected(store)
    store.set_connection_state(company.connection.id, ConnectionState.NEEDS_CREDENTIALS, "401 from Coinzz")
    assert [payload.empresa_id for payload in companies_to_sync(store)] == [other.id]

    with pytest.raises(ConnectionInactive, match=r"needs credentials \(401 from Coinzz\); store new credentials"):
        company.sync()


def test_each_of_several_connections_is_synced(store: Any, upstream: Any, company: Any) -> None:
    config, secrets = dict(company.connection.config), dict(company.connection.secrets)
    second, _ = store.add_connection(company.id, "coinzz", "Second shop", config, secrets)
    payloads = list(companies_to_sync(store))
    assert [(one.empresa_id, one.connection_id) for one in payloads] == [
        (company.id, company.connection.id),
        (company.id, second.id),
    ]
    upstream.seed(3)
    for payload in payloads:
        assert sync_sales(company.context(), payload).synced == 3
    assert len(company.orders()) == 3
    assert {row["connection_id"] for row in company.rows_of(sync_state)} == {company.connection.id, second.id}


def test_a_company_without_a_connection_is_told_how_to_add_one(company: Any, store: Any) -> None:
    store.remove_connection(company.connection.id)

    with pytest.raises(Permanent, match="flowzz connections add"):
        company.sync()
