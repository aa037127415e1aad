import asyncio

import uvloop
import workload
from saq import Queue
from saq.worker import Worker


async def noop(ctx: object, *, data: workload.Data) -> object:
    return await workload.async_noop(data)


async def io(ctx: object, *, data: workload.Data) -> object:
    return await workload.async_io(data)


async def main() -> None:
    queue = Queue.from_url(workload.URL, name="bench")
    worker = Worker(queue, functions=[noop, io], concurrency=workload.CONCURRENCY)
    await queue.connect()
    await worker.start()
    await queue.disconnect()


uvloop.install()
asyncio.run(main())
