"""The job that sends one message, at most once.

    connection → on record → post → settle

Nothing is posted before the attempt is on record (``messages.py``). A run that finds its message handed over already
does not send it again: it waits for the status webhook, and after ``UNKNOWN_LIMIT`` leaves it to a person.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import NoReturn

from sqlalchemy.exc import DBAPIError

from flowzz.clock import now
from flowzz.errors import NeedsCredentials, Permanent, Throttled
from flowzz.jobs.connection import Connection, ConnectionState
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.limits import RateLimit
from flowzz.jobs.retry import Exponential
from flowzz_whatsapp.client import CloudApi, Taken
from flowzz_whatsapp.codes import EXPLANATIONS, WINDOW_CLOSED, Class
from flowzz_whatsapp.connection import PARAMETERS_ASSUMPTION, PLUGIN, WhatsAppConnection
from flowzz_whatsapp.errors import Overrun, Refused, SenderStopped, TransientError, UnknownOutcome
from flowzz_whatsapp.messages import MessageLog, Row, correlation_of
from flowzz_whatsapp.payloads import SendMessage, SentMessage, request_body
from flowzz_whatsapp.states import State

SEND_JOB = "whatsapp.send_message"
SEND_QUEUE = "whatsapp"
SENDER_LIMIT = "whatsapp.sender"
PAIR_LIMIT = "whatsapp.pair"
SENDER_RATE = 60
"""Messages a second of one sender. Meta's own limit is 80, in and out together (20 for coexistence numbers)."""
PAIR_PERIOD = timedelta(seconds=6)
WINDOW = timedelta(hours=24)
UNKNOWN_LIMIT = timedelta(minutes=15)
"""How long a status may take to prove that a message without an answer was taken."""
LONGEST_LOOK = timedelta(seconds=60)
LONGEST_SENDER_WAIT = timedelta(seconds=60)
PAIR_WAIT_BASE = 4
MOST_PAIR_THROTTLES = 5
ACCOUNT_WAIT = timedelta(minutes=5)
LONGEST_ACCOUNT_WAIT = timedelta(minutes=60)


@job(
    SEND_JOB,
    queue=SEND_QUEUE,
    retry=Exponential(attempts=3, delay=timedelta(seconds=1)),
    timeout=timedelta(minutes=2),
    max_stalled=3,
    limits=[
        RateLimit(SENDER_LIMIT, SENDER_RATE, per=timedelta(seconds=1), by="empresa_id"),
        RateLimit(PAIR_LIMIT, 1, per=PAIR_PERIOD, by="pair"),
    ],
)
def send_message(ctx: JobContext, data: SendMessage) -> SentMessage:
    """Send one WhatsApp message, a text or a template.

    Raises Permanent when Meta refuses it for good or its outcome stays unknown, NeedsCredentials when it refuses the
    token (the message waits for a new one), ConnectionInactive when it is paused, and Throttled with the limit to hold
    when we are too fast.
    """
    connection = ctx.connection(PLUGIN)
    settings = connection.configured(WhatsAppConnection)
    if settings.check_parameters and (trouble := data.parameter_trouble()):
        raise Permanent(f"{trouble}. {PARAMETERS_ASSUMPTION}")
    return _Sending(ctx, data, connection, settings).run()


class _Sending:
    """One run of one message."""

    def __init__(
        self, ctx: JobContext, data: SendMessage, connection: Connection, settings: WhatsAppConnection
    ) -> None:
        self.ctx = ctx
        self.data = data
        self.connection = connection
        self.settings = settings
        self.log = MessageLog(ctx.store)

    def run(self) -> SentMessage:
        if self.settings.enforce_window and self.data.template_name is None:
            self._look_at_window()
        row = self.log.begin(self.ctx.job_id, self.data, self.connection, self.settings)
        if not row["is_ours"]:
            return self._remembered(row) or _known(self.ctx, row)
        correlation = correlation_of(self.ctx.job_id)
        body = request_body(self.data, str(row["template_language"]), correlation)
        try:
            taken = CloudApi(self.settings, self.connection.id).send(body)
        except UnknownOutcome as error:
            self.log.lost(row, str(error))
            self.ctx.log(f"outcome unknown: {error}")
            self.ctx.snooze(_look_again(timedelta(0)), "waiting for the status webhook to tell whether it was taken")
        except (Overrun, TransientError, Permanent) as error:
            self._not_taken(row, error)
        try:
            return self._took(row, taken)
        except DBAPIError:
            # The database cannot be told, so Redis is: the next run knows that it was taken.
            self.ctx.save_checkpoint(asdict(taken))
            raise

    def _took(self, row: Row, taken: Taken) -> SentMessage:
        return SentMessage(message_id=taken.message_id, status=self.log.took(row, taken).value)

    def _remembered(self, row: Row) -> SentMessage | None:
        """What an earlier run learnt and could not write down."""
        if row["state"] != State.UNKNOWN or self.ctx.checkpoint is None:
            return None
        return self._took(row, Taken(**self.ctx.checkpoint))

    def _look_at_window(self) -> None:
        """Only Meta knows for certain whether it is open; we know of the webhooks that reached us."""
        last = self._last_incoming()
        if last is None or now() - last >= WINDOW:
            raise Refused(
                f"{EXPLANATIONS[WINDOW_CLOSED]} ({_told(last)}; {WINDOW_CLOSED}, not even asked)", WINDOW_CLOSED
            )

    def _last_incoming(self) -> datetime | None:
        return self.log.last_incoming(self.data.empresa_id, self.settings.phone_number_id, self.data.to)

    def _not_taken(self, row: Row, error: Overrun | TransientError | Permanent) -> NoReturn:
        """It surely was not taken: say so in the log of messages, then tell the runtime what to do next."""
        said, code = str(error), error.code if isinstance(error, Refused) else None
        if code == WINDOW_CLOSED:
            said = f"{said}; {_told(self._last_incoming())}"
            error = Refused(said, WINDOW_CLOSED)
        if isinstance(error, Overrun):
            self.log.refused(row, State.WAITING, said, throttled=True)
            raise _throttled(error, row["throttles"]) from error
        # Refused credentials are no failure of the message: it waits for new ones.
        is_last = isinstance(error, Permanent) or self.ctx.attempt >= self.ctx.max_attempts
        is_last = is_last and not isinstance(error, NeedsCredentials)
        if isinstance(error, SenderStopped):
            self.ctx.store.set_connection_state(self.connection.id, ConnectionState.PAUSED, said)
        self.log.refused(row, State.FAILED if is_last else State.WAITING, said, code=code)
        raise error


def _told(last_incoming: datetime | None) -> str:
    """When the recipient last wrote, in words."""
    if last_incoming is None:
        return "our webhooks know of no message from the recipient"
    return f"the last message from the recipient that our webhooks know of came {last_incoming:%Y-%m-%d %H:%M} UTC"


def _known(ctx: JobContext, row: Row) -> SentMessage:
    """What an earlier run did, or what a status told since: the result, a failure, or a longer wait."""
    state = State(row["state"])
    if state is State.FAILED:
        raise Refused(str(row["problem"] or "Meta could not deliver it"), row["error_code"] or 0)
    if state is State.DROPPED:
        raise Permanent(f"{row['problem']}; to send it after all: flowzz whatsapp resend {row['id']}")
    if state is not State.UNKNOWN:
        return SentMessage(message_id=row["message_id"], status=state.value)
    waited = now() - row["unknown_at"]
    if waited < UNKNOWN_LIMIT:
        ctx.snooze(_look_again(waited), "waiting for the status webhook to tell whether it was taken")
    raise Permanent(
        f"nobody knows whether this message was sent: {row['problem'] or 'no answer came'}, and no status came in "
        f"{UNKNOWN_LIMIT.total_seconds() / 60:g} minutes. Look at the recipient's chat; if it is not there: "
        f"flowzz whatsapp resend {row['id']}"
    )


def _look_again(waited: timedelta) -> timedelta:
    """As long again as it has waited already: 2 s, 4 s, 8 s … 60 s."""
    return min(max(waited, timedelta(seconds=2)), LONGEST_LOOK)


def _throttled(error: Overrun, before: int) -> Throttled:
    """How long, and who else waits. ``before`` counts the throttles of this message so far.

    A pair waits 4^x seconds, as Meta advises; a sender 1 s, 2 s, 4 s … 60 s; an account what Meta says, else 5 to 60
    minutes. A wait that Meta names is never cut short.
    """
    if error.kind is Class.PAIR_THROTTLED:
        own, hold = timedelta(seconds=PAIR_WAIT_BASE ** min(before, MOST_PAIR_THROTTLES)), PAIR_LIMIT
    elif error.kind is Class.SENDER_THROTTLED:
        own, hold = min(timedelta(seconds=2 ** min(before, 10)), LONGEST_SENDER_WAIT), SENDER_LIMIT
    else:
        own, hold = min(ACCOUNT_WAIT * 2 ** min(before, 10), LONGEST_ACCOUNT_WAIT), SENDER_LIMIT
        own = own if error.asked is None else timedelta(0)
    return Throttled(max(own, error.asked or timedelta(0)), str(error), hold=hold)
