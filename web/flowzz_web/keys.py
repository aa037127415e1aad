"""One signing key, a different key for each purpose: what signs a session can never pass as an API token."""

from __future__ import annotations

import hashlib
import hmac

from pydantic import SecretStr


def derive(signing_key: SecretStr, purpose: str) -> bytes:
    """32 bytes for ``purpose``: HMAC-SHA256 of the purpose under the installation's signing key."""
    return hmac.new(signing_key.get_secret_value().encode(), f"flowzz {purpose}".encode(), hashlib.sha256).digest()
