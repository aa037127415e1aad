import tasks
from workload import JOB, produce

produce(getattr(tasks, JOB).send)
