"""Does a connection work, and if not, what is wrong with it?"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from flowzz.errors import NeedsCredentials, Permanent
from flowzz_whatsapp.checking import check
from flowzz_whatsapp.connection import WhatsAppConnection
from flowzz_whatsapp.errors import Refused, TransientError, WrongEndpoint
from flowzz_whatsapp.sandbox.demo import connection_fields

SECRETS = ("access_token", "app_secret", "verify_token")


def test_a_connection_that_works(company: Any) -> None:
    check(company.connection)


@pytest.mark.parametrize(
    ("fields", "faults", "error", "words"),
    [
        ({"access_token": "another"}, {}, NeedsCredentials, "store it in the connection"),
        ({"app_secret": "another"}, {}, Refused, "appsecret_proof"),
        ({}, {"token": {"subcode": 463}}, NeedsCredentials, "190/463"),
        ({}, {"forbidden": True}, NeedsCredentials, "lacks a permission"),
        ({}, {"redirect": True}, WrongEndpoint, "check base URL"),
        ({}, {"html_page": True}, TransientError, "broken JSON"),
        ({}, {"html_error": True}, TransientError, "502"),
        ({}, {"error": {"code": 4, "status": 400}}, Permanent, "asks us to wait"),
        ({}, {"reset_before": True}, TransientError, "asking for"),
    ],
)
def test_the_check_tells_what_is_wrong(
    store: Any, upstream: Any, connected: Any, fields: Any, faults: Any, error: Any, words: str
) -> None:
    upstream.faults(**faults)
    with pytest.raises(error, match=words):
        check(connected(store, upstream.url, **fields).connection)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("phone_number_id", "+5511", "Meta's id"),
        ("api_version", "26", "v26.0"),
        ("base_url", "graph", "URL"),
        ("access_token", "two\nlines", "on one line"),
        ("template_language", "portuguese", "pt_BR"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(field: str, value: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as refused:
        WhatsAppConnection.model_validate({**connection_fields("http://127.0.0.1"), field: value})
    assert refused.value.errors()[0]["loc"] == (field,)


def test_secrets_print_as_stars(company: Any) -> None:
    shown = repr(company.settings) + str(company.connection)
    for name in SECRETS:
        assert connection_fields("")[name] not in shown
