"""The rule that decides which sighting may change an order, as a table."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from flowzz_coinzz.ordering import REPEAT_WINDOW, Effect, Movement, State, decide, movement

_fingerprints = count()


def state(order: str | None, shipping: str | None, *, deleted: bool = False) -> State:
    return State(order, shipping, deleted, f"fingerprint {next(_fingerprints)}")


OPEN = "Aguardando envio"
CREATED = (OPEN, "A enviar")
SENT = (OPEN, "Enviado")
RECEIVED = ("Aprovado", "Recebido")

TABLE = [
    # current, incoming, movement, effect, suspicious
    (CREATED, SENT, Movement.FORWARD, Effect.APPLIED, False),
    (CREATED, RECEIVED, Movement.FORWARD, Effect.APPLIED, False),
    (SENT, (OPEN, "A caminho"), Movement.FORWARD, Effect.APPLIED, False),
    ((OPEN, "Aguardando análise"), CREATED, Movement.SIDEWAYS, Effect.APPLIED, False),
    # the parcel went on before we heard of this
    (RECEIVED, SENT, Movement.BACKWARD, Effect.LATE, True),
    (RECEIVED, CREATED, Movement.BACKWARD, Effect.LATE, True),
    ((OPEN, "A caminho"), SENT, Movement.BACKWARD, Effect.LATE, True),
    # setbacks may come from anywhere
    (RECEIVED, ("Chargeback", "Recebido"), Movement.SETBACK, Effect.APPLIED, False),
    (RECEIVED, ("Chargeback", "A enviar"), Movement.SETBACK, Effect.APPLIED, True),
    (RECEIVED, ("Reclamado", "Recebido"), Movement.SETBACK, Effect.APPLIED, False),
    (CREATED, ("Cancelado", "Cancelado"), Movement.SETBACK, Effect.APPLIED, False),
    (RECEIVED, ("Cancelado", "Recebido"), Movement.SETBACK, Effect.APPLIED, False),
    (RECEIVED, (OPEN, "A reagendar"), Movement.SETBACK, Effect.APPLIED, True),
    (SENT, (OPEN, "Sem sucesso"), Movement.SETBACK, Effect.APPLIED, False),
    (CREATED, (OPEN, "Saldo insuficiente"), Movement.SETBACK, Effect.APPLIED, False),
    (RECEIVED, ("Aprovado", "Devolvido"), Movement.FORWARD, Effect.APPLIED, False),
    # and be left to anywhere
    ((OPEN, "A reagendar"), (OPEN, "A caminho"), Movement.SIDEWAYS, Effect.APPLIED, False),
    ((OPEN, "Sem sucesso"), RECEIVED, Movement.FORWARD, Effect.APPLIED, False),
    ((OPEN, "Saldo insuficiente"), CREATED, Movement.SIDEWAYS, Effect.APPLIED, False),
    # what has ended does not begin again
    ((OPEN, "Devolvido"), SENT, Movement.BACKWARD, Effect.LATE, True),
    ((OPEN, "Devolvido"), (OPEN, "Sem sucesso"), Movement.BACKWARD, Effect.LATE, True),
    (("Cancelado", "Cancelado"), CREATED, Movement.BACKWARD, Effect.LATE, True),
    (("Reembolsado", "Devolvido"), ("Reembolso em andamento", "Devolvido"), Movement.BACKWARD, Effect.LATE, True),
    (("Chargeback", "Recebido"), ("Cancelado", "Recebido"), Movement.BACKWARD, Effect.LATE, True),
    # money alone
    ((OPEN, "Recebido"), RECEIVED, Movement.FORWARD, Effect.APPLIED, False),
    (RECEIVED, (OPEN, "Recebido"), Movement.BACKWARD, Effect.LATE, True),
    (("Expirado", "A enviar"), ("Aprovado", "A enviar"), Movement.FORWARD, Effect.APPLIED, False),
    (("Reclamado", "Recebido"), RECEIVED, Movement.SIDEWAYS, Effect.APPLIED, False),
    # unknown and missing labels say nothing about order
    (RECEIVED, ("Situação Nova", "Teletransportado"), Movement.SIDEWAYS, Effect.APPLIED, False),
    (("Situação Nova", "Teletransportado"), CREATED, Movement.SIDEWAYS, Effect.APPLIED, False),
    (RECEIVED, (None, None), Movement.SIDEWAYS, Effect.APPLIED, False),
    # gender, case and accents
    (("APROVADA", "recebida"), (OPEN, "enviada"), Movement.BACKWARD, Effect.LATE, True),
]


@pytest.mark.parametrize(("current", "incoming", "moved", "effect", "suspicious"), TABLE)
def test_a_first_sighting(
    current: tuple[str, str], incoming: tuple[str, str], moved: Movement, effect: Effect, suspicious: bool
) -> None:
    before, after = state(*current), state(*incoming)

    assert movement(before, after) is moved
    decision = decide(before, after)
    assert (decision.effect, decision.suspicious) == (effect, suspicious)
    assert decision.suspicious == bool(decision.reason)


def test_the_first_of_all_creates_the_order() -> None:
    assert decide(None, state(*RECEIVED)).effect is Effect.CREATED


def test_the_present_state_again_is_a_repeat() -> None:
    present = state(*SENT)
    assert decide(present, present, last_seen=timedelta(0), overtaken=True).effect is Effect.REPEATED


def test_a_copy_of_an_older_state_never_rolls_back() -> None:
    decision = decide(state(*RECEIVED), state(*SENT), last_seen=timedelta(minutes=5))
    assert (decision.effect, decision.suspicious) == (Effect.STALE, False)


def test_a_state_from_before_the_window_is_a_true_return() -> None:
    back = decide(state(OPEN, "A reagendar"), state(OPEN, "A caminho"), last_seen=REPEAT_WINDOW)
    assert (back.effect, back.suspicious) == (Effect.APPLIED, True)
    assert decide(state(*RECEIVED), state(*SENT), last_seen=REPEAT_WINDOW).effect is Effect.LATE


def test_what_was_overtaken_on_its_way_in_only_moves_forward() -> None:
    assert decide(state(*SENT), state(*RECEIVED), overtaken=True).effect is Effect.APPLIED
    assert (
        decide(state("Chargeback", "Recebido"), state("Reclamado", "Recebido"), overtaken=True).effect is Effect.STALE
    )
    assert decide(state(*CREATED), state("Cancelado", "A enviar"), overtaken=True).effect is Effect.STALE


def test_the_upstreams_present_is_believed_unless_something_newer_came() -> None:
    back = decide(state(*RECEIVED), state(*CREATED), authoritative=True, last_seen=timedelta(0))
    assert (back.effect, back.suspicious) == (Effect.APPLIED, True)
    assert decide(state(*RECEIVED), state(*CREATED), authoritative=True, overtaken=True).effect is Effect.STALE


def test_a_deleted_order_stands_like_a_cancelled_one() -> None:
    alive, gone = state(*CREATED), state(*CREATED, deleted=True)
    assert decide(alive, gone).effect is Effect.APPLIED
    assert decide(gone, alive).effect is Effect.LATE
