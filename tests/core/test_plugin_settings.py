"""Settings of plugins: read from the environment, refused by the variable's name, secrets untold."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from flowzz.errors import ConfigurationError
from flowzz.plugins.settings import PluginSettings


class ShopSettings(PluginSettings):
    model_config = SettingsConfigDict(env_prefix="FLOWZZ_SHOP_")

    keep_days: int = Field(default=30, ge=1)
    pin: SecretStr | None = Field(default=None, min_length=4)

    @model_validator(mode="after")
    def _is_open(self) -> ShopSettings:
        if self.keep_days == 13:
            raise ValueError("the shop is closed")
        return self


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ShopSettings.load().keep_days == 30
    monkeypatch.setenv("FLOWZZ_SHOP_KEEP_DAYS", "7")
    monkeypatch.setenv("FLOWZZ_SHOP_PIN", "0471")
    monkeypatch.setenv("FLOWZZ_SHOP_OTHER", "of a newer release")
    settings = ShopSettings.load()
    assert (settings.keep_days, settings.pin) == (7, SecretStr("0471"))
    assert "0471" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KEEP_DAYS", "soon", r"FLOWZZ_SHOP_KEEP_DAYS: .*valid integer.*, got 'soon'"),
        ("KEEP_DAYS", "0", r"FLOWZZ_SHOP_KEEP_DAYS: .*greater than or equal to 1, got '0'"),
        ("KEEP_DAYS", "13", r"FLOWZZ_SHOP_: .*the shop is closed$"),
        ("PIN", "047", r"FLOWZZ_SHOP_PIN: .*at least 4 items after validation, not 3$"),
    ],
)
def test_what_does_not_fit_is_named_and_no_secret_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"FLOWZZ_SHOP_{name}", value)
    with pytest.raises(ConfigurationError, match=said):
        ShopSettings.load()
