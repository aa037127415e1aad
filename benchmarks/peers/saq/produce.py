import asyncio

import uvloop
from saq import Queue
from workload import JOB, URL, produce_async


async def main() -> None:
    queue = Queue.from_url(URL, name="bench")
    await queue.connect()
    await produce_async(lambda data: queue.enqueue(JOB, data=data, retries=3, retry_delay=1.0, retry_backoff=True))
    await queue.disconnect()


uvloop.install()
asyncio.run(main())
