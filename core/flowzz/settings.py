"""Every setting of Flowzz. One frozen object, built once and passed down; nobody reads the environment deeper in.

Each is an environment variable: the names below in upper case, with the prefix ``FLOWZZ_`` unless it says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowzz.errors import ConfigurationError

MINIMUM_KEY_LENGTH = 32
YEAR_S = 365 * 86400.0


def _bare(name: str) -> AliasChoices:
    """A variable that is read without the prefix too, because the rest of the world calls it so."""
    return AliasChoices(f"FLOWZZ_{name}", name)


class Settings(BaseSettings):
    """Where Flowzz finds its parts and how it behaves. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="FLOWZZ_", frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(
        default=Path("data"),
        description="Folder of everything Flowzz keeps: bundled Valkey's data, SQLite, keys, logs. Made 0700.",
    )
    environment: Literal["development", "production"] = Field(
        default="development",
        description="In production a missing, default or short key refuses to start unless it lies in the home folder.",
    )

    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=_bare("REDIS_URL"),
        description="REDIS_URL: redis://, rediss:// or unix://. Wins over REDIS_HOST.",
    )
    redis_host: str | None = Field(default=None, validation_alias=_bare("REDIS_HOST"), description="REDIS_HOST.")
    redis_port: int = Field(
        default=6379, ge=1, le=65535, validation_alias=_bare("REDIS_PORT"), description="REDIS_PORT."
    )
    redis_password: SecretStr | None = Field(
        default=None, validation_alias=_bare("REDIS_PASSWORD"), description="REDIS_PASSWORD."
    )
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_bare("DATABASE_URL"),
        description="DATABASE_URL: SQLAlchemy URL, PostgreSQL or SQLite. Default: SQLite in the home folder.",
    )

    secret_key: SecretStr | None = Field(
        default=None,
        description="Signs sessions and API tokens; 32 characters or more. Default: made in the home folder.",
    )
    encryption_keys: SecretStr | None = Field(
        default=None,
        description="Fernet keys for stored credentials, newest first, separated by commas. Default: made in the home.",
    )

    port: int = Field(
        default=3000,
        ge=0,
        le=65535,
        validation_alias=_bare("PORT"),
        description="PORT: where the web answers.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the web listens on.")
    public_url: str | None = Field(
        default=None,
        description="Address under which upstreams reach us, for webhook URLs. Default: http://host:port.",
    )
    admin_email: str = Field(default="admin@flowzz.local", description="Login of the admin made on the first `up`.")
    admin_password: SecretStr | None = Field(
        default=None, description="Its password. Default: generated, printed once, never logged."
    )
    token_lifetime: float = Field(default=3600, gt=0, description="Seconds an API token is valid.")

    concurrency: int = Field(default=10, ge=1, le=1000, description="Jobs one worker runs at the same time.")
    queues: str | None = Field(default=None, description="Queues a worker serves, separated by commas. Default: all.")
    lease: float = Field(
        default=30,
        ge=1,
        description="Seconds a claimed job may go without a sign of life before another worker gets it.",
    )
    heartbeat: float = Field(default=5, gt=0, description="Seconds between signs of life; well under the lease.")
    sweep: float = Field(default=5, gt=0, description="Seconds between looks for jobs whose worker is gone.")
    shutdown_grace: float = Field(
        default=30,
        ge=0,
        description="Seconds that active jobs get to finish when Flowzz stops; then they go back.",
    )
    timeout_grace: float = Field(
        default=10,
        ge=0,
        description="Seconds past its timeout that a thread's handler may take to notice; then its worker is replaced.",
    )
    watchdog: float = Field(
        default=60,
        ge=2,  # a turn of an idle dispatcher takes a second, and is no silence
        description="Seconds a worker's step may take before it reconnects; after as long again it is replaced.",
    )
    kill_grace: float = Field(
        default=3,
        ge=0,
        description="Seconds between SIGTERM and SIGKILL of a job's own process, at its timeout or when canceled.",
    )
    keep_completed: int = Field(default=100, ge=0, description="Completed jobs kept for each queue.")
    keep_failed: int = Field(default=200, ge=0, description="Failed jobs kept for each queue.")
    keep_completed_for: float = Field(
        default=30 * 86400, gt=0, le=YEAR_S, description="Seconds a completed job is kept; default 30 days."
    )
    keep_failed_for: float = Field(
        default=YEAR_S,
        gt=0,
        le=YEAR_S,
        description="Seconds a failed or canceled job is kept; default a year, after which RQ's own tools let go too.",
    )
    keep_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="Bytes of Redis's memory that the finished jobs of one queue may take, looked at once a minute.",
    )
    max_payload_bytes: int = Field(
        default=256 * 1024, ge=1024, le=8_000_000, description="Largest payload of a job, in bytes of JSON."
    )
    health_grace: float = Field(
        default=60,
        ge=0,
        description="Seconds a job may wait on a queue without a worker before the queue is unhealthy.",
    )

    disabled_plugins: str = Field(default="", description="Plugins not to load, separated by commas.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")

    @property
    def data_folder(self) -> Path:
        return self.home.expanduser().resolve()

    @property
    def uses_bundled_redis(self) -> bool:
        """True when neither REDIS_URL nor REDIS_HOST is given."""
        return self.redis_url is None and self.redis_host is None

    @property
    def bundled_url_file(self) -> Path:
        """Where a running bundled Valkey leaves its URL (0600), password included, for the other processes."""
        return self.data_folder / "valkey" / "url"

    def resolve_redis_url(self) -> str | None:
        """The Redis to use: REDIS_URL, else REDIS_HOST and its companions, else the running bundled one."""
        if self.redis_url is not None:
            return self.redis_url.get_secret_value()
        if self.redis_host is not None:
            password = self.redis_password.get_secret_value() if self.redis_password else ""
            login = f":{quote(password, safe='')}@" if password else ""
            return f"redis://{login}{self.redis_host}:{self.redis_port}/0"
        try:
            return self.bundled_url_file.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    @property
    def web_url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Settings from the environment, with ``overrides`` on top (None means: not given).

        Raises ConfigurationError naming the variable, what was expected and what came.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            raise ConfigurationError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]).upper()
        variable = name if name in {"REDIS_URL", "DATABASE_URL"} or name.startswith("FLOWZZ_") else f"FLOWZZ_{name}"
        shown = "" if "SECRET" in name or "PASSWORD" in name or "KEY" in name else f", got {item['input']!r}"
        lines.append(f"{variable}: {item['msg']}{shown}")
    return "; ".join(lines)
