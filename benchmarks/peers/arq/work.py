"""arq looks for jobs every half second by default and takes as many as may run; here every 5 ms, up to 500."""

import asyncio

import uvloop
import workload
from arq.connections import RedisSettings
from arq.worker import Worker, func


async def noop(ctx: object, data: workload.Data) -> object:
    return await workload.async_noop(data)


async def io(ctx: object, data: workload.Data) -> object:
    return await workload.async_io(data)


asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.set_event_loop(asyncio.new_event_loop())
Worker(
    [func(noop, max_tries=3), func(io, max_tries=3)],
    redis_settings=RedisSettings.from_dsn(workload.URL),
    max_jobs=workload.CONCURRENCY,
    poll_delay=0.005,
    queue_read_limit=500,
).run()
