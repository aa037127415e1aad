"""What Redis does when its memory is full: it must refuse writes, never drop keys: every key is somebody's job."""

from __future__ import annotations

from typing import Any

from flowzz.queues.connection import redis_errors

SAFE_POLICY = "noeviction"


def memory_problem(client: Any) -> str | None:
    """Why this Redis may lose jobs when its memory is full, with the remedy; None when it will not."""
    with redis_errors():
        memory = client.info("memory")
    policy = str(memory.get("maxmemory_policy") or SAFE_POLICY)
    if policy == SAFE_POLICY:
        return None
    limit = int(memory.get("maxmemory") or 0)
    now = "is not limited now, but once it is" if limit == 0 else f"is limited to {limit:,} bytes; when it is full"
    return (
        f"Redis's maxmemory-policy is {policy}: its memory {now} jobs are deleted without a trace. "
        f"Set it to {SAFE_POLICY} (CONFIG SET maxmemory-policy {SAFE_POLICY}, and in the server's configuration)"
    )
