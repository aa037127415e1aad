from itertools import cycle

from tasks import QUEUES, noop_names, opened
from workload import JOB, produce

from flowzz.settings import Settings

names = cycle([f"bench.{JOB}"] if QUEUES == 1 else noop_names())
with opened(Settings.load()) as app:
    produce(
        lambda data: app.enqueue(next(names), data),
        lambda chunk: app.enqueue_many([(next(names), data) for data in chunk]),
    )
