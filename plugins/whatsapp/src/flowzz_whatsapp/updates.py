"""What a webhook says, read without trusting its shape (reference §7.3 to §7.6).

One POST may carry several entries, changes, statuses and messages, for several senders. What cannot be read is named
and left out; the rest counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flowzz_whatsapp.codes import GraphError

LONGEST_ID = 512
MOST_PROBLEMS = 20
NEWS = ("message_template_", "template_", "phone_number_", "account_", "business_")
"""How fields begin that speak of templates, numbers and the account; others may hold what people wrote."""
_NEWS_WORDS = {
    "subject": ("message_template_name", "display_phone_number", "phone_number"),
    "told": ("event", "new_quality_score", "new_category", "decision", "alert_type"),
    "before": ("previous_quality_score", "previous_category", "old_limit"),
    "reason": (
        "reason",
        "rejection_reason",
        "current_limit",
        "violation_info.violation_type",
        "ban_info.waba_ban_state",
        "alert_description",
    ),
}
"""Where Meta says it. ASSUMPTION but for ``event``, ``reason`` and the template's name (reference §7.6)."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What happened to one message. ``participant`` is set for groups, where each member has a status."""

    phone_number_id: str
    message_id: str
    status: str
    happened_at: datetime
    participant: str = ""
    correlation: str | None = None
    wa_id: str | None = None
    user_id: str | None = None
    error_code: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """Somebody wrote to us; ``wa_id`` is missing for who hides the phone."""

    phone_number_id: str
    happened_at: datetime
    wa_id: str | None
    user_id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class AccountNews:
    """What happened to a template, a number or the account, in Meta's words; ``digest`` is the same for a repeat."""

    waba_id: str
    field: str
    digest: str
    happened_at: datetime | None
    subject: str | None
    told: str | None
    before: str | None
    reason: str | None


@dataclass(slots=True)
class Updates:
    """Everything of one POST."""

    statuses: list[StatusUpdate] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    news: list[AccountNews] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def phone_number_ids(self) -> set[str]:
        return {one.phone_number_id for one in self.statuses} | {one.phone_number_id for one in self.incoming}

    @property
    def waba_ids(self) -> set[str]:
        return {one.waba_id for one in self.news}

    @property
    def problem(self) -> str | None:
        """All problems on one line; the first so many of them."""
        more = len(self.problems) - MOST_PROBLEMS
        told = [*self.problems[:MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
        return "; ".join(told) or None


def read_updates(body: bytes) -> Updates:
    """The updates of a webhook's raw body. Raises ValueError when it is no JSON object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is no JSON") from None
    if not isinstance(document, Mapping):
        raise ValueError(f"expected a JSON object, got {type(document).__name__}")
    found = Updates()
    for entry in _maps(document, "entry"):
        for change in _maps(entry, "changes"):
            kind = _text(change.get("field")) or ""
            if kind == "messages":
                _read_value(_map(change, "value"), found)
            elif kind.startswith(NEWS):
                _read_news(entry, kind, _map(change, "value"), found)
    return found


def _read_news(entry: Mapping[str, Any], kind: str, value: Mapping[str, Any], found: Updates) -> None:
    waba_id = _text(entry.get("id"))
    if waba_id is None:
        found.problems.append(f"a {kind} without the id of its account")
        return
    words = {name: _first(value, *keys) for name, keys in _NEWS_WORDS.items()}
    if words["subject"] and (language := _text(value.get("message_template_language"))):
        words["subject"] = f"{words['subject']} ({language})"
    if words["reason"] == "NONE":
        words["reason"] = None
    said = json.dumps([waba_id, kind, entry.get("time"), value], sort_keys=True)
    digest = hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
    found.news.append(AccountNews(waba_id, kind, digest, moment_of(entry.get("time")), **words))


def _first(value: Mapping[str, Any], *keys: str) -> str | None:
    """The first text under these keys; ``a.b`` is ``b`` in the object ``a``."""
    for key in keys:
        outer, _, inner = key.rpartition(".")
        if text := _text((_map(value, outer) if outer else value).get(inner)):
            return text
    return None


def _read_value(value: Mapping[str, Any], found: Updates) -> None:
    sender = _text(_map(value, "metadata").get("phone_number_id"))
    if sender is None:
        found.problems.append("a change names no phone_number_id")
        return
    for error in _maps(value, "errors"):
        read = GraphError.of(error)
        found.problems.append(f"Meta reports: {read.told if read else 'an error without a code'}")
    for status in _maps(value, "statuses"):
        _read_status(sender, status, found)
    contacts = list(_maps(value, "contacts"))
    for message in _maps(value, "messages"):
        _read_incoming(sender, message, contacts, found)


def _read_status(sender: str, status: Mapping[str, Any], found: Updates) -> None:
    message_id, word, moment = _text(status.get("id")), _text(status.get("status")), moment_of(status.get("timestamp"))
    if message_id is None or word is None or moment is None:
        found.problems.append("a status without id, status or timestamp")
        return
    error = next((GraphError.of(error) for error in _maps(status, "errors")), None)
    found.statuses.append(
        StatusUpdate(
            phone_number_id=sender,
            message_id=message_id,
            status=word,
            happened_at=moment,
            participant=_text(status.get("recipient_participant_id"))
            or _text(status.get("recipient_participant_user_id"))
            or "",
            correlation=_text(status.get("biz_opaque_callback_data")),
            wa_id=_text(status.get("recipient_id")),
            user_id=_text(status.get("recipient_user_id")),
            error_code=error.code if error else None,
            problem=error.told if error else None,
        )
    )


def _read_incoming(sender: str, message: Mapping[str, Any], contacts: list[Mapping[str, Any]], found: Updates) -> None:
    wa_id, user_id = _text(message.get("from")), _text(message.get("from_user_id"))
    moment = moment_of(message.get("timestamp"))
    contact = next((one for one in contacts if wa_id and _text(one.get("wa_id")) == wa_id), None)
    contact = contact or (contacts[0] if len(contacts) == 1 else {})
    user_id = user_id or _text(contact.get("user_id"))
    if moment is None or (wa_id is None and user_id is None):
        found.problems.append("a message without sender or timestamp")
        return
    found.incoming.append(Incoming(sender, moment, wa_id, user_id, _text(_map(contact, "profile").get("name"))))


def _maps(source: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    listed = source.get(name)
    return (one for one in listed if isinstance(one, Mapping)) if isinstance(listed, list) else iter(())


def _map(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = source.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str | None:
    """A text or number as text; None for anything else, nothing, or what no database takes."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    storable = "\x00" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)
    return text if 0 < len(text) <= LONGEST_ID and storable else None


def moment_of(value: Any) -> datetime | None:
    """Unix seconds, as text or number."""
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
