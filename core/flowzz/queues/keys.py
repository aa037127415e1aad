"""The whole Redis key map: every key Flowzz reads or writes, once.

The Lua scripts get the same prefixes from ``lua_preamble``, and docs/engine's table is printed from ``KEYS``, so a
key is spelt in one place. Names under ``rq:`` and their formats are RQ 3's (``rq/job.py``, ``rq/queue.py``,
``rq/registry.py``, ``rq/results.py``, ``rq/worker_registration.py``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A family of keys: ``prefix``, then ``of`` (nothing for a single key), then ``ending``."""

    name: str
    prefix: str
    of: str
    type: str
    meaning: str
    ending: str = ""

    def __call__(self, suffix: str = "") -> str:
        return self.prefix + suffix + self.ending


JOB = Key("job", "rq:job:", "job id", "hash", "RQ's fields, and the fields flowzz* listed in fields.py")
QUEUES = Key("queues", "rq:queues", "", "set", "keys of all queues")
QUEUE = Key("queue", "rq:queue:", "queue", "list", "every waiting job id, as it came; the truth that the lanes index")
WIP = Key("wip", "rq:wip:", "queue", "zset", "'job id:execution id'; score: end of the lease, Unix seconds")
OWN = 10**11
"""Added to the scores of ended jobs that have a retention of their own: they come after all others."""
FINISHED = Key(
    "finished", "rq:finished:", "queue", "zset", "completed job ids; score: Unix seconds a year after the end"
)
FAILED = Key("failed", "rq:failed:", "queue", "zset", "failed job ids; score: Unix seconds a year after the end")
SCHEDULED = Key(
    "scheduled",
    "rq:scheduled:",
    "queue",
    "zset",
    "delayed job ids; score: due time, Unix seconds with decimals",
)
CANCELED = Key(
    "canceled", "rq:canceled:", "queue", "zset", "canceled job ids; score: Unix seconds a year after the end"
)
RESULTS = Key(
    "results", "rq:results:", "job id", "stream", "one entry an ended execution: RQ's result fields, and ours"
)
DEFERRED = Key(
    "deferred", "rq:deferred:", "queue", "zset", "ids of jobs that wait for their parents; score: Unix seconds"
)
DEPENDENTS = Key("dependents", "rq:job:", "job id", "set", "ids of the children that wait for the job", ":dependents")
DEPENDENCIES = Key(
    "dependencies", "rq:job::", "job id", "set", "ids of the parents it still waits for", ":dependencies"
)
BATCH = Key(
    "batch", "flowzz:batch:", "batch", "hash", "total, counts by outcome, times, callbacks; 7 days from its end"
)
MEMBERS = Key("members", "flowzz:members:", "batch", "hash", "member's job id → pending, or how it ended; as the batch")
BATCHES = Key("batches", "flowzz:batches", "", "zset", "batches that have not finished; score: created, Unix ms")
TENDING = Key("tending", "flowzz:tending", "", "hash", "queue → where the sweep through its deferred jobs stopped")
WORKERS = Key("workers", "rq:workers", "", "set", "keys of all registered workers")
WORKERS_OF = Key("workers_of", "rq:workers:", "queue", "set", "keys of the workers that serve the queue")
WORKER = Key("worker", "rq:worker:", "worker", "hash", "RQ's worker fields; expires when heartbeats stop")
PUBSUB = Key("pubsub", "rq:pubsub:", "worker", "channel", "RQ's commands to the worker, JSON")
EXECUTION = Key(
    "execution", "rq:execution:", "job id:execution id", "hash", "RQ's fields of a run that has seen a heartbeat"
)
EXECUTIONS = Key(
    "executions", "rq:worker:", "worker", "set", "'job id:execution id' that its last heartbeat saw", ":executions"
)
SUSPENDED = Key("suspended", "rq:suspended", "", "string", "set by `rq suspend`: no worker claims")
PARKED = Key("parked", "flowzz:parked:", "queue", "zset", "ids of jobs whose plugin is missing; score: Unix seconds")
LANE = Key("lane", "flowzz:lane:", "queue|lane", "list", "waiting job ids of one lane; the head runs next")
RINGS = Key("rings", "flowzz:rings:", "queue", "zset", "priorities that have something ready; score: the priority")
RING = Key("ring", "flowzz:ring:", "queue|priority", "list", "companies with something ready, in turn")
GROUP = Key("group", "flowzz:group:", "queue|priority|company", "list", "ready lanes of the company, in turn")
BLOCKED = Key("blocked", "flowzz:blocked:", "queue", "zset", "lanes that may not run; score: until, Unix ms, or inf")
BLOCKS = Key("blocks", "flowzz:blocks:", "queue", "hash", "blocked lane → what blocks it")
LANED = Key("laned", "flowzz:laned", "", "hash", "queue → ids in its lanes; fewer than the list: plain RQ pushed some")
LIMITS = Key(
    "limits",
    "flowzz:limits",
    "",
    "hash",
    "limit key → its rule: 'n/period ms' of a rate, 'n' of a concurrency; "
    "'all <name>' → the rule of every value of a limit; 'edit <limit key>' → 'rule at (Unix ms) definition's-rule who'",
)
LIMITED = Key("limited", "flowzz:limited", "", "hash", "queue under limits of its own → its rules, 'n/period ms|n'")
RATE = Key("rate", "flowzz:rate:", "limit key", "list", "moments (Unix ms) of the last n admissions")
RUNNING = Key("running", "flowzz:running:", "limit key", "set", "'queue|job id:execution id' that hold a slot")
AWAITING = Key(
    "awaiting", "flowzz:awaiting:", "limit key", "zset", "'queue|lane' that wait for a slot; score: since, Unix ms"
)
AWAITED = Key("awaited", "flowzz:awaited", "", "set", "limit keys that somebody waits for")
HOLDS = Key("holds", "flowzz:holds", "", "zset", "limit keys that an upstream told to wait; score: until, Unix ms")
WAKE = Key("wake", "flowzz:wake:", "queue", "zset", "one marker while there is news for an idle worker")
PAUSED = Key(
    "paused",
    "flowzz:paused",
    "",
    "hash",
    "'queue:…', 'job:…' or 'company:…' → JSON [reason, until (Unix ms) or null, who]",
)
STEP = Key(
    "step",
    "flowzz:step:",
    "worker",
    "string",
    "token and answer of the worker's last step, for a repeat; 10 min",
)
ANSWER = Key("answer", "flowzz:answer:", "token", "string", "what a call answered, for its repeat; a minute")
LOG = Key("log", "flowzz:log:", "job id", "list", "the job's log: 'Unix ms|attempt|message', last 1,000")
UNIQUE = Key("unique", "flowzz:unique", "", "hash", "duplicates key → id of the job that is not done, or still delayed")
THROTTLE = Key("throttle", "flowzz:throttle:", "duplicates key", "string", "id of the first job; expires with the ttl")
PRUNING = Key(
    "pruning",
    "flowzz:pruning",
    "",
    "hash",
    "'queue:…' or 'unique' → when to prune it again, Unix ms; cursors in the unique keys and in all keys",
)
STEPS = Key("steps", "flowzz:steps:", "job id", "hash", "finished durable step → its result (JSON); a year")
KEEPS = Key(
    "keeps", "flowzz:keeps:", "queue", "hash", "'job|status' with a retention of its own → 'count|seconds', '' for any"
)
KEPT = Key(
    "kept", "flowzz:kept:", "queue|job|status", "zset", "ended jobs with a retention of their own; score: Unix seconds"
)
QUARANTINE = Key(
    "quarantine", "flowzz:quarantine", "", "hash", "id of an unreadable job → reason, queue and time (JSON)"
)
SCHEDULE = Key(
    "schedule",
    "flowzz:schedule:",
    "schedule",
    "hash",
    "last_tick_ms: the newest tick that was claimed; revision: of the edits; last_run: id of the last run by hand",
)
EDIT = Key("edit", "flowzz:edit:", "schedule", "hash", "run-time edit over the plugin's definition, with who and when")
TICKS = Key("ticks", "flowzz:ticks:", "schedule", "list", "JSON {tick_ms, fired_ms, jobs, how, by}, newest first; 100")
OPEN = Key("open", "flowzz:open:", "schedule", "set", "job ids of ticks that may be open, if ticks must not overlap")
ASIDE = Key("aside", "flowzz:aside:", "key", "any", "a key of the wrong type, moved out of the way by mend; 30 days")
MENDING = Key("mending", "flowzz:mending", "", "hash", "cursor: where the sweep through all keys goes on")
EPOCH = Key(
    "epoch",
    "flowzz:epoch",
    "",
    "hash",
    "id of the data that Redis has; how (first, empty, older) and since_ms; as_of_ms of an older copy; seen_ms",
)
MARK = Key("mark", "flowzz:mark:", "process", "string", "signs of life of a worker or scheduler; a week")
EVENTS = Key("events", "flowzz:events", "", "stream", "transitions, one entry a script call; about the last 10,000")

UNCONNECTED = Key("unconnected", "flowzz:unconnected", "", "set", "ids of connections that delayed jobs wait for")
WAITING_FOR = Key(
    "waiting_for", "flowzz:waiting-for:", "connection id", "set", "ids of delayed jobs that wait for the connection"
)

KEYS = (
    JOB, QUEUES, QUEUE, WIP, FINISHED, FAILED, SCHEDULED, CANCELED, DEFERRED, DEPENDENTS, DEPENDENCIES, TENDING,
    BATCH, MEMBERS, BATCHES, RESULTS, WORKERS, WORKERS_OF, WORKER,
    EXECUTION, EXECUTIONS, SUSPENDED, PARKED, LANE, RINGS, RING, GROUP,
    BLOCKED, BLOCKS, LANED, LIMITS, LIMITED, RATE, RUNNING, AWAITING, AWAITED, HOLDS, WAKE, PAUSED, STEP, LOG, STEPS,
    ANSWER, UNIQUE, KEEPS, KEPT, THROTTLE, PRUNING, QUARANTINE, SCHEDULE, EDIT, TICKS, OPEN, ASIDE, MENDING,
    UNCONNECTED, WAITING_FOR, EPOCH, MARK, EVENTS, PUBSUB,
)  # fmt: skip


def lua_preamble() -> str:
    """``local K = {…}``: the prefixes for the scripts, by name; and ``OWN``."""
    entries = ", ".join(f"{key.name} = '{key.prefix}'" for key in KEYS)
    return f"local K = {{{entries}}}\nlocal OWN = {OWN}\n"


def markdown_table() -> str:
    """The key map as the documentation shows it."""
    rows = [
        _row(f"`{key.prefix}{'<' + key.of + '>' if key.of else ''}{key.ending}`", key.type, key.meaning) for key in KEYS
    ]
    return "\n".join(["| key | type | meaning |", "|---|---|---|", *rows])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
