"""The job: one message, at most once, whatever the Cloud API answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from flowzz.clock import now
from flowzz.errors import ConnectionInactive, NeedsCredentials, Permanent, Snoozed, Throttled
from flowzz.jobs.connection import ConnectionState
from flowzz_whatsapp.client import CloudApi
from flowzz_whatsapp.errors import Refused, SenderStopped, TransientError
from flowzz_whatsapp.models import messages
from flowzz_whatsapp.payloads import SendMessage
from flowzz_whatsapp.send import UNKNOWN_LIMIT, send_message
from support.waiting import eventually

ANA = "+5511987654321"
TEMPLATE = {"templateName": "pedido_enviado", "templateParams": {"nome": "Ana", "codigo": "BR1"}}


@pytest.fixture(autouse=True)
def _quiet(upstream: Any) -> None:
    """No webhook has an address here; what comes back is test_webhooks.py."""
    upstream.settings(statuses=[])


def test_a_text_is_sent_and_on_record(each_company: Any, upstream: Any) -> None:
    sent = each_company.send(message="Seu pedido saiu ✔")

    assert sent.status == "accepted"
    (received,) = upstream.phones()[ANA]
    assert (received["text"], received["wamid"]) == ("Seu pedido saiu ✔", sent.message_id)
    assert received["correlation"] == "job:job-1"
    row = each_company.message()
    assert (row["state"], row["message_id"], row["attempts"]) == ("accepted", sent.message_id, 1)
    assert (row["recipient"], row["wa_id"], row["body"]) == (ANA, "5511987654321", "Seu pedido saiu ✔")


def test_a_rerun_of_a_sent_message_sends_nothing(company: Any, upstream: Any) -> None:
    first = company.send()
    assert company.send() == first
    assert len(upstream.phones()[ANA]) == 1


@pytest.mark.parametrize("length", [4096, 4097])
def test_a_text_has_at_most_4096_characters(company: Any, length: int) -> None:
    if length <= 4096:
        assert company.send(message="é" * length).status == "accepted"
    else:
        with pytest.raises(ValidationError, match="at most 4096 characters"):
            company.send(message="é" * length)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"message": ""}, "expected message to have 1 to 4,096 characters"),
        ({"message": "oi", "templateParams": ["x"]}, "need a templateName"),
        ({"message": "oi\x00"}, "without NUL"),
        ({"message": "oi", "to": "11987654321"}, "expected a phone number with \\+ and country code"),
        ({"message": "oi", "templateName": "Pedido Enviado"}, "pattern"),
    ],
)
def test_a_payload_that_cannot_be_sent_is_refused_before_it_is_queued(payload: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SendMessage.model_validate({"empresaId": "a", "to": ANA, **payload})


def test_named_parameters(company: Any, upstream: Any) -> None:
    company.send(message="", **TEMPLATE)
    (received,) = upstream.phones()[ANA]
    assert received["template"] == {
        "name": "pedido_enviado",
        "language": {"code": "pt_BR"},
        "components": [
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "parameter_name": "nome", "text": "Ana"},
                    {"type": "text", "parameter_name": "codigo", "text": "BR1"},
                ],
            }
        ],
    }
    row = company.message()
    assert (row["kind"], row["template_name"], row["template_language"]) == ("template", "pedido_enviado", "pt_BR")


def test_positional_parameters_header_and_buttons(company: Any, upstream: Any) -> None:
    upstream.control("templates", {"name": "aviso", "language": "en", "parameters": 2})
    more = {"templateLanguage": "en", "templateHeader": "BR1", "templateButtons": ["a", "b"]}
    company.send(message="", templateName="aviso", templateParams=["Ana", "BR1"], **more)
    (received,) = upstream.phones()[ANA]
    kinds = [(part["type"], part.get("index")) for part in received["template"]["components"]]
    assert kinds == [("header", None), ("body", None), ("button", "0"), ("button", "1")]
    assert received["template"]["components"][1]["parameters"] == [
        {"type": "text", "text": "Ana"},
        {"type": "text", "text": "BR1"},
    ]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"templateLanguage": "en"}, 132001, "no template of that name exists in that language"),
        ({"templateParams": {"nome": "Ana"}}, 132000, "number of parameters"),
        ({"templateParams": ["Ana", "BR1"]}, 132012, "named or positional"),
        ({"templateParams": {"nome": "x" * 1000, "codigo": "y" * 100}}, 132005, "shorten"),
    ],
)
def test_a_template_that_does_not_fit_fails_with_what_to_do(
    company: Any, change: dict[str, Any], code: int, words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        company.send(message="", **{**TEMPLATE, **change})
    assert refused.value.code == code
    row = company.message()
    assert (row["state"], row["error_code"]) == ("failed", code)
    assert row["message_id"] is None


@pytest.mark.parametrize(("status", "code"), [("PAUSED", 132015), ("DISABLED", 132016), ("PENDING", 132001)])
def test_a_template_that_is_not_approved_fails(company: Any, upstream: Any, status: str, code: int) -> None:
    upstream.control("templates", {"name": "pedido_enviado", "parameters": ["nome", "codigo"], "status": status})
    with pytest.raises(Refused) as refused:
        company.send(message="", **TEMPLATE)
    assert refused.value.code == code


def test_parameters_are_checked_only_where_the_switch_says_so(store: Any, upstream: Any, connected: Any) -> None:
    broken = {**TEMPLATE, "templateParams": {"nome": "Ana\nMaria", "codigo": "BR1"}}
    assert connected(store, upstream.url).send(message="", **broken).status == "accepted"
    careful = connected(store, upstream.url, check_parameters=True)
    with pytest.raises(Permanent, match="ASSUMPTION"):
        careful.send(message="", job_id="job-2", **broken)
    assert careful.messages() == []


def test_metas_own_check_of_parameters_is_a_refusal(company: Any, upstream: Any) -> None:
    upstream.settings(parameter_rules=True)
    with pytest.raises(Refused, match="line breaks"):
        company.send(message="", **{**TEMPLATE, "templateParams": {"nome": "Ana\nMaria", "codigo": "BR1"}})


def test_a_text_outside_the_window_says_use_a_template(company: Any, upstream: Any) -> None:
    upstream.settings(window="sync")
    with pytest.raises(Refused, match=r"only an approved template.*our webhooks know of no message") as refused:
        company.send()
    assert refused.value.code == 131047
    assert company.message()["state"] == "failed"


def test_the_window_can_be_enforced_by_ourselves(store: Any, upstream: Any, connected: Any) -> None:
    strict = connected(store, upstream.url, enforce_window=True)
    with pytest.raises(Refused, match="not even asked"):
        strict.send()
    assert upstream.stats()["calls"] == 0
    assert strict.send(message="", job_id="job-2", **TEMPLATE).status == "accepted"


@pytest.mark.parametrize(
    ("code", "settings", "expected"),
    [
        (130429, {}, (1, "whatsapp.sender")),
        (131056, {}, (1, "whatsapp.pair")),
        (4, {}, (300, "whatsapp.sender")),
        (80007, {"regain_minutes": 7}, (420, "whatsapp.sender")),
        (80008, {"retry_after": 90}, (90, "whatsapp.sender")),
        (130429, {"retry_after": 30}, (30, "whatsapp.sender")),
    ],
)
@pytest.mark.parametrize("status", [400, 429])
def test_a_throttle_holds_the_right_limit(
    company: Any, upstream: Any, code: int, settings: dict[str, Any], expected: tuple[int, str], status: int
) -> None:
    upstream.settings(**settings)
    upstream.faults(error={"code": code, "status": status})
    with pytest.raises(Throttled) as throttled:
        company.send()
    assert (throttled.value.after.total_seconds(), throttled.value.hold) == expected
    assert company.message()["state"] == "waiting"


def test_throttles_of_a_pair_wait_four_times_as_long_each_time(company: Any, upstream: Any) -> None:
    upstream.faults(error={"code": 131056, "status": 400})
    waits = []
    for _ in range(7):
        with pytest.raises(Throttled) as throttled:
            company.send()
        waits.append(throttled.value.after.total_seconds())
    assert waits == [1, 4, 16, 64, 256, 1024, 1024]
    upstream.faults()
    assert company.send().status == "accepted"
    assert (company.message()["attempts"], company.message()["throttles"]) == (8, 0)


def test_the_sandboxs_own_limits_are_met(company: Any, upstream: Any) -> None:
    upstream.control("clock", {"stop": True})
    upstream.settings(rate=2)
    for place in range(2):
        company.send(to=f"+551198765431{place}", job_id=f"job-{place}")
    with pytest.raises(Throttled, match="130429"):
        company.send(to="+5511987654329", job_id="job-9")
    upstream.settings(rate=None)
    for place in range(45):
        company.send(job_id=f"burst-{place}")
    with pytest.raises(Throttled, match="131056"):
        company.send(job_id="burst-45")
    upstream.control("clock", {"advance": 6, "stop": True})
    assert company.send(job_id="burst-45").status == "accepted"


def test_a_business_that_reached_its_people_is_stopped(company: Any, upstream: Any) -> None:
    upstream.settings(daily_users=1)
    company.send()
    with pytest.raises(SenderStopped, match="131064"):
        company.send(to="+5511987654320", job_id="job-2")


@pytest.mark.parametrize("code", [368, 130497, 131031, 131048, 131064])
def test_a_stopped_sender_pauses_its_connection(company: Any, upstream: Any, code: int) -> None:
    upstream.faults(error={"code": code, "status": 403, "times": 1})
    with pytest.raises(SenderStopped):
        company.send()
    connection = company.store.connection_by_id(company.connection.id)
    assert connection.state is ConnectionState.PAUSED
    assert str(code) in str(connection.state_reason)
    with pytest.raises(ConnectionInactive, match="resume it") as waiting:
        company.send(job_id="job-2")
    assert waiting.value.connection_id == connection.id
    assert upstream.stats()["calls"] == 1
    company.store.set_connection_state(connection.id, ConnectionState.ACTIVE, None)
    assert company.send(job_id="job-2").status == "accepted"


@pytest.mark.parametrize(("fault", "code"), [({"token": {"subcode": 460}}, "190/460"), ({"forbidden": True}, "10")])
def test_a_refused_token_asks_for_credentials(company: Any, upstream: Any, fault: dict[str, Any], code: str) -> None:
    upstream.faults(**fault)
    with pytest.raises(NeedsCredentials, match=code) as refused:
        company.send()
    assert refused.value.connection_id == company.connection.id
    assert company.message()["state"] == "waiting"


@pytest.mark.parametrize("code", [100, 131009, 131026, 131030, 131050, 131049, 130472, 131042, 133010, 135000, 999999])
def test_a_permanent_refusal_fails_and_is_explained(company: Any, upstream: Any, code: int) -> None:
    upstream.faults(error={"code": code, "status": 400, "details": "because"})
    with pytest.raises(Refused, match=rf"{code}; Meta says: because") as refused:
        company.send()
    assert refused.value.code == code
    assert company.message()["state"] == "failed"


@pytest.mark.parametrize("code", [1, 2, 131000, 131016, 131057])
def test_a_stumble_that_meta_tells_is_tried_again(company: Any, upstream: Any, code: int) -> None:
    upstream.faults(error={"code": code, "status": 503, "times": 1})
    with pytest.raises(TransientError):
        company.send()
    assert company.message()["state"] == "waiting"
    assert company.send(attempt=2).status == "accepted"
    assert len(upstream.phones()[ANA]) == 1


def test_the_last_attempt_leaves_the_message_failed_and_a_replay_sends_it(company: Any, upstream: Any) -> None:
    upstream.faults(error={"code": 131016, "status": 503})
    with pytest.raises(TransientError):
        company.send(attempt=3)
    assert company.message()["state"] == "failed"
    upstream.faults()
    assert company.send(attempt=1).status == "accepted"


def test_a_connection_that_was_never_made_is_tried_again(store: Any, connected: Callable[..., Any]) -> None:
    nowhere = connected(store, "http://127.0.0.1:1/whatsapp")
    with pytest.raises(TransientError, match="nothing was sent"):
        nowhere.send()
    assert nowhere.message()["state"] == "waiting"


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ({"reset_after": True}, 1),
        ({"reset_before": True}, 0),
        ({"broken_json": True}, 1),
        ({"no_message": True}, 1),
        ({"html_error": {"status": 502}}, 0),
    ],
)
def test_an_unknown_outcome_is_never_sent_again(company: Any, upstream: Any, fault: dict[str, Any], sent: int) -> None:
    upstream.faults(**fault)
    with pytest.raises(Snoozed, match="status webhook"):
        company.send()
    assert company.message()["state"] == "unknown"
    upstream.faults()
    with pytest.raises(Snoozed):
        company.send()
    assert len(upstream.phones().get(ANA, [])) == sent


def test_a_timeout_after_the_message_was_taken_is_an_unknown_outcome(
    company: Any, upstream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = CloudApi.__init__
    monkeypatch.setattr(
        CloudApi, "__init__", lambda api, *given: impatient(api, *given, read_timeout=timedelta(seconds=0.2))
    )
    upstream.faults(slow={"delay": 1})
    with pytest.raises(Snoozed):
        company.send()
    assert company.message()["state"] == "unknown"
    assert "ReadTimeout" in company.message()["problem"]
    # Who gives up may be faster than the server that has the request.
    assert len(eventually(lambda: upstream.phones().get(ANA))) == 1


def test_an_unknown_outcome_ends_with_a_person(company: Any, upstream: Any) -> None:
    upstream.faults(reset_after=True)
    with pytest.raises(Snoozed):
        company.send()
    past = now() - UNKNOWN_LIMIT
    with company.store.session() as session:
        session.execute(update(messages).values(unknown_at=past))
    with pytest.raises(Permanent, match=r"nobody knows whether this message was sent.*flowzz whatsapp resend"):
        company.send()
    assert company.message()["state"] == "unknown"


def test_the_waits_for_a_status_double(company: Any, upstream: Any) -> None:
    upstream.faults(reset_after=True)
    waits = []
    for waited in (0, 3, 30, 300):
        if waited:
            with company.store.session() as session:
                session.execute(update(messages).values(unknown_at=now() - timedelta(seconds=waited)))
        with pytest.raises(Snoozed) as snoozed:
            company.send()
        waits.append(round(snoozed.value.after.total_seconds()))
    assert waits == [2, 3, 30, 60]


def test_one_job_id_is_one_message(company: Any, upstream: Any) -> None:
    company.send()
    with pytest.raises(Permanent, match="sent another message before"):
        company.send(message="something else")
    assert len(upstream.phones()[ANA]) == 1


def test_a_redirect_or_a_web_page_is_not_believed(company: Any, upstream: Any) -> None:
    upstream.faults(redirect=True)
    with pytest.raises(Permanent, match="check base URL"):
        company.send()
    upstream.faults(html_page=True)
    with pytest.raises(Snoozed):
        company.send(job_id="job-2")


def test_a_company_without_a_connection_is_told_what_to_do(company: Any) -> None:
    context = company.context()
    context.company_id = "nobody"
    with pytest.raises(Permanent, match="flowzz connections add --plugin whatsapp"):
        send_message(context, SendMessage(empresa_id="nobody", to=ANA, message="oi"))


def test_a_user_without_a_phone_is_reached_by_the_user_id(company: Any, upstream: Any) -> None:
    sent = company.send(to="BR.1A2b3C")
    assert upstream.phones()["BR.1A2b3C"][0]["wamid"] == sent.message_id
    row = company.message()
    assert (row["wa_id"], row["user_id"]) == (None, "BR.1A2b3C")


def test_held_messages_stay_held(company: Any, upstream: Any) -> None:
    upstream.faults(held=True)
    assert company.send(message="", **TEMPLATE).status == "held"
    assert company.message()["state"] == "held"


def test_a_sender_in_test_mode_takes_only_listed_numbers(company: Any, upstream: Any) -> None:
    upstream.settings(test_recipients=["556287654321"])
    with pytest.raises(Refused, match="with and without the ninth digit"):
        company.send(to="+5562987654321")
    assert company.send(to="+556287654321", job_id="job-2").status == "accepted"


def test_secrets_are_in_no_error(company: Any, upstream: Any) -> None:
    token = company.settings.access_token.get_secret_value()
    upstream.faults(error={"code": 100, "details": f"bad token {token} and {company.settings.appsecret_proof}"})
    with pytest.raises(Refused) as refused:
        company.send()
    for secret in (token, company.settings.appsecret_proof):
        assert secret not in str(refused.value)
        assert secret not in str(company.message())


def test_an_answer_that_the_database_cannot_be_told_is_remembered(
    each_company: Any, upstream: Any, recorder: Any
) -> None:
    """The table is gone from the moment the message is taken until the job has given up."""
    upstream.faults(slow={"delay": 1})
    sending = threading.Thread(target=failing, args=(each_company, recorder))
    sending.start()
    eventually(lambda: upstream.phones().get(ANA))
    rename(each_company, "whatsapp_messages", "aside")
    sending.join()
    rename(each_company, "aside", "whatsapp_messages")
    assert each_company.message()["state"] == "sending"

    sent = each_company.send(recorder=recorder)

    (received,) = upstream.phones()[ANA]
    assert sent.message_id == received["wamid"]
    row = each_company.message()
    assert (row["state"], row["message_id"], row["attempts"]) == ("accepted", sent.message_id, 1)


def failing(company: Any, recorder: Any) -> None:
    with pytest.raises(DBAPIError):
        company.send(recorder=recorder)


def rename(company: Any, old: str, new: str) -> None:
    with company.store.session() as session:
        session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
