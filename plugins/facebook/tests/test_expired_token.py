"""A token expires in the middle of a sync: who notices, who waits, and that nothing is asked for twice afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import SecretStr

from flowzz.app import Flowzz
from flowzz.jobs.connection import ConnectionState
from flowzz.jobs.state import JobState
from flowzz.plugins.host import PluginHost
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_facebook.models import MIGRATIONS
from flowzz_facebook.plugin import plugin
from flowzz_facebook.sandbox.demo import FIRST_ACCOUNT
from flowzz_facebook.sandbox.state import APP_SECRET, TOKEN
from flowzz_web import create_app
from support.processes import flowzz as command
from support.visiting import HTML, PASSWORD, post, sign_in, states_of_connections
from support.waiting import eventually

from .test_crash import SMALL_PAGES, worker
from .test_end_to_end import WITHIN

EN = {"Accept-Language": "en", **HTML}
CALLS_BEFORE = 12
ALONE = {"FLOWZZ_DISABLED_PLUGINS": "coinzz,report,whatsapp"}
EDGES = ("campaigns", "adsets", "ads")


def pages(requests: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Endpoint and query, with its cursor, of each page of the account's structure that was asked for."""
    return [(one["endpoint"], str(sorted(one["query"].items()))) for one in requests if one["endpoint"] in EDGES]


def test_a_token_that_expires_stops_one_company_until_new_credentials_come_by_the_admin(
    settings: Settings, redis_url: str, upstream: Any, connected: Callable[..., Any]
) -> None:
    with Flowzz.open(settings, plugins=PluginHost.of([plugin])) as flowzz, worker(settings, redis_url):
        flowzz.store.migrate([MIGRATIONS])
        flowzz.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
        upstream.seed(campaigns=4, ad_sets=2, ads=6)
        stopped = connected(flowzz.store, upstream.url, **SMALL_PAGES)
        other = connected(flowzz.store, upstream.url)
        admin = create_app(flowzz).test_client()
        sign_in(admin)

        # The token dies after some pages: both the page and the question who its owner is are refused.
        upstream.faults(token_refused={"subcode": 463, "after": CALLS_BEFORE, "times": 2})
        job_id = flowzz.enqueue("facebook.sync_campaigns", {"empresaId": stopped.id, "adAccountId": FIRST_ACCOUNT})
        connection_id = stopped.connection.id
        eventually(
            lambda: flowzz.store.connection_by_id(connection_id).state is ConnectionState.NEEDS_CREDENTIALS,
            saying="the connection needs credentials",
        )
        eventually(lambda: flowzz.queues.job(job_id).state is JobState.DELAYED, saying="its job waits")
        asked = len(upstream.requests())
        before = pages(upstream.requests())
        assert len(before) > 3

        # Another company's sync goes on.
        free = flowzz.enqueue("facebook.sync_campaigns", {"empresaId": other.id, "adAccountId": FIRST_ACCOUNT})
        assert flowzz.queues.wait(free, WITHIN).state is JobState.COMPLETED

        # It is seen: by monitors, over HTTP, on the command line, in the list of queues, on the connection's page, by
        # whoever asks why the job waits.
        health = admin.get("/health/connections")
        counts = {"plugin": "facebook", "active": 1, "paused": 0, "needsCredentials": 1}
        assert (health.status_code, health.json["connections"]) == (207, [counts])
        states = states_of_connections(admin)
        assert states[other.connection.id] == ("active", None)
        state, reason = states[connection_id]
        assert (state, "190/463" in str(reason)) == ("needs_credentials", True)
        told = command(settings.home, redis_url, "health", **ALONE)
        assert told.returncode == 0, told.stdout
        (warning,) = told.stderr.splitlines()
        assert warning.startswith(
            "Warning: facebook connection 'Facebook' of Loja Exemplo has needed new credentials for"
        )
        assert "190/463" in warning
        assert warning.endswith(f"flowzz connections update {connection_id}")
        assert TOKEN not in told.stdout + told.stderr + str(reason)
        assert "1 connection needs new credentials" in admin.get("/admin/queues", headers=EN).text
        page = admin.get(f"/admin/connections/{connection_id}", headers=EN).text
        assert "The upstream refused the credentials." in page
        assert "190/463" in page
        assert connection_id in str(flowzz.queues.explain(job_id))
        assert flowzz.store.connection_by_id(other.connection.id).state is ConnectionState.ACTIVE

        # New credentials, by the form; then the sync goes on where it was.
        between = len(upstream.requests())
        assert between > asked
        config = stopped.connection.config
        form = {name: str(value) for name, value in config.items() if isinstance(value, str | int | float)}
        form |= {"restart_dead_cursors": "on", "ad_account_ids": ",".join(config["ad_account_ids"])}
        secrets = {"access_token": TOKEN, "app_secret": APP_SECRET}
        answer = post(admin, f"/admin/connections/{connection_id}", **{**form, **secrets})
        assert answer.status_code == 303, answer.text
        record = flowzz.queues.wait(job_id, WITHIN)
        assert (record.state, record.attempts_made) == (JobState.COMPLETED, 1), record.error
        after = pages(upstream.requests()[between:])
        assert after[0] == before[-1], "the page that was refused is asked for again"
        assert not set(after[1:]) & set(before), "pages that were stored are not"
        assert stopped.everything() == other.everything()
        assert admin.get("/health/connections").status_code == 200
        assert states_of_connections(admin) == dict.fromkeys(states, ("active", None))
        assert json.loads(command(settings.home, redis_url, "health", "--json", **ALONE).stdout)["warnings"] == []
