import asyncio

import tasks
import uvloop
from workload import JOB, produce_async


async def main() -> None:
    task = getattr(tasks, JOB)
    async with tasks.worker:
        await produce_async(
            task.enqueue, lambda chunk: tasks.worker.enqueue_many([task.enqueue(data) for data in chunk])
        )


uvloop.install()
asyncio.run(main())
