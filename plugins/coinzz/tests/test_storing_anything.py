"""No webhook may poison the log: whatever JSON comes, both databases store it and the next one is not held up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowzz_coinzz.sandbox.payloads import affiliation_document, order_document, subscription_document
from flowzz_coinzz.sandbox.state import SandboxState
from flowzz_coinzz.webhooks import ProcessWebhook, process_webhook

ORDER = order_document(SandboxState().add({}))
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(alphabet=st.characters(), max_size=300)
    | st.sampled_from(["\x00", "\ud800", "9" * 400, "1e400", "0001-01-01", "9999-12-31 23:59:59", "x" * 5000])
    | st.lists(st.text(max_size=3), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2)
)


def changed(document: Any) -> Any:
    """``document`` with some of its values, in any of its blocks, replaced by anything."""
    places = [(block, key) for block, inner in document.items() if isinstance(inner, dict) for key in inner]
    places += [("", key) for key, inner in document.items() if not isinstance(inner, dict)]

    def put(replacements: dict[Any, Any]) -> Any:
        copy = json.loads(json.dumps(document))
        for (block, key), value in replacements.items():
            (copy[block] if block else copy)[key] = value
        return copy

    return st.dictionaries(st.sampled_from(places), VALUES, max_size=6).map(put)


DOCUMENTS = changed(ORDER) | changed(affiliation_document()) | changed(subscription_document(SandboxState().add({})))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS)
def test_anything_is_stored_or_has_its_problem_on_record(each_offline: Any, document: Any) -> None:
    event_id = each_offline.receive(json.dumps(document).encode()).body["eventId"]

    taken = process_webhook(each_offline.context(), ProcessWebhook(empresa_id=each_offline.id, event_id=event_id))

    assert taken.effect or taken.problem


@pytest.mark.parametrize("key", ["affiliate_email", "product_name"])
def test_a_key_too_long_for_an_index_is_a_problem(each_offline: Any, key: str) -> None:
    document = {**affiliation_document(), key: "x" * 100_000}
    event_id = each_offline.receive(json.dumps(document).encode()).body["eventId"]

    taken = process_webhook(each_offline.context(), ProcessWebhook(empresa_id=each_offline.id, event_id=event_id))

    assert (taken.effect, taken.problem) == (None, f"{key}: longer than 191 characters")
