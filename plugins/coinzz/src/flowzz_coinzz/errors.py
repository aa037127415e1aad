"""What a call to Coinzz may end in, beyond the signals that Flowzz itself defines.

    flowzz.errors.FlowzzError
    ├── TransientError              try again by the job's policy: the call never arrived, or the server stumbled
    └── flowzz.errors.Permanent
        ├── Refused                     Coinzz understood and said no (404, 422, ``success: false``)
        ├── WrongEndpoint               a redirect or a web page came where JSON was expected
        ├── ProtocolError               JSON came, but not of the shape we know
        └── UnknownOutcome              a sale was sent and nobody knows whether it was made: never send it again

``flowzz.errors.Throttled`` (429) and ``flowzz.errors.NeedsCredentials`` (401, 403) are raised as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from flowzz.errors import FlowzzError, Permanent


class TransientError(FlowzzError):
    """Coinzz could not be reached or stumbled; the same call may work in a moment."""


class Refused(Permanent):
    """Coinzz refused the request; sending the same again cannot help.

    ``fields`` maps a field's name to what Coinzz said about it; empty when it named none.
    """

    def __init__(self, message: str, fields: Mapping[str, list[str]] | None = None) -> None:
        self.fields = dict(fields or {})
        super().__init__(message)


class WrongEndpoint(Permanent):
    """A redirect or a web page came instead of JSON: the base URL, the path or the token is wrong."""


class ProtocolError(Permanent):
    """Coinzz answered with JSON of a shape we do not know."""


class UnknownOutcome(Permanent):
    """The sale was sent but its outcome is unknown; wait for its webhook, or ask a person. Never send it again."""
