import workload
from celery import Celery

app = Celery("bench", broker=workload.URL, backend=workload.URL)
app.conf.task_acks_late = True
rules = {"autoretry_for": (Exception,), "retry_backoff": True, "max_retries": 2}
noop = app.task(name="noop", **rules)(workload.noop)
io = app.task(name="io", **rules)(workload.io)
