"""A job as a plugin declares it, and the decorator that does so."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, Literal, ParamSpec, TypeVar, get_type_hints

from pydantic import BaseModel

from flowzz.errors import ConfigurationError
from flowzz.jobs.context import JobContext
from flowzz.jobs.duplicates import Duplicates, check_duplicates
from flowzz.jobs.limits import Limit, check_limits
from flowzz.jobs.options import DEFAULT_PRIORITY, check_priority
from flowzz.jobs.payload import Payload, Result
from flowzz.jobs.result import result_as_json
from flowzz.jobs.retention import Keep
from flowzz.jobs.retry import DEFAULT_RETRY, RetryPolicy, RetryRules

JOB_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
QUEUE_NAME = re.compile(r"[a-z0-9][a-z0-9_\-]{0,62}\Z")

P = TypeVar("P", bound=BaseModel)
R = TypeVar("R")
Args = ParamSpec("Args")
Isolation = Literal["thread", "process"]


@dataclass(frozen=True)
class JobDefinition(Generic[P, R]):
    """A kind of job: its name, what it takes and gives, where it waits and how it is retried.

    - ``name``: ``plugin.job``, unique in an installation.
    - ``retry``: its policy, default 3 runs; ``retry_on``: other policies for certain errors, by class; see
      ``flowzz.jobs.retry``.
    - ``timeout``: the longest one execution may take. Default 15 minutes. A process is killed then; a handler in a
      thread is told at its next report, and one that never returns costs its worker (docs/engine.md, Timeouts).
    - ``isolation``: ``thread`` (default, for waiting on others) or ``process`` (for CPU or memory work: killable, and a
      crash costs one attempt of this job only).
    - ``memory_limit``: bytes a ``process`` job may take beyond what its process starts with. Default: no limit.
    - ``max_stalled``: how often the job may lose its worker before it fails as stalled. Default 1.
    - ``priority``: 1 (first) to 10 (last). Default 5.
    - ``limits``: rates and concurrencies it is under; see ``flowzz.jobs.limits``.
    - ``duplicates``: what happens to a second one: Unique, Throttle or Debounce; see ``flowzz.jobs.duplicates``.
      Default: it is enqueued too.
    - ``expires_after``: no run begins later than this after the enqueue; the job is then canceled. Default: never.
    - ``keep``: how long its finished jobs stay, where that is not as the settings say of the queue; see
      ``flowzz.jobs.retention``.
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
    duplicates: Duplicates | None = None
    expires_after: timedelta | None = None
    isolation: Isolation = "thread"
    memory_limit: int | None = None
    retry_on: Mapping[type[BaseException], RetryPolicy] = field(default_factory=dict, hash=False)
    keep: Keep | None = None
    description: str = ""
    source: str = field(default="", compare=False)

    def __call__(self, context: JobContext, payload: P) -> R:
        """Run the handler directly, as a test may."""
        return self.handler(context, payload)

    @cached_property
    def is_async(self) -> bool:
        """True for an ``async def`` handler; a worker runs it on its event loop."""
        return inspect.iscoroutinefunction(self.handler)

    def run(self, context: JobContext, payload: P) -> Any:
        """The handler's result, in this thread; an ``async def`` handler gets a loop of its own."""
        result: Any = self.handler(context, payload)
        return asyncio.run(result) if self.is_async else result

    @cached_property
    def rules(self) -> RetryRules:
        """``retry`` and ``retry_on`` as one."""
        return RetryRules(self.retry, self.retry_on)

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
    duplicates: Duplicates | None = None,
    expires_after: timedelta | None = None,
    isolation: Isolation = "thread",
    memory_limit: int | None = None,
    retry_on: Mapping[type[BaseException], RetryPolicy] | None = None,
    keep: Keep | None = None,
) -> Callable[[Callable[[JobContext, P], R]], JobDefinition[P, R]]:
    """Declare a handler ``(ctx: JobContext, data: SomePayload) -> SomeResult`` as a job.

    The payload's model is read from the annotation of the second parameter; the first line of the docstring
    becomes the description. Raises ConfigurationError, naming the job, when any of it does not fit.
    """

    def declare(handler: Callable[[JobContext, P], R]) -> JobDefinition[P, R]:
        _check_names(name, queue)
        model = _payload_model(name, handler)
        problem = check_limits(tuple(limits), model) or check_priority(priority) or check_duplicates(duplicates, model)
        if problem := problem or _check_isolation(isolation, memory_limit) or _check_rules(retry_on or {}):
            raise ConfigurationError(f"job {name}: {problem}")
        if keep is not None and (problem := keep.problem):
            raise ConfigurationError(f"job {name}: {problem}")
        if expires_after is not None and expires_after <= timedelta(0):
            raise ConfigurationError(f"job {name}: expected expires_after to be more than 0, got {expires_after}")
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
            duplicates=duplicates,
            expires_after=expires_after,
            isolation=isolation,
            memory_limit=memory_limit,
            retry_on=dict(retry_on or {}),
            keep=keep,
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


def _check_isolation(isolation: str, memory_limit: int | None) -> str | None:
    if isolation not in ("thread", "process"):
        return f"expected isolation to be 'thread' or 'process', got {isolation!r}"
    if memory_limit is not None and isolation != "process":
        return "memory_limit needs isolation='process': threads share their memory"
    if memory_limit is not None and memory_limit < 1:
        return f"expected memory_limit to be bytes, 1 or more, got {memory_limit}"
    return None


def _check_rules(retry_on: Mapping[Any, Any]) -> str | None:
    for kind, policy in retry_on.items():
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            return f"expected the keys of retry_on to be exception classes, got {kind!r}"
        if not isinstance(policy, RetryPolicy):
            return f"expected retry_on[{kind.__name__}] to be a retry policy, got {policy!r}"
    return None


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
