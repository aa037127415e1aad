"""What a refused payload says: the fields by their wire names, and never a secret."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from flowzz.errors import InvalidPayload
from flowzz.jobs.payload import Payload, parse_payload


class Login(Payload):
    user_name: str
    api_token: SecretStr = Field(max_length=4)


class Connect(Payload):
    login: Login
    others: dict[str, SecretStr] | None = None
    pages: int = 1


def test_a_secret_is_never_repeated_and_other_input_is() -> None:
    data = {"login": {"userName": 7, "apiToken": "hunter2"}, "others": {"a": 12345}, "pages": "many"}
    with pytest.raises(InvalidPayload) as refused:
        parse_payload("probe.connect", Connect, data)
    problems = {problem["field"]: problem for problem in refused.value.problems}
    assert problems.keys() == {"login.userName", "login.apiToken", "others.a", "pages"}
    assert (problems["login.userName"]["input"], problems["pages"]["input"]) == (7, "many")
    assert "input" not in problems["login.apiToken"]
    assert "input" not in problems["others.a"]
    assert "hunter2" not in str(refused.value)
