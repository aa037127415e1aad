"""What becomes of a message that was taken: its statuses, when they come, and in which form."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from flowzz_whatsapp.codes import EXPLANATIONS
from flowzz_whatsapp.numbers import BSUID, match_key
from flowzz_whatsapp.sandbox.rules import addressed, late_failure_of
from flowzz_whatsapp.sandbox.sender import Sender, Update
from flowzz_whatsapp.sandbox.state import Document, SandboxState

HELD_DELAY_S = 0.2


class Life:
    """Leads messages through their statuses."""

    def __init__(self, state: SandboxState, sender: Sender) -> None:
        self._state = state
        self._sender = sender
        self._chance = random.Random(11)  # noqa: S311 - delays, the same each time

    def take(self, sender: str, asked: Mapping[str, Any]) -> Document:
        """Accept a message; its record, with ``wamid`` and ``answer``. Its statuses are on their way afterwards."""
        number = addressed(asked)
        message = self._state.take(
            {
                "sender": sender,
                "to": number,
                "type": asked["type"],
                "text": asked.get("text", {}).get("body"),
                "template": asked.get("template"),
                "correlation": asked.get("biz_opaque_callback_data"),
                **self._identity(number),
            }
        )
        words = self._words(sender, asked)
        strike = self._state.faults.strike
        message["message_status"] = "accepted"
        for fault in ("held", "held_then_failed"):
            if strike(fault) is not None:
                message["message_status"] = "held_for_quality_assessment"
                words = words if fault == "held" else [("failed", 132015)]
        if strike("paused") is not None:
            message["message_status"] = "paused"
        self._tell(message, words)
        return message

    def _identity(self, number: str) -> Document:
        """What Meta calls the person: a wa_id, without the ninth digit in some areas, unless the phone is hidden."""
        user_id = f"BR.{match_key(number)}" if not BSUID.match(number) else number
        hidden = match_key(number) in {match_key(one) for one in self._state.settings["username_users"]}
        if hidden or BSUID.match(number):
            return {"wa_id": None, "user_id": user_id}
        digits = number.lstrip("+")
        short = digits.startswith("55") and digits[2:4] in self._state.settings["short_area_codes"]
        return {"wa_id": match_key(number) if short else digits, "user_id": user_id}

    def _words(self, sender: str, asked: Mapping[str, Any]) -> list[tuple[str, int | None]]:
        """The statuses to come, as (word, error code)."""
        strike = self._state.faults.strike
        failure = strike("async_failure")
        code = int(failure.get("code", 131026)) if failure is not None else late_failure_of(self._state, sender, asked)
        if code is not None:
            return [("failed", code)]
        if strike("delivered_after_failed") is not None:
            return [("failed", 131026), ("delivered", None)]
        words = list(self._state.settings["statuses"])
        if strike("skip_delivered") is not None:
            words = [word for word in words if word != "delivered"]
        return [(word, None) for word in words]

    def _tell(self, message: Document, words: list[tuple[str, int | None]]) -> None:
        strike = self._state.faults.strike
        if strike("no_statuses") is not None:
            return
        echoed = strike("no_echo") is None
        updates = [self.status(message, word, code, place, echoed=echoed) for place, (word, code) in enumerate(words)]
        if strike("status_before_answer") is not None:
            self._sender.deliver(updates)
            return
        late = strike("late") is not None
        delay = HELD_DELAY_S if message["message_status"] != "accepted" else 0.0
        for update in updates:
            delay += self._chance.uniform(*self._state.settings["status_delay"])
            if late:
                self._sender.hold(update)
            else:
                self._sender.later(update, delay)

    def status(
        self, message: Document, word: str, code: int | None = None, place: int = 0, *, echoed: bool = True
    ) -> Update:
        """One status of a message, ``place`` seconds after it was taken by its timestamp."""
        document: Document = {
            "id": message["wamid"],
            "status": word,
            "timestamp": str(int(message["taken_at"].timestamp()) + place),
            "recipient_user_id": message["user_id"],
        }
        if message["wa_id"]:
            document["recipient_id"] = message["wa_id"]
        if echoed and message["correlation"]:
            document["biz_opaque_callback_data"] = message["correlation"]
        if word in ("sent", "delivered"):
            document["pricing"] = {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"}
        if code is not None:
            title = EXPLANATIONS.get(code, "Something went wrong")
            error = {"code": code, "title": title, "message": title, "error_data": {"details": title}}
            document["errors"] = [{**error, "href": "https://developers.facebook.com/docs/whatsapp"}]
        contact = {"wa_id": message["wa_id"], "user_id": message["user_id"]}
        return Update(sender=message["sender"], kind="statuses", document=document, contact=contact)

    def incoming(self, sender: str, number: str, kind: str, text: str) -> Update:
        """A message from ``number``: it opens the window, and a ``stop`` ends marketing."""
        at = self._state.heard(sender, number)
        if kind == "stop":
            with self._state.lock:
                self._state.stopped.add((sender, match_key(number)))
        person = self._identity(number)
        message: Document = {
            "id": f"wamid.INCOMING{at.timestamp():.6f}",
            "timestamp": str(int(at.timestamp())),
            "from_user_id": person["user_id"],
            "type": "button" if kind == "button" else "text",
        }
        if person["wa_id"]:
            message["from"] = person["wa_id"]
        message |= {"button": {"payload": text, "text": text}} if kind == "button" else {"text": {"body": text}}
        contact = {"profile": {"name": "Ana Exemplo"}, "user_id": person["user_id"]}
        contact |= {"wa_id": person["wa_id"]} if person["wa_id"] else {}
        return Update(sender=sender, kind="messages", document=message, contact=contact)
