"""Jobs that wait for a connection: paused, or in need of credentials. They stand among the delayed, and come due at
once when the connection is active again.

The sets here are only an index. A job that is in none of them looks again by itself, after its delay.
"""

from __future__ import annotations

from typing import Any

from flowzz.queues import keys
from flowzz.queues.connection import redis_errors

WAITS = "waits for connection "
"""What the note of such a job begins with; the connection's id follows."""
BATCH = 500


def wait_for(client: Any, connection_id: str, job_id: str) -> None:
    """Remember that the job, about to be postponed, waits for the connection. Raises QueueUnavailable."""
    with redis_errors():
        pipeline = client.pipeline()
        pipeline.sadd(keys.WAITING_FOR(connection_id), job_id)
        pipeline.sadd(keys.UNCONNECTED(), connection_id)
        pipeline.execute()


def waited_for(client: Any) -> list[str]:
    """The connections that jobs wait for. Raises QueueUnavailable."""
    with redis_errors():
        return sorted(found.decode() for found in client.smembers(keys.UNCONNECTED()))


def release(client: Any, connection_id: str) -> int:
    """The jobs that wait for the connection are due now; how many. Raises QueueUnavailable.

    The connection is forgotten first: a job that comes to wait meanwhile is remembered anew, as is one that has said
    that it waits and still runs; one that is lost from the index by a crash here looks again by itself.
    """
    with redis_errors():
        client.srem(keys.UNCONNECTED(), connection_id)
        released, running = 0, []
        while ids := client.spop(keys.WAITING_FOR(connection_id), BATCH):
            due, still = _make_due(client, connection_id, [job_id.decode() for job_id in ids])
            released += due
            running += still
        for job_id in running:
            wait_for(client, connection_id, job_id)
        return released


def _make_due(client: Any, connection_id: str, ids: list[str]) -> tuple[int, list[str]]:
    """Of ``ids`` those that stand among the delayed for that reason: how many. And those that are not settled yet."""
    reading = client.pipeline(transaction=False)
    for job_id in ids:
        reading.hmget(keys.JOB(job_id), "origin", "flowzz_note", "status")
    seconds, micros = client.time()
    writing = client.pipeline(transaction=False)
    running = []
    for job_id, (queue, note, status) in zip(ids, reading.execute(), strict=True):
        if status == b"started":
            running.append(job_id)
        elif queue and (note or b"").decode(errors="replace").startswith(f"{WAITS}{connection_id}"):
            # XX: only where it still is; LT: never later than it was.
            due = {job_id: f"{seconds + micros / 1_000_000:.3f}"}
            writing.zadd(keys.SCHEDULED(queue.decode()), due, xx=True, lt=True, ch=True)
    return sum(writing.execute()) if len(writing) else 0, running
