"""``flowzz whatsapp``, as an operator types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr
from sqlalchemy import update

from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.clock import now
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_whatsapp.errors import Refused
from flowzz_whatsapp.models import MIGRATIONS, messages

ANA = "+5511987654321"


@pytest.fixture
def company(settings: Settings, upstream: Any, connected: Callable[..., Any]) -> Any:
    """With one failed message and one that was sent."""
    with Flowzz.open(settings) as flowzz:
        flowzz.store.migrate([MIGRATIONS])
        made = connected(flowzz.store, upstream.url)
        flowzz.store.add_user("bia@flowzz.example", SecretStr("correct horse battery"), Role.ADMIN)
        upstream.settings(statuses=[])
        upstream.faults(error={"code": 131026, "status": 400, "times": 1})
        with pytest.raises(Refused):
            made.send()
        made.send(to="+5521987654321", job_id="job-2")
        yield made


@pytest.fixture
def flowzz(settings: Settings, redis_url: str, company: Any) -> Callable[..., Result]:
    environment = {"FLOWZZ_HOME": str(settings.home), "REDIS_URL": redis_url}

    def run(*arguments: str, **more: Any) -> Result:
        return CliRunner(env=environment).invoke(main, ["whatsapp", *arguments], **more)

    return run


def test_messages_are_listed(flowzz: Callable[..., Result], company: Any) -> None:
    said = flowzz("messages").output
    assert ANA in said
    assert "131026" in said
    assert flowzz("messages", "--limit", "1").output.count("+55") == 1
    listed = json.loads(flowzz("messages", "--company", company.id, "--state", "accepted", "--json").stdout)
    assert [one["recipient"] for one in listed] == ["+5521987654321"]
    assert "no messages" in flowzz("messages", "--company", "nobody").output


def test_a_message_is_sent_again_only_when_asked(flowzz: Callable[..., Result], company: Any) -> None:
    failed, sent = (str(row["id"]) for row in company.messages())
    assert flowzz("resend", failed, input="n\n").exit_code == 1
    done = flowzz("resend", failed, "--yes")
    assert (done.exit_code, f"message {failed} is sent again by job whatsapp-resend-" in done.output) == (0, True)
    refused = flowzz("resend", sent, "--yes")
    assert refused.exit_code != 0
    assert "only failed and dropped messages" in refused.output or "only failed and dropped messages" in str(
        refused.exception
    )


@pytest.mark.parametrize(
    ("command", "state", "told"), [("arrived", "sent", "counts as sent"), ("drop", "dropped", "is dropped")]
)
def test_a_person_decides_about_an_unknown_one(
    flowzz: Callable[..., Result], company: Any, command: str, state: str, told: str
) -> None:
    number = company.messages()[-1]["id"]
    refused = flowzz(command, str(number))
    assert refused.exit_code != 0
    assert "only the outcome of unknown ones is open" in refused.output + str(refused.exception)
    with company.store.session() as session:
        past = now() - timedelta(minutes=16)
        session.execute(update(messages).where(messages.c.id == number).values(state="unknown", unknown_at=past))
    done = flowzz(command, str(number))
    assert (done.exit_code, done.output) == (0, f"message {number} {told}\n")
    assert company.messages()[-1]["state"] == state


def test_phones_of_users(flowzz: Callable[..., Result]) -> None:
    assert "no user is told" in flowzz("phones", "list").output
    assert flowzz("phones", "set", "bia@flowzz.example", "+55 21 98765-4321").exit_code == 0
    assert json.loads(flowzz("phones", "list", "--json").stdout) == [
        {"email": "bia@flowzz.example", "phone": "+5521987654321"}
    ]
    assert flowzz("phones", "set", "nobody@flowzz.example", ANA).exit_code != 0
    assert flowzz("phones", "remove", "bia@flowzz.example").exit_code == 0
    assert "no user is told" in flowzz("phones", "list").output
