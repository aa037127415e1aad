"""What a company gives to be connected to WhatsApp."""

from __future__ import annotations

import hashlib
import hmac
import re

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, field_validator

PLUGIN = "whatsapp"
PARAMETERS_ASSUMPTION = (
    "ASSUMPTION: that Meta refuses line breaks, tabs, five spaces in a row and empty texts in a template's parameters "
    "is told by third parties only, so by default it is Meta that decides."
)
HISTORY_ASSUMPTION = (
    "ASSUMPTION: the endpoint message_history stands in Meta's OpenAPI description (v23) and nowhere else; switch it "
    "on only where it was seen to work (or for the sandbox)."
)

_URL = TypeAdapter(HttpUrl)
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?\Z")


class WhatsAppConnection(BaseModel):
    """One sender: a phone number of a WhatsApp business account, and the app that sends for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_token: SecretStr = Field(
        title="Access token",
        description="Of a system user with whatsapp_business_messaging and whatsapp_business_management.",
    )
    app_secret: SecretStr = Field(
        title="App secret", description="Of the Meta app: it signs the webhooks and proves our calls."
    )
    verify_token: SecretStr = Field(
        title="Verify token", description="A text of your own; enter the same one at Meta beside the webhook's address."
    )
    phone_number_id: str = Field(
        title="Phone number id", description="Of the sender: Meta's id, digits; not the number itself."
    )
    waba_id: str = Field(title="WhatsApp business account id", description="Meta's id of the account, digits.")
    api_version: str = Field(default="v26.0", title="API version", description="Of the Graph API, such as v26.0.")
    base_url: str = Field(
        default="https://graph.facebook.com", title="Base URL", description="Where the Graph API answers."
    )
    template_language: str = Field(
        default="pt_BR", title="Template language", description="Of templates when a message names none."
    )
    enforce_window: bool = Field(
        default=False,
        title="Enforce the 24-hour window",
        description="Fail a text at once when its recipient wrote nothing in 24 hours, as far as our webhooks know. "
        "Off: Meta decides.",
    )
    check_parameters: bool = Field(
        default=False,
        title="Check template parameters",
        description=f"Refuse what Meta is said to refuse before it is sent. {PARAMETERS_ASSUMPTION}",
    )

    use_message_history: bool = Field(
        default=False,
        title="Use the message history",
        description=f"Ask each hour for statuses whose webhook did not come. {HISTORY_ASSUMPTION}",
    )
    report_template: str = Field(
        default="",
        pattern=r"^[a-z0-9_]{0,512}$",
        title="Template for finished reports",
        description="Name of an approved template with three positional parameters: title, text, link. "
        "Empty: nobody is told by WhatsApp.",
    )

    @field_validator("access_token", "app_secret", "verify_token")
    @classmethod
    def _is_one_line(cls, value: SecretStr) -> SecretStr:
        secret = value.get_secret_value().strip()
        if not secret or not secret.isascii() or not secret.isprintable():
            raise ValueError("expected plain letters, digits and signs on one line")
        return SecretStr(secret)

    @field_validator("phone_number_id", "waba_id")
    @classmethod
    def _is_an_id(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9]{5,25}", value):
            raise ValueError("expected Meta's id of it: 5 to 25 digits, such as 106540352242922")
        return value

    @field_validator("api_version")
    @classmethod
    def _is_a_version(cls, value: str) -> str:
        if not re.fullmatch(r"v[0-9]{2}\.[0-9]", value):
            raise ValueError("expected a version such as v26.0")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        _URL.validate_python(value)
        return value.rstrip("/")

    @field_validator("template_language")
    @classmethod
    def _is_a_language(cls, value: str) -> str:
        if not _LANGUAGE.match(value):
            raise ValueError("expected a language such as pt_BR or en")
        return value

    @property
    def root(self) -> str:
        """Where paths begin."""
        return f"{self.base_url}/{self.api_version}"

    @property
    def appsecret_proof(self) -> str:
        """HMAC-SHA256 of the token under the app secret, as Graph wants it beside the token."""
        return _hmac(self.app_secret, self.access_token.get_secret_value().encode())

    def signature(self, body: bytes) -> str:
        """What Meta's header X-Hub-Signature-256 says of a webhook with this raw body."""
        return f"sha256={_hmac(self.app_secret, body)}"


def _hmac(secret: SecretStr, message: bytes) -> str:
    return hmac.new(secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest()
