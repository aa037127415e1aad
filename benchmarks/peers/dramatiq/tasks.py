import dramatiq
import workload
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=workload.URL)
broker.add_middleware(Results(backend=RedisBackend(url=workload.URL)))
dramatiq.set_broker(broker)
rules = {"max_retries": 2, "min_backoff": 1000, "store_results": True}
noop = dramatiq.actor(workload.noop, **rules)
io = dramatiq.actor(workload.io, **rules)
