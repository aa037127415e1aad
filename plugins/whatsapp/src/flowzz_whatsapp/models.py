"""The plugin's tables, all named ``whatsapp_*``. The migrations make them; this page says what they hold."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import JSON, BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

from flowzz.plugins.contributions import Migrations
from flowzz.store.columns import UtcDateTime

metadata = MetaData()
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _ROW_ID, primary_key=True, autoincrement=True)


messages = Table(
    "whatsapp_messages",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False),
    Column("phone_number_id", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    # ``correlation`` is what Meta echoes in each status; ``fingerprint`` tells a rerun from another message.
    Column("correlation", Text, nullable=False, unique=True),
    Column("fingerprint", Text, nullable=False),
    # To whom: as given, and the key under which spellings of it are the same; what Meta calls the person.
    Column("recipient", Text, nullable=False),
    Column("match_key", Text, nullable=False),
    Column("wa_id", Text),
    Column("user_id", Text),
    # What: all that is needed to send it again.
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("template_name", Text),
    Column("template_language", Text),
    Column("template_parts", JSON),
    # How far it is: ``statuses.State``.
    Column("state", Text, nullable=False),
    Column("message_id", Text),
    Column("error_code", Integer),
    Column("problem", Text),
    Column("attempts", Integer, nullable=False),
    Column("throttles", Integer, nullable=False),
    Column("resend_of", _ROW_ID),
    # The job that sends it again, where its id is not made of the correlation: rows of before it was.
    Column("resend_job", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("requested_at", UtcDateTime),
    Column("unknown_at", UtcDateTime),
    Column("accepted_at", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("read_at", UtcDateTime),
    Column("failed_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    # Since when whom and what are blank, and no status counts any more; see ``retention``.
    Column("content_deleted_at", UtcDateTime),
)
"""One row a message, which is one a job. ``template_parts`` holds params, header and buttons."""

CONTENT = ("recipient", "match_key", "body", "template_parts")
"""Columns of a message that are blank once its content was deleted; a run that sends it after all writes them anew."""

statuses = Table(
    "whatsapp_statuses",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("phone_number_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("participant", Text, nullable=False),
    Column("correlation", Text),
    Column("wa_id", Text),
    Column("user_id", Text),
    Column("error_code", Integer),
    Column("problem", Text),
    Column("arrived_at", UtcDateTime, nullable=False),
    # Null while no message of ours is known under its wamid or correlation.
    Column("message_row", _ROW_ID),
    UniqueConstraint(
        "company_id", "message_id", "status", "happened_at", "participant", name="uq_whatsapp_statuses_once"
    ),
)
"""What Meta said of messages, each thing once. A message's state is a function of its rows here."""

contacts = Table(
    "whatsapp_contacts",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    Column("phone_number_id", Text, nullable=False),
    # The match key of the phone, or the BSUID of who hides it.
    Column("contact_key", Text, nullable=False),
    Column("wa_id", Text),
    Column("user_id", Text),
    Column("name", Text),
    Column("last_incoming_at", UtcDateTime, nullable=False),
    UniqueConstraint("company_id", "phone_number_id", "contact_key", name="uq_whatsapp_contacts_key"),
)
"""Who wrote to which sender, and when last: that opens the 24-hour window."""

events = Table(
    "whatsapp_events",
    metadata,
    _id(),
    Column("event_id", Text, nullable=False, unique=True),
    Column("company_id", Text, nullable=False),
    Column("connection_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("arrived_at", UtcDateTime, nullable=False),
    Column("processed_at", UtcDateTime),
    Column("statuses", Integer),
    Column("incoming", Integer),
    Column("problem", Text),
)
"""Every webhook as it came, under the connection whose address it came to; it may speak of other senders of the app."""

account_news = Table(
    "whatsapp_account_news",
    metadata,
    _id(),
    Column("company_id", Text, nullable=False),
    # Meta's ids: of the business account, and of the kind of news (``field`` of a change).
    Column("waba_id", Text, nullable=False),
    Column("field", Text, nullable=False),
    # The template or number it is about, what is so now and was before, and why; each as Meta words it.
    Column("subject", Text),
    Column("told", Text),
    Column("before", Text),
    Column("reason", Text),
    Column("happened_at", UtcDateTime, nullable=False),
    # The same for a repeat.
    Column("digest", Text, nullable=False),
    UniqueConstraint("company_id", "digest", name="uq_whatsapp_account_news_once"),
)
"""What Meta told of templates, numbers and the account itself, each thing once."""

user_phones = Table(
    "whatsapp_user_phones",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("phone", Text, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)
"""Where a user of Flowzz may be told things by WhatsApp."""

MIGRATIONS = Migrations(plugin="whatsapp", folder=Path(__file__).parent / "migrations")
