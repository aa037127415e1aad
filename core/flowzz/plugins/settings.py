"""Settings of a plugin's own, from environment variables."""

from __future__ import annotations

from typing import Any, Self, get_args

from pydantic import SecretBytes, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowzz.errors import ConfigurationError


class PluginSettings(BaseSettings):
    """The base of a plugin's settings: a field is an environment variable, its name in upper case behind the prefix.

    A subclass says ``model_config = SettingsConfigDict(env_prefix="FLOWZZ_<PLUGIN>_")`` and gives each field a default
    and a description.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def load(cls) -> Self:
        """From the environment.

        Raises ConfigurationError naming the variable, what was expected and what came; a secret's value is not told.
        """
        try:
            return cls()
        except ValidationError as error:
            raise ConfigurationError("; ".join(cls._explained(item) for item in error.errors())) from None

    @classmethod
    def _explained(cls, item: Any) -> str:
        name = str(item["loc"][0]) if item["loc"] else ""
        field = cls.model_fields.get(name)
        is_told = field is not None and not _holds_secret(field.annotation)
        return f"{cls.model_config['env_prefix']}{name.upper()}: {item['msg']}" + (
            f", got {item['input']!r}" if is_told else ""
        )


def _holds_secret(annotation: Any) -> bool:
    return annotation in (SecretStr, SecretBytes) or any(_holds_secret(part) for part in get_args(annotation))
