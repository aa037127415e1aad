"""API tokens: short-lived JSON Web Tokens (RFC 7519), one algorithm, one issuer, one audience."""

from __future__ import annotations

import uuid
from datetime import timedelta

import jwt
from pydantic import SecretStr

from flowzz.clock import now
from flowzz.store import User
from flowzz_web.keys import derive

ALGORITHM = "HS256"
ISSUER = "flowzz"
AUDIENCE = "flowzz-api"
CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "role")
CLOCK_SKEW = timedelta(seconds=5)


class InvalidToken(Exception):
    """The token is malformed, forged, expired or meant for somebody else; the message says which."""


class Tokens:
    """Issues and reads tokens. The role inside is for the client to look at: access asks the database."""

    def __init__(self, signing_key: SecretStr, lifetime: timedelta) -> None:
        self._key = derive(signing_key, "api token")
        self.lifetime = lifetime

    def issue(self, user: User) -> str:
        at = now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user.id,
            "iat": at,
            "nbf": at,
            "exp": at + self.lifetime,
            "jti": uuid.uuid4().hex,
            "role": user.role.wire,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def user_id(self, token: str) -> str:
        """The id of the user the token was issued to; InvalidToken when it does not count."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=CLOCK_SKEW,
                options={"require": list(CLAIMS)},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("the token has expired; sign in again") from None
        except jwt.InvalidTokenError:
            raise InvalidToken("the token is not valid here") from None
        return str(claims["sub"])
