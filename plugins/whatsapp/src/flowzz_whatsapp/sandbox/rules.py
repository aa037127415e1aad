"""Why the Cloud API would refuse a message, in the order in which the sandbox looks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowzz_whatsapp.numbers import BSUID, match_key
from flowzz_whatsapp.sandbox.state import SandboxState

LONGEST_TEXT = 4096
LONGEST_BODY = 1024
_TROUBLE = re.compile(r"[\n\r\t]| {5,}")
_TEMPLATE_STATES = {"PAUSED": 132015, "DISABLED": 132016}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A Graph error: its code, the HTTP status it comes with, and what Meta would say."""

    code: int
    details: str
    status: int = 400
    subcode: int | None = None
    is_transient: bool | None = None


def addressed(asked: Mapping[str, Any]) -> str:
    """Whom a message is for: ``+`` and digits however the number was written, or a user id."""
    if asked.get("to"):
        return "+" + re.sub(r"\D", "", str(asked["to"]))
    return str(asked.get("recipient"))


def refusal_of(state: SandboxState, sender: str, asked: Mapping[str, Any]) -> Refusal | None:
    """Why this message is refused at once, or None: then it counts towards the limits."""
    wrong = _shape(asked) or _recipient(state, asked)
    if wrong is None:
        wrong = _template(state, asked) if asked["type"] == "template" else _text(asked)
    number = addressed(asked)
    return wrong or _chosen(state, number, "sync") or _limits(state, sender, number) or _window(state, sender, asked)


def late_failure_of(state: SandboxState, sender: str, asked: Mapping[str, Any]) -> int | None:
    """The code with which an accepted message fails later, or None."""
    number = addressed(asked)
    chosen = _chosen(state, number, "async")
    if chosen is not None:
        return chosen.code
    closed = state.settings["window"] == "async" and asked["type"] == "text"
    return 131047 if closed and not state.window_is_open(sender, number) else None


def _shape(asked: Mapping[str, Any]) -> Refusal | None:
    if asked.get("messaging_product") != "whatsapp":
        return Refusal(100, "The parameter messaging_product is required.")
    if asked.get("type") not in ("text", "template"):
        return Refusal(131051, "Unsupported message type.")
    if not asked.get("to") and not asked.get("recipient"):
        return Refusal(131008, "The parameter to is required.")
    echoed = asked.get("biz_opaque_callback_data")
    if echoed is not None and len(str(echoed)) > 512:
        return Refusal(131009, "biz_opaque_callback_data is longer than 512.")
    return None


def _recipient(state: SandboxState, asked: Mapping[str, Any]) -> Refusal | None:
    if "recipient" in asked:
        known = BSUID.match(str(asked["recipient"]))
        return None if known else Refusal(131009, "recipient is no business-scoped user id.")
    digits = re.sub(r"[+\s()\-]", "", str(asked["to"]))
    if not re.fullmatch(r"[0-9]{6,15}", digits):
        return Refusal(131009, "to is not a phone number.")
    listed = state.settings["test_recipients"]
    if listed is not None and digits not in [number.lstrip("+") for number in listed]:
        return Refusal(131030, "Recipient phone number not in allowed list.")
    return None


def _text(asked: Mapping[str, Any]) -> Refusal | None:
    text = asked.get("text")
    body = text.get("body") if isinstance(text, Mapping) else None
    if not isinstance(body, str) or not body:
        return Refusal(131008, "text.body is required.")
    if len(body) > LONGEST_TEXT:
        return Refusal(100, f"text.body must have at most {LONGEST_TEXT} characters.")
    return None


def _template(state: SandboxState, asked: Mapping[str, Any]) -> Refusal | None:
    wanted = asked.get("template")
    if not isinstance(wanted, Mapping) or not wanted.get("name"):
        return Refusal(131008, "template.name is required.")
    language = wanted.get("language", {}).get("code")
    template = state.templates.get((str(wanted["name"]), str(language)))
    if template is None or template["status"] in ("PENDING", "REJECTED"):
        return Refusal(132001, f"template name ({wanted['name']}) does not exist in {language}", 404)
    if template["status"] in _TEMPLATE_STATES:
        return Refusal(_TEMPLATE_STATES[template["status"]], f"template is {template['status']}")
    body: Mapping[str, Any] = next((one for one in wanted.get("components", []) if one.get("type") == "body"), {})
    return _parameters(state, template, body.get("parameters", []))


def _parameters(state: SandboxState, template: Mapping[str, Any], given: list[Mapping[str, Any]]) -> Refusal | None:
    parameters = template["parameters"]
    expected = len(parameters) if isinstance(parameters, list) else parameters
    if len(given) != expected:
        return Refusal(132000, f"body: number of localizable_params ({len(given)}) does not match {expected}")
    names = [one.get("parameter_name") for one in given]
    if isinstance(parameters, list) and sorted(map(str, names)) != sorted(parameters):
        return Refusal(132012, "Parameter name is missing or empty, or is not one of the template's.")
    if not isinstance(parameters, list) and any(names):
        return Refusal(132012, "A positional template takes no parameter_name.")
    texts = [str(one.get("text", "")) for one in given]
    if sum(map(len, texts)) > LONGEST_BODY:
        return Refusal(132005, "Translated text too long.")
    if state.settings["parameter_rules"] and any(not text or _TROUBLE.search(text) for text in texts):
        return Refusal(132012, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces.")
    return None


def _chosen(state: SandboxState, number: str, when: str) -> Refusal | None:
    """What the settings say of this one recipient."""
    chosen = {match_key(key): value for key, value in state.settings["recipients"].items()}.get(match_key(number))
    if chosen is None or chosen.get("when", "async") != when:
        return None
    return Refusal(int(chosen["code"]), "chosen in the sandbox's settings")


def _limits(state: SandboxState, sender: str, number: str) -> Refusal | None:
    status = int(state.settings["throttle_status"])
    if state.over_rate(sender):
        return Refusal(130429, "Message failed to send because there were too many messages from this number.", status)
    if state.over_pair(sender, number):
        return Refusal(131056, "Too many messages sent from the sender number to the same recipient.", status)
    if state.over_users(sender, number):
        return Refusal(131064, "The business has reached its messaging limit.")
    return None


def _window(state: SandboxState, sender: str, asked: Mapping[str, Any]) -> Refusal | None:
    number = addressed(asked)
    category = state.templates.get((_name(asked), _language(asked)), {}).get("category")
    if (sender, match_key(number)) in state.stopped and category == "MARKETING":
        return Refusal(131050, "The user has stopped marketing messages from this business.")
    closed = state.settings["window"] == "sync" and asked["type"] == "text"
    if closed and not state.window_is_open(sender, number):
        return Refusal(131047, "More than 24 hours have passed since the customer last replied.")
    return None


def _name(asked: Mapping[str, Any]) -> str:
    return str(asked.get("template", {}).get("name", ""))


def _language(asked: Mapping[str, Any]) -> str:
    return str(asked.get("template", {}).get("language", {}).get("code", ""))
