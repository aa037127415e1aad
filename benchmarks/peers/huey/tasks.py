import workload
from huey import RedisHuey

huey = RedisHuey("bench", url=workload.URL)
rules = {"retries": 2, "retry_delay": 1, "retry_backoff": 2}
noop = huey.task(**rules)(workload.noop)
io = huey.task(**rules)(workload.io)
