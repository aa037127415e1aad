"""Settings of the plugin. Each is an environment variable: the name in upper case behind ``FLOWZZ_WHATSAPP_``."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flowzz.plugins.settings import PluginSettings

LEAST_DAYS = 8
"""Meta repeats a webhook for up to 7 days when it is not taken (reference §7.7); a message hears nothing after that."""


class WhatsAppSettings(PluginSettings):
    """For how long what people wrote and were written is kept."""

    model_config = SettingsConfigDict(env_prefix="FLOWZZ_WHATSAPP_")

    keep_days: int = Field(
        default=90,
        ge=LEAST_DAYS,
        le=3660,
        description="Days after its last change that a message keeps its content, and a contact its name. Default: 90.",
    )
    keep_webhook_days: int = Field(
        default=30, ge=1, le=3660, description="Days that a webhook is kept as it came. Default: 30."
    )

    @property
    def keep(self) -> timedelta:
        return timedelta(days=self.keep_days)

    @property
    def keep_webhooks(self) -> timedelta:
        return timedelta(days=self.keep_webhook_days)
