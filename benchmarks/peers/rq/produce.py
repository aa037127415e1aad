from redis import Redis
from rq import Queue, Retry
from workload import JOB, URL, produce

queue = Queue("bench", connection=Redis.from_url(URL))
name, retry = f"workload.{JOB}", Retry(max=2, interval=[1, 2])
produce(
    lambda data: queue.enqueue(name, data, retry=retry),
    lambda chunk: queue.enqueue_many([Queue.prepare_data(name, args=(data,), retry=retry) for data in chunk]),
)
