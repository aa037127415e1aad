"""A job as a plugin declares it, and the decorator that does so."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel

from flowzz.errors import ConfigurationError
from flowzz.jobs.context import JobContext
from flowzz.jobs.limits import Limit, check_limits
from flowzz.jobs.options import DEFAULT_PRIORITY, check_priority
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.result import result_as_json
from flowzz.jobs.retry import DEFAULT_RETRY, RetryPolicy

JOB_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9_\-]{0,62}\Z")

P = TypeVar("P", bound=BaseModel)
R = TypeVar("R")
Args = ParamSpec("Args")


@dataclass(frozen=True)
class JobDefinition(Generic[P, R]):
    """A kind of job: its name, what it takes and gives, where it waits and how it is retried.

    - ``name``: ``plugin.job``, unique in an installation.
    - ``timeout``: the longest one execution may take; in a thread it is cooperative. Default 15 minutes.
    - ``max_stalled``: how often the job may lose its worker before it fails as stalled. Default 1.
    - ``priority``: 1 (first) to 10 (last). Default 5.
    - ``limits``: rates and concurrencies it is under; see ``flowzz.jobs.limits``.
    - ``source``: the distribution it came from; stamped at registration.
    """

    name: str
    handler: Callable[[JobContext, P], R]
    payload_model: type[P]
    queue: str
    retry: RetryPolicy = DEFAULT_RETRY
    timeout: timedelta = timedelta(minutes=15)
    max_stalled: int = 1
    priority: int = DEFAULT_PRIORITY
    limits: tuple[Limit, ...] = ()
    description: str = ""
    source: str = field(default="", compare=False)

    def __call__(self, context: JobContext, payload: P) -> R:
        """Run the handler directly, as a test may."""
        return self.handler(context, payload)

    @property
    def plugin(self) -> str:
        """The namespace before the dot."""
        return self.name.partition(".")[0]


def job(
    name: str,
    *,
    queue: str,
    retry: RetryPolicy = DEFAULT_RETRY,
    timeout: timedelta = timedelta(minutes=15),
    max_stalled: int = 1,
    priority: int = DEFAULT_PRIORITY,
    limits: Sequence[Limit] = (),
) -> Callable[[Callable[[JobContext, P], R]], JobDefinition[P, R]]:
    """Declare a handler ``(ctx: JobContext, data: SomePayload) -> SomeResult`` as a job.

    The payload's model is read from the annotation of the second parameter; the first line of the docstring
    becomes the description. Raises ConfigurationError, naming the job, when any of it does not fit.
    """

    def declare(handler: Callable[[JobContext, P], R]) -> JobDefinition[P, R]:
        _check_names(name, queue)
        model = _payload_model(name, handler)
        if problem := check_limits(tuple(limits), model) or check_priority(priority):
            raise ConfigurationError(f"job {name}: {problem}")
        return JobDefinition(
            name=name,
            handler=handler,
            payload_model=model,
            queue=queue,
            retry=retry,
            timeout=timeout,
            max_stalled=max_stalled,
            priority=priority,
            limits=tuple(limits),
            description=(inspect.getdoc(handler) or "").partition("\n")[0],
        )

    return declare


def _check_names(name: str, queue: str) -> None:
    if not JOB_NAME.match(name):
        raise ConfigurationError(
            f"expected a job name of the form 'plugin.job' in lower case, letters, digits and '_'; got {name!r}"
        )
    if not QUEUE_NAME.match(queue):
        raise ConfigurationError(
            f"job {name}: expected a queue name of lower-case letters, digits, '-' and '_'; got {queue!r}"
        )


def _payload_model(name: str, handler: Callable[..., Any]) -> Any:
    parameters = list(inspect.signature(handler).parameters)
    if len(parameters) != 2:
        raise ConfigurationError(f"job {name}: expected a handler (ctx, data), got ({', '.join(parameters)})")
    model = get_type_hints(handler).get(parameters[1])
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigurationError(
            f"job {name}: expected {parameters[1]!r} to be annotated with a pydantic model, got {model!r}"
        )
    return model


__all__ = ["JobDefinition", "Payload", "Result", "job", "result_as_json"]
