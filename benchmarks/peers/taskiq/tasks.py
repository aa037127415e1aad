import workload
from taskiq import SmartRetryMiddleware
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = (
    RedisStreamBroker(workload.URL)
    .with_result_backend(RedisAsyncResultBackend(workload.URL, result_ex_time=3600))
    .with_middlewares(SmartRetryMiddleware(default_retry_count=3, default_delay=1, use_delay_exponent=True))
)
noop = broker.task(task_name="noop", retry_on_error=True)(workload.async_noop)
io = broker.task(task_name="io", retry_on_error=True)(workload.async_io)
