"""Credentials at rest: encrypted, bound to the connection they belong to, and opened only when somebody looks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cryptography.fernet import InvalidToken, MultiFernet
from pydantic import SecretStr

from flowzz import logs
from flowzz.errors import ConfigurationError


def seal(cipher: MultiFernet, connection_id: str, secrets: Mapping[str, SecretStr]) -> str:
    """``secrets`` as one Fernet token that names its connection, so that it means nothing in another row."""
    document = {
        "connection": connection_id,
        "secrets": {name: value.get_secret_value() for name, value in secrets.items()},
    }
    return cipher.encrypt(json.dumps(document).encode()).decode("ascii")


def unseal(cipher: MultiFernet, connection_id: str, token: str) -> dict[str, SecretStr]:
    """What ``seal`` took.

    Raises ConfigurationError, naming the connection and nothing of its content, when no key fits, the token was
    altered, or it was sealed for another connection.
    """
    try:
        document = json.loads(cipher.decrypt(token.encode()))
    except (InvalidToken, ValueError):
        raise ConfigurationError(
            f"the credentials of connection {connection_id} cannot be decrypted: FLOWZZ_ENCRYPTION_KEYS (or "
            "encryption.keys in the home folder) lacks the key they were stored under, or they were altered; "
            "put that key back, or store the credentials anew"
        ) from None
    if document.get("connection") != connection_id:
        raise ConfigurationError(
            f"the credentials of connection {connection_id} were sealed for another connection; store them anew"
        )
    return {name: SecretStr(value) for name, value in document["secrets"].items()}


class SealedSecrets(Mapping[str, SecretStr]):
    """A connection's secrets, decrypted at the first look.

    So a list of connections costs no decryption, and one that cannot be decrypted fails alone: the first look
    raises ConfigurationError, as ``unseal`` says.
    """

    __slots__ = ("_cipher", "_connection_id", "_opened", "_token")

    def __init__(self, cipher: MultiFernet, connection_id: str, token: str) -> None:
        self._cipher = cipher
        self._connection_id = connection_id
        self._token = token
        self._opened: dict[str, SecretStr] | None = None

    def _open(self) -> dict[str, SecretStr]:
        if self._opened is None:
            self._opened = unseal(self._cipher, self._connection_id, self._token)
        # At each look: a handler may keep the connection for its next run.
        logs.note_secrets(self._opened.values())
        return self._opened

    def __getitem__(self, name: str) -> SecretStr:
        return self._open()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open())

    def __len__(self) -> int:
        return len(self._open())

    def __eq__(self, other: object) -> bool:
        """Needs no decryption for what is sealed alike."""
        if isinstance(other, SealedSecrets) and other._token == self._token:
            return True
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<sealed secrets of {self._connection_id}>"
