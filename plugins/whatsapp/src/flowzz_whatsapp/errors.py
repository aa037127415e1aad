"""What a call to the Cloud API may end in, beyond the signals that Flowzz itself defines.

    flowzz.errors.FlowzzError
    ├── TransientError              try again by the job's policy: nothing was sent, or Meta said that it stumbled
    ├── Overrun                     too fast: which limit to hold, and for how long where Meta says so
    ├── UnknownOutcome              the message left us and nobody knows whether it was taken: never blindly sent again
    └── flowzz.errors.Permanent
        ├── Refused                     Meta understood and said no; carries the code
        │   └── SenderStopped               ... to everything this sender sends, until the business acts
        └── WrongEndpoint               a redirect, a web page or JSON of another shape came

``flowzz.errors.NeedsCredentials`` is raised as it is.
"""

from __future__ import annotations

from datetime import timedelta

from flowzz.errors import FlowzzError, Permanent
from flowzz_whatsapp.codes import Class


class TransientError(FlowzzError):
    """The Cloud API could not be reached or stumbled, and surely sent nothing; the same call may work in a moment."""


class Overrun(FlowzzError):
    """Meta refused because we are too fast; nothing was sent. ``asked`` is the wait it names, None without one."""

    def __init__(self, message: str, kind: Class, asked: timedelta | None) -> None:
        self.kind = kind
        self.asked = asked
        super().__init__(message)


class UnknownOutcome(FlowzzError):
    """The message was handed over and no answer came that could be read; only its status webhook can tell."""


class Refused(Permanent):
    """Meta refused; sending the same again cannot help. ``code`` is Meta's, 0 when it gave none."""

    def __init__(self, message: str, code: int = 0) -> None:
        self.code = code
        super().__init__(message)


class SenderStopped(Refused):
    """Meta stopped the sender as a whole (quality, spam, policy): a person has to look before it goes on."""


class WrongEndpoint(Permanent):
    """A redirect, a web page or an unknown shape came: base URL, API version or phone number id is wrong."""
