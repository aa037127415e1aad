"""What a company gives to be connected to Coinzz."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, field_validator

ASSUMPTION = (
    "ASSUMPTION: no endpoint that lists sales is documented or was ever seen to work at Coinzz; "
    "switch it on only where Coinzz has confirmed one to you (or for the sandbox)."
)

_URL = TypeAdapter(HttpUrl)


class CoinzzConnection(BaseModel):
    """One producer's account: a token, and how we may use it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_token: SecretStr = Field(
        title="API token", description="From the panel: Configurações → API → Token. One token is one producer account."
    )
    base_url: str = Field(
        default="https://app.coinzz.com.br/api", title="Base URL", description="Where the API answers."
    )
    pull_enabled: bool = Field(
        default=False, title="Pull sales hourly", description=f"Ask Coinzz for sales beside its webhooks. {ASSUMPTION}"
    )
    pull_path: str = Field(
        default="sales", title="Pull path", description=f"Path under the base URL that lists sales. {ASSUMPTION}"
    )
    per_page: int = Field(default=100, ge=1, le=500, title="Rows a page", description="Rows asked for with each page.")
    rate: float = Field(
        default=1,
        gt=0,
        le=10_000,
        title="Calls a second",
        description="Most calls a second. Coinzz publishes no limit.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        _URL.validate_python(value)
        return value.rstrip("/")

    @field_validator("pull_path")
    @classmethod
    def _is_relative(cls, value: str) -> str:
        path = value.strip("/")
        if not path or "://" in path or "?" in path or ".." in path:
            raise ValueError("expected a path such as sales, relative to the base URL")
        return path

    @field_validator("api_token")
    @classmethod
    def _is_one_line(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ValueError("expected a token of plain letters and digits, such as 12|AbC…")
        return SecretStr(token)

    @property
    def pause(self) -> timedelta:
        """The least time between two calls."""
        return timedelta(seconds=1 / self.rate)
