"""The two keys of an installation: one signs sessions and API tokens, the other encrypts stored credentials.

Each comes from the environment (``FLOWZZ_SECRET_KEY``, ``FLOWZZ_ENCRYPTION_KEYS``) or, when that is not set, from a
file under ``<home>/keys`` that is made on first use. To rotate the encryption key put a new one in front (of the
variable, or as first line of ``encryption.keys``), restart, and call ``Store.reencrypt``; then drop the old one.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr

from flowzz.errors import ConfigurationError
from flowzz.settings import MINIMUM_KEY_LENGTH, Settings
from flowzz.store.private_files import FILE_MODE, exclusive, private_folder, write_once

FERNET_KEY_BYTES = 32
FEWEST_DIFFERENT = 8
WELL_KNOWN = re.compile(
    r"change[-_ ]?(me|this|it)?|replace|insecure|default|example|secret|password|passwd|development|dev|test|"
    r"django|flask|flowzz|your|key|admin|qwerty|letmein|placeholder|production|please|in",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Keys:
    """``signing_key`` signs web sessions and API tokens; ``cipher`` encrypts with its newest key, reads with all."""

    signing_key: SecretStr
    cipher: MultiFernet = field(repr=False)


def load_keys(settings: Settings) -> Keys:
    """The keys of this installation, made on first use; every process of one home gets the same.

    Raises ConfigurationError, naming the variable or file and never its value, when

    - FLOWZZ_SECRET_KEY is shorter than 32 characters or a well-known default, outside development;
    - FLOWZZ_ENCRYPTION_KEYS holds something that is not a Fernet key (anywhere), or an obvious one outside
      development;
    - a key file is damaged, or others than its owner may read it.
    """
    return Keys(_signing_key(settings), MultiFernet([Fernet(key) for key in _encryption_keys(settings)]))


def _signing_key(settings: Settings) -> SecretStr:
    if settings.secret_key is None:
        path = settings.data_folder / "keys" / "signing.key"
        text = _kept(path, lambda: secrets.token_urlsafe(48)).strip()
        if len(text) < MINIMUM_KEY_LENGTH:
            raise ConfigurationError(f"{path}: expected {MINIMUM_KEY_LENGTH} characters or more, got {len(text)}")
        return SecretStr(text)
    weakness = _weakness(settings.secret_key.get_secret_value().strip())
    if weakness and settings.environment != "development":
        raise ConfigurationError(
            f"FLOWZZ_SECRET_KEY: {weakness}; unset it to have one made in the home folder, or set the output of: "
            "python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return settings.secret_key


def _encryption_keys(settings: Settings) -> list[str]:
    if settings.encryption_keys is not None:
        origin, text = "FLOWZZ_ENCRYPTION_KEYS", settings.encryption_keys.get_secret_value()
    else:
        path = settings.data_folder / "keys" / "encryption.keys"
        origin, text = str(path), _kept(path, lambda: Fernet.generate_key().decode())
    keys = re.split(r"[\s,]+", text.strip(" \t\r\n,"))
    for position, key in enumerate(keys, 1):
        problem = _fernet_problem(key, development=settings.environment == "development")
        if problem:
            raise ConfigurationError(
                f"{origin}: key {position} of {len(keys)} {problem}; make one with: python -c "
                "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
            )
    return keys


def _fernet_problem(key: str, *, development: bool) -> str | None:
    try:
        raw = base64.urlsafe_b64decode(key.encode("ascii"))
        Fernet(key)
    except (ValueError, UnicodeError):
        return "is not a Fernet key (32 bytes in URL-safe base64)"
    if not development and len(set(raw)) < FEWEST_DIFFERENT:
        return "is a repeated pattern, not a random key"
    return None


def _weakness(key: str) -> str | None:
    """Why ``key`` is no secret, or None."""
    if len(key) < MINIMUM_KEY_LENGTH:
        return f"expected {MINIMUM_KEY_LENGTH} characters or more, got {len(key)}"
    if len(set(key)) < FEWEST_DIFFERENT or _repeats(key) or _counts_up(key):
        return "it is a repeated or counted pattern, not a random key"
    remainder = re.sub(r"[\W_]", "", WELL_KNOWN.sub("", key))
    if len(remainder) < MINIMUM_KEY_LENGTH // 2:
        return "it is a well-known default, not a random key"
    return None


def _repeats(key: str) -> bool:
    return any(
        all(letter == key[at % period] for at, letter in enumerate(key)) for period in range(1, len(key) // 2 + 1)
    )


def _counts_up(key: str) -> bool:
    steps = [ord(after) - ord(before) for before, after in pairwise(key)]
    return sum(step in (1, -1) for step in steps) > len(steps) / 2


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The text of a key file; made first when missing, by exactly one of the processes that start together."""
    try:
        private_folder(path.parent)
        with exclusive(path.parent / ".lock"):
            if not path.exists():
                write_once(path, make() + "\n")
        mode = path.stat().st_mode & 0o777
        text = path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
        raise ConfigurationError(f"the key file {path} cannot be used: {reason}") from None
    if mode & ~FILE_MODE & 0o077:
        raise ConfigurationError(f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path}")
    return text
