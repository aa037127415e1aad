"""``SimpleWorker`` or ``Worker``, which forks for each job; with the scheduler, which RQ needs for retries."""

import sys

import rq
from redis import Redis
from workload import URL

connection = Redis.from_url(URL)
worker = getattr(rq, sys.argv[1])([rq.Queue("bench", connection=connection)], connection=connection)
worker.work(with_scheduler=True, logging_level="WARNING")
