"""The job's payload and result, and the message as the Cloud API wants it (reference §2.1, §2.2)."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from flowzz.jobs.payload import Payload, Result
from flowzz_whatsapp.numbers import BSUID, match_key, recipient_of

LONGEST_TEXT = 4096
LONGEST_TEMPLATE_NAME = 512
LONGEST_PARAMETER = 1024
MOST_BUTTONS = 10
_PARAMETER_TROUBLE = re.compile(r"[\n\r\t]| {5,}")

Parameter = Annotated[str, StringConstraints(max_length=LONGEST_PARAMETER)]
ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(_[A-Z]{2,3})?$")]


class SendMessage(Payload):
    """One message to one person.

    - ``to``: E.164 with ``+``, or a BSUID such as ``BR.1A2b``.
    - ``message``: the text, 1 to 4,096 characters. With ``template_name`` it is only kept in the log, and may be empty.
    - ``template_name``: an approved template instead of a text; the only thing that may open a conversation.
    - ``template_params``: its body's parameters, a list for positional ones or a mapping for named ones.
    - ``template_language``: default that of the connection.
    - ``template_header``: the one variable of a text header. ``template_buttons``: one text for each button with a
      variable, in their order (a URL's suffix).
    - ``resend_of``: the id of the logged message that a person had sent again.
    """

    empresa_id: str
    to: str
    message: str = Field(default="", max_length=LONGEST_TEXT)
    template_name: str | None = Field(default=None, max_length=LONGEST_TEMPLATE_NAME, pattern=r"^[a-z0-9_]+$")
    template_params: list[Parameter] | dict[ParameterName, Parameter] | None = None
    template_language: Language | None = None
    template_header: Parameter | None = None
    template_buttons: list[Parameter] | None = Field(default=None, max_length=MOST_BUTTONS)
    resend_of: int | None = None

    @field_validator("to")
    @classmethod
    def _is_a_recipient(cls, value: str) -> str:
        return recipient_of(value)

    @field_validator("message")
    @classmethod
    def _can_be_stored(cls, value: str) -> str:
        if "\x00" in value:
            raise ValueError("expected a text without NUL characters")
        return value

    @model_validator(mode="after")
    def _is_one_kind(self) -> SendMessage:
        if self.template_name is None and not self.message.strip():
            raise ValueError("expected message to have 1 to 4,096 characters, or a templateName")
        given = (self.template_params, self.template_language, self.template_header, self.template_buttons)
        if self.template_name is None and any(value is not None for value in given):
            raise ValueError("templateParams and its like need a templateName")
        return self

    @property
    def pair(self) -> str:
        """Sender and recipient, for the limit of messages between the two."""
        return f"{self.empresa_id}/{match_key(self.to)}"

    @property
    def fingerprint(self) -> str:
        """The same for the same message to the same person, and for no other."""
        document = self.model_dump(mode="json", exclude={"resend_of"})
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()

    def parameter_trouble(self) -> str | None:
        """What third parties say Meta refuses in parameters, or None; see PARAMETERS_ASSUMPTION."""
        named = self.template_params.items() if isinstance(self.template_params, dict) else ()
        listed = enumerate(self.template_params, start=1) if isinstance(self.template_params, list) else ()
        for name, text in [*named, *listed]:
            if not text.strip():
                return f"templateParams.{name}: expected a text, got an empty one"
            if _PARAMETER_TROUBLE.search(text):
                return f"templateParams.{name}: expected no line break, tab or five spaces in a row"
        return None


class SentMessage(Result):
    """``message_id`` is Meta's wamid; ``status`` how far it was by then: ``accepted``, ``sent``, ``delivered`` …

    Without a wamid it is only where a person, and not Meta, said that the message arrived.
    """

    message_id: str | None
    status: str


def request_body(data: SendMessage, language: str, correlation: str) -> dict[str, Any]:
    """What to post. ``correlation`` comes back in every status webhook of the message."""
    addressed = {"recipient": data.to} if BSUID.match(data.to) else {"to": data.to}
    body: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual", **addressed}
    if data.template_name is None:
        body |= {"type": "text", "text": {"body": data.message, "preview_url": False}}
    else:
        template: dict[str, Any] = {"name": data.template_name, "language": {"code": language}}
        if components := _components(data):
            template["components"] = components
        body |= {"type": "template", "template": template}
    return body | {"biz_opaque_callback_data": correlation}


def _components(data: SendMessage) -> list[dict[str, Any]]:
    components: list[dict[str, Any]] = []
    if data.template_header is not None:
        components.append({"type": "header", "parameters": [_text(data.template_header)]})
    if data.template_params:
        components.append({"type": "body", "parameters": _parameters(data.template_params)})
    for index, text in enumerate(data.template_buttons or []):
        components.append({"type": "button", "sub_type": "url", "index": str(index), "parameters": [_text(text)]})
    return components


def _parameters(given: list[str] | dict[str, str]) -> list[dict[str, Any]]:
    if isinstance(given, dict):
        return [{"type": "text", "parameter_name": name, "text": text} for name, text in given.items()]
    return [_text(text) for text in given]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
