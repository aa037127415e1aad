"""What a call to the Graph API may end in, beyond the signals that Flowzz itself defines.

    flowzz.errors.FlowzzError
    ├── TransientError              by the job's policy: it never arrived, Meta stumbled, or said that it passes
    ├── TooMuchData                 ask for less: a smaller page, a shorter range, or a report
    └── flowzz.errors.Permanent
        ├── Refused                     Meta understood and said no; the same again cannot help
        │   └── ObjectMissing               ... 100/33: not there, not visible to this token, or not replicated yet
        ├── AccountRefused              the token lives, but may not read this ad account; others go on
        ├── TokenRefused                code 190 and its kin; becomes NeedsCredentials once the token proves dead
        ├── PagingLoop                  a listing gave the same cursor twice, or never ended
        └── WrongEndpoint               no Graph API answered: a web page or a redirect came

``flowzz.errors.Throttled`` and ``flowzz.errors.NeedsCredentials`` are raised as they are.
"""

from __future__ import annotations

from flowzz.errors import FlowzzError, Permanent


class TransientError(FlowzzError):
    """Meta could not be reached or stumbled; the same call may work in a moment."""


class TooMuchData(FlowzzError):
    """Meta asks to reduce the amount of data of one call."""


class Refused(Permanent):
    """Meta refused the request; sending the same again cannot help. ``code`` is the Graph API's."""

    def __init__(self, message: str, code: int = 0) -> None:
        self.code = code
        super().__init__(message)


class ObjectMissing(Refused):
    """The object does not exist, or this token may not see it."""


class AccountRefused(Permanent):
    """The token may not read this ad account; give its owner access, or take the account out of the connection."""


class TokenRefused(Permanent):
    """Meta refused the access token."""


class WrongEndpoint(Permanent):
    """A web page or a redirect came instead of the Graph API: the base URL or the version is wrong."""


class PagingLoop(Permanent):
    """A listing of Meta's went round in circles."""
