import asyncio

import tasks
import uvloop
from workload import JOB, produce_async


async def main() -> None:
    await tasks.broker.startup()
    await produce_async(getattr(tasks, JOB).kiq)
    await tasks.broker.shutdown()


uvloop.install()
asyncio.run(main())
