import asyncio

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from workload import JOB, URL, produce_async


async def main() -> None:
    pool = await create_pool(RedisSettings.from_dsn(URL))
    await produce_async(lambda data: pool.enqueue_job(JOB, data))
    await pool.aclose()


uvloop.install()
asyncio.run(main())
