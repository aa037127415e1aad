"""Who runs jobs: the worker, its leases, and one execution of one job as a value in small steps."""

from flowzz.workers.worker import Worker

__all__ = ["Worker"]
