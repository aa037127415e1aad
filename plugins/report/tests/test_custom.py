"""Custom reports: columns, conditions, groups and order, on both databases; and what is refused before it is stored."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import Any

import pytest

from flowzz.errors import InvalidPayload
from flowzz.jobs.payload import parse_payload
from flowzz_report.payload import GenerateReport
from support import market
from support.market import ad, order


def table(desk: Any, **filters: Any) -> list[list[str]]:
    made = desk.ask(reportType="custom", format="csv", filters=filters)
    return list(csv.reader(desk.file(made).read_text("utf-8-sig").splitlines(), delimiter=";"))


def stocked(desk: Any) -> None:
    desk.stock(
        [
            order(1, "2026-03-01T00:10", product="Kit 100%", uf="SP", amount=Decimal("10.50")),
            order(2, "2026-03-02", product="Creme", uf="RJ", amount=Decimal("20.00"), state="open", counts=False),
            order(3, "2026-03-31T23:50", product="Kit_Z", uf=None, amount=None, utm_source="facebook"),
        ]
    )


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, "123"),
        ({"product": "Creme"}, "2"),
        ({"product": ["Creme", "Kit_Z"]}, "23"),
        ({"product": {"contains": "kit"}}, "13"),
        ({"product": {"contains": "%"}}, "1"),
        ({"product": {"contains": "_"}}, "3"),
        ({"product": {"not": ["Creme"]}}, "13"),
        ({"uf": {"not": "SP"}}, "23"),
        ({"uf": None}, "3"),
        ({"uf": {"not": None}}, "12"),
        ({"amount": {"min": 10.5, "max": 15}}, "1"),
        ({"amount": "20.00"}, "2"),
        ({"counts": True}, "13"),
        ({"orderedAt": "2026-03-01"}, "1"),
        ({"orderedAt": {"min": "2026-03-02", "max": "2026-03-31"}}, "23"),
        ({"orderedAt": {"max": "2026-03-01T03:10:00Z"}}, "1"),
        ({"state": "open", "where": {"uf": "RJ"}}, "2"),
        ({"product": "x' OR '1'='1"}, ""),
    ],
)
def test_conditions(each_desk: Any, where: dict[str, Any], found: str) -> None:
    stocked(each_desk)
    rows = table(each_desk, columns=["orderNumber"], orderBy=["orderNumber"], **where)
    assert "".join(row[0] for row in rows[1:]) == found


def test_chosen_columns_in_the_order_asked_for(each_desk: Any) -> None:
    stocked(each_desk)
    rows = table(each_desk, columns=["amount", "state", "orderedAt"], orderBy=["-amount"])
    assert rows == [
        ["Valor", "Situação", "Data"],
        ["20,0000", "Em aberto", "2026-03-02 12:00:00"],
        ["10,5000", "Pago", "2026-03-01 00:10:00"],
        ["", "Pago", "2026-03-31 23:50:00"],
    ]


def test_groups_count_and_add_up(each_desk: Any) -> None:
    stocked(each_desk)
    rows = table(each_desk, groupBy=["state"], columns=["amount", "quantity"], orderBy=["-rows"])
    assert rows == [
        ["Situação", "Linhas", "Valor", "Quantidade"],
        ["Pago", "2", "10,5000", "2"],
        ["Em aberto", "1", "20,0000", "1"],
    ]


def test_groups_of_days_and_months(desk: Any) -> None:
    stocked(desk)
    made = desk.ask("days", reportType="custom", format="csv", filters={"groupBy": ["orderedAt"]})
    days = list(csv.reader(desk.file(made).read_text("utf-8-sig").splitlines(), delimiter=";"))
    assert days == [["Data", "Linhas"], ["2026-03-01", "1"], ["2026-03-02", "1"], ["2026-03-31", "1"]]
    made = desk.ask("months", reportType="custom", format="csv", filters={"groupBy": ["orderedAt.month"]})
    assert desk.file(made).read_text("utf-8-sig").splitlines() == ["Data;Linhas", "2026-03-01;3"]


def test_ads_are_a_topic_too(each_desk: Any) -> None:
    each_desk.stock([ad("2026-03-02", "Verão", spend=Decimal("40.5"), clicks=None)], market.ads)
    rows = table(each_desk, source="ad_performance", groupBy=["date.month", "campaign"], columns=["spend", "clicks"])
    assert rows[1] == ["2026-03-01", "Verão", "1", "40,5000", ""]


REFUSED = [
    ({"endDate": "2026-02-28"}, "endDate", r"expected endDate to be startDate \(2026-03-01\) or later, got 2026-02-28"),
    ({"endDate": "2029-03-02"}, "endDate", r"expected a period of 1,096 days at most, got 1,098"),
    ({"startDate": "01/03/2026"}, "startDate", "valid date"),
    ({"startDate": "1999-12-31"}, "startDate", "2000-01-01"),
    ({"reportType": "profit"}, "reportType", "'sales', 'leads', 'performance' or 'custom'"),
    ({"format": "docx"}, "format", "'pdf', 'xlsx' or 'csv'"),
    ({"userId": ""}, "userId", "at least 1 character"),
    ({"empresaId": None}, "empresaId", "valid string"),
    ({"colour": "red"}, "colour", "Extra inputs are not permitted"),
    ({"filters": {"prodct": "Kit"}}, "(payload)", "unknown column 'prodct'; did you mean 'product'"),
    ({"filters": {"amount": "much"}}, "(payload)", "amount: expected a number, got 'much'"),
    ({"filters": {"product": {"min": 1}}}, "(payload)", "min and max are for numbers and dates"),
    ({"filters": {"amount": {"contains": "1"}}}, "(payload)", "contains is for text"),
    ({"filters": {"amount": {"above": 1}}}, "filters", "expected one or more of min, max, contains, not"),
    ({"filters": {"product": []}}, "filters", "expected at least one value"),
    ({"filters": {"orderedAt": "2026-02-30"}}, "(payload)", "expected a day such as 2026-01-31"),
    ({"filters": {"columns": ["amount"]}}, "(payload)", "columns is for reportType custom only"),
    ({"reportType": "custom"}, "(payload)", "a custom report needs columns, or groupBy"),
    ({"reportType": "custom", "filters": {"columns": ["amuont"]}}, "(payload)", "did you mean 'amount'"),
    ({"reportType": "custom", "filters": {"groupBy": ["amount"]}}, "(payload)", "amount is a number"),
    ({"reportType": "custom", "filters": {"groupBy": ["uf.month"]}}, "(payload)", "of a date; got uf.month"),
    ({"reportType": "custom", "filters": {"groupBy": ["uf"], "columns": ["client"]}}, "(payload)", "only numbers"),
    (
        {"reportType": "custom", "filters": {"columns": ["uf"], "orderBy": ["-amount"]}},
        "(payload)",
        "expected one of uf",
    ),
    (
        {"reportType": "custom", "format": "pdf", "filters": {"columns": list(market.UTMS + market.SALES_TEXTS)}},
        "(payload)",
        "a page has room for 12 columns, got 13",
    ),
]


@pytest.mark.parametrize(("wanted", "field", "said"), REFUSED, ids=lambda part: str(part)[:40])
def test_what_is_wrong_is_refused_with_its_name(wanted: dict[str, Any], field: str, said: str) -> None:
    good = {
        "empresaId": "loja",
        "reportType": "sales",
        "startDate": "2026-03-01",
        "endDate": "2026-03-31",
        "userId": "ana",
        "format": "xlsx",
    }
    assert parse_payload("report.generate", GenerateReport, good).period.days == 31
    with pytest.raises(InvalidPayload, match=said) as caught:
        parse_payload("report.generate", GenerateReport, {**good, **wanted})
    assert field in {problem["field"].partition(".")[0] for problem in caught.value.problems}


def test_a_javascript_date_is_the_day_it_names() -> None:
    asked = {"empresaId": "loja", "reportType": "sales", "userId": "ana"}
    given = {"startDate": "2026-03-01T00:00:00.000Z", "endDate": "2026-03-31", "filters": None}
    assert parse_payload("report.generate", GenerateReport, {**asked, **given}).period.days == 31


@pytest.mark.parametrize(
    "filters",
    [
        {
            "product": ["Kit", None],
            "amount": {"min": 1, "max": "2.50"},
            "uf": {"not": "SP"},
            "client": {"contains": "a"},
        },
        {"counts": True, "where": {"orderedAt": "2026-03-01"}},
    ],
)
def test_a_payload_survives_the_queue(filters: dict[str, Any]) -> None:
    days = {"startDate": "2026-03-01", "endDate": "2026-03-31"}
    asked = {"empresaId": "loja", "reportType": "sales", "userId": "ana", **days, "filters": filters}
    read = parse_payload("report.generate", GenerateReport, asked)
    stored = json.loads(read.model_dump_json(by_alias=True))
    assert parse_payload("report.generate", GenerateReport, stored) == read
