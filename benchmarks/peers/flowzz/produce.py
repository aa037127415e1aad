from tasks import opened
from workload import JOB, produce

from flowzz.settings import Settings

with opened(Settings.load()) as app:
    produce(
        lambda data: app.enqueue(f"bench.{JOB}", data),
        lambda chunk: app.enqueue_many([(f"bench.{JOB}", data) for data in chunk]),
    )
