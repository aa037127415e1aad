import workload
from streaq import Worker

worker = Worker(
    redis_url=workload.URL,
    queue_name="bench",
    concurrency=workload.CONCURRENCY,
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(max_tries=3)
async def noop(data: workload.Data) -> object:
    return await workload.async_noop(data)


@worker.task(max_tries=3)
async def io(data: workload.Data) -> object:
    return await workload.async_io(data)


if __name__ == "__main__":
    worker.run_sync()
