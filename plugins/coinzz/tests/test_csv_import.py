"""CSV files as people export and edit them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flowzz.errors import InvalidRequest
from flowzz_coinzz.csv_import import BATCH, coinzz_commands, import_file
from flowzz_coinzz.fields import ORDER_FIELDS

PANEL = (
    "Número do Pedido;Status do pedido;Status do envio;Data do pedido;Valor;"
    "Forma de pagamento;Cliente;Telefone;CPF;UF\n"
    "ordk3x9ab;Aprovada;Recebido;02/03/2026 14:05;R$ 1.197,90;"
    "Venda pós-paga;José da Silva;(11) 90000-0000;000.000.001-91;sp\n"
    "ordk3x9ac;Aguardando envio;A enviar;03/03/2026;97,5;Pix;Ana;11900000001;;RJ\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_panel_like_file(each_offline: Any, encoding: str, line_end: str) -> None:
    content = PANEL.replace("\n", line_end).encode(encoding)

    report = import_file(each_offline.store, each_offline.id, content)

    assert (report.lines, report.created, report.refused, report.problems) == (2, 2, 0, [])
    order = each_offline.orders()["ordk3x9ab"]
    assert order["final_price"] == Decimal("1197.90")
    assert order["ordered_at"] == datetime(2026, 3, 2, 17, 5, tzinfo=UTC)
    assert (order["order_group"], order["shipping_group"], order["payment_method"]) == ("paid", "delivered", "afterpay")
    assert (order["client_name"], order["client_phone"], order["client_phone_raw"], order["state"]) == (
        "José da Silva",
        "+5511900000000",
        "(11) 90000-0000",
        "SP",
    )


def test_importing_again_changes_nothing(each_offline: Any) -> None:
    import_file(each_offline.store, each_offline.id, PANEL.encode())
    before = each_offline.orders()

    report = import_file(each_offline.store, each_offline.id, PANEL.encode())

    assert (report.created, report.changed, report.unchanged) == (0, 0, 2)
    assert len(each_offline.events()) == 2
    assert {number: row["updated_at"] for number, row in each_offline.orders().items()} == {
        number: row["updated_at"] for number, row in before.items()
    }


def test_field_names_and_commas_work_too(offline: Any) -> None:
    content = (
        b"order.order_number,order_final_price,client_documment,utm_source,financial_fees.total\n"
        b'"ord1","1,234.56",191,fb,14.66\n'
    )

    assert import_file(offline.store, offline.id, content).created == 1
    order = offline.orders()["ord1"]
    assert (order["final_price"], order["client_document"]) == (Decimal("1234.56"), "191")
    assert (order["utm_source"], order["financial_fees"]) == ("fb", Decimal("14.66"))


def test_problems_carry_their_line(offline: Any) -> None:
    content = (
        "order_number;valor;data;coluna nova\n"
        'ord1;"12\n,5";2026-03-02;x\n'
        "ord2;grátis;2026-03-02;x\n"
        ";10;2026-03-02;x\n"
        "\n"
        "ord3;10;ontem;x;y\n"
    )
    report = import_file(offline.store, offline.id, content.encode())

    assert report.unknown_columns == ("coluna nova",)
    assert (report.lines, report.created, report.refused) == (4, 3, 1)
    assert [(number, problem.partition(":")[0]) for number, problem in report.problems] == [
        (4, "order.order_final_price"),
        (5, "order.order_number"),
        (7, "expected 4 columns, got 5; is a separator inside a value not quoted?"),
        (7, "order.date_order"),
    ]
    assert offline.orders()["ord1"]["final_price"] == Decimal("12.5")


def test_an_old_file_does_not_roll_back_but_a_present_one_may(offline: Any) -> None:
    import_file(offline.store, offline.id, b"order_number,status,shipping_status\nord1,Aprovado,Recebido\n")
    older = b"order_number,status,shipping_status\nord1,Aguardando envio,A enviar\n"

    report = import_file(offline.store, offline.id, older)
    assert offline.orders()["ord1"]["shipping_status"] == "Recebido"
    assert report.problems == [(2, "late: an earlier state, first seen after a later one")]

    import_file(offline.store, offline.id, older, authoritative=True)
    assert offline.orders()["ord1"]["shipping_status"] == "A enviar"


def test_a_dry_run_keeps_nothing(each_offline: Any) -> None:
    report = import_file(each_offline.store, each_offline.id, PANEL.encode(), dry_run=True)

    assert report.created == 2
    assert each_offline.orders() == {}
    assert each_offline.events() == []


def test_many_lines_are_stored_in_batches(each_offline: Any) -> None:
    lines = "".join(f"ord{i:05d};{i},25\n" for i in range(2 * BATCH + 7))
    done: list[int] = []

    report = import_file(
        each_offline.store, each_offline.id, f"pedido;valor\n{lines}".encode(), on_progress=done.append
    )

    assert report.created == 2 * BATCH + 7
    assert done == [BATCH, BATCH, 7]
    assert sum(order["final_price"] for order in each_offline.orders().values()) == sum(
        Decimal(f"{i}.25") for i in range(2 * BATCH + 7)
    )


@pytest.mark.parametrize(
    "content", [b"", b"a;b\n1;2\n", b"\x89PNG\r\n\x1a\n\x00\x00", b'order_number\n"' + b"x" * 200_000]
)
def test_what_is_no_such_file_is_refused(offline: Any, content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        import_file(offline.store, offline.id, content)


def test_every_header_names_one_field() -> None:
    seen: dict[str, str] = {}
    for item in ORDER_FIELDS:
        for header in item.headers:
            assert seen.setdefault(header, item.label) == item.label, header


def test_the_command(offline: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWZZ_HOME", str(home))
    for name in ("DATABASE_URL", "REDIS_URL", "REDIS_HOST"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "vendas.csv"
    file.write_text(PANEL, encoding="utf-8")
    runner = CliRunner()

    dry = runner.invoke(coinzz_commands, ["import-csv", str(file), "--company", offline.id, "--dry-run"])
    assert (dry.exit_code, dry.stdout.strip()) == (
        0,
        "would be: lines 2, created 2, changed 0, unchanged 0, refused 0",
    ), dry.output
    real = runner.invoke(coinzz_commands, ["import-csv", str(file), "--company", offline.id])
    assert "created 2" in real.stdout
    assert len(offline.orders()) == 2

    file.write_text("pedido;valor\n;5\n", encoding="utf-8")
    bad = runner.invoke(coinzz_commands, ["import-csv", str(file), "--company", offline.id])
    nobody = runner.invoke(coinzz_commands, ["import-csv", str(file), "--company", "nobody"])
    assert bad.exit_code == nobody.exit_code == 1
    assert "nobody" in nobody.output
