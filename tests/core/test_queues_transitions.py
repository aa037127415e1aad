"""What the scripts promise: one place a job, fenced settles, and repeats that change nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis

from flowzz.errors import JobNotFound, NotAllowedInState
from flowzz.jobs.state import JobState
from flowzz.queues import keys
from flowzz.queues.engine import Queues
from flowzz.queues.reading import pack_text
from flowzz.queues.schedules import FireOutcome, FireReply
from support.engine import completed, ended, failure_text, new_job, step
from support.waiting import eventually


def rescue(queues: Queues) -> list[tuple[str, str, str]]:
    moved = queues.transitions.rescue(limit=100, keep_failed=200, failure_text=failure_text(), max_stalled=1)
    return [(one.queue, one.job_id, one.now) for one in moved]


def expire_leases(raw: redis.Redis, queue: str = "sync") -> None:
    """Leases are judged by Redis's clock; moving their ends into the past is how a test makes time pass."""
    for member in raw.zrange(keys.WIP(queue), 0, -1):
        raw.zadd(keys.WIP(queue), {member: 1})


def test_a_job_goes_from_waiting_over_active_to_completed(queues: Queues) -> None:
    assert queues.transitions.enqueue([new_job("a", payload={"n": 1})]) == [1]
    assert queues.job("a").state is JobState.WAITING
    (claim,) = step(queues).claims
    assert queues.job("a").state is JobState.ACTIVE
    assert step(queues, completed(claim, {"ok": True})).verdicts == [1]
    done = queues.job("a")
    assert (done.state, done.result, done.attempts_made, done.payload) == (
        JobState.COMPLETED, {"ok": True}, 1, {"n": 1},
    )  # fmt: skip
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["completed"]


def test_times_in_the_hash_are_the_servers_in_utc(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    seconds, micros = raw.time()
    now = datetime.fromtimestamp(seconds + micros / 1e6, UTC)
    assert abs((now - queues.job("a").created_at).total_seconds()) < 5


@pytest.mark.parametrize("moment", [0, 951827696789, 1709208000000, 1795484281528, 4102444799999])
def test_the_scripts_calendar_agrees_with_pythons(raw: redis.Redis, moment: int) -> None:
    from flowzz.clock import from_epoch_ms, to_rq
    from flowzz.queues.lua import script_text

    text = script_text("deregister").partition("local key = K.worker")[0] + f"return iso({moment})"
    assert raw.eval(text, 0).decode() == to_rq(from_epoch_ms(moment))


def test_the_same_enqueue_again_is_one_job(queues: Queues) -> None:
    assert queues.transitions.enqueue([new_job("a")]) == [1]
    assert queues.transitions.enqueue([new_job("a")]) == [0]
    assert queues.stats(["sync"])[0].waiting == 1


def test_an_id_that_another_job_has_is_refused(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a", nonce="mine", payload={"n": 1})])
    assert queues.transitions.enqueue([new_job("a", nonce="theirs", payload={"n": 2})]) == [-1]
    assert queues.job("a").payload == {"n": 1}


def test_the_same_step_again_gives_the_same_jobs_and_settles_nothing_twice(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    first = step(queues, want=1, token="t1")
    again = step(queues, want=1, token="t1")
    assert [c.execution_id for c in again.claims] == [c.execution_id for c in first.claims]
    settled = step(queues, completed(first.claims[0]), want=1, token="t2")
    repeated = step(queues, completed(first.claims[0]), want=1, token="t2")
    assert settled.verdicts == repeated.verdicts == [1]
    assert [c.job_id for c in settled.claims] == [c.job_id for c in repeated.claims] == ["b"]
    assert len(queues.attempts("a")) == 1


def test_a_result_that_comes_after_the_lease_was_lost_is_refused(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (zombie,) = step(queues, worker="zombie").claims
    expire_leases(raw)
    assert rescue(queues) == [("sync", "a", "waiting")]
    (second,) = step(queues, worker="w2").claims
    assert step(queues, completed(zombie, "late"), worker="zombie", want=0).verdicts == [0]
    assert queues.job("a").state is JobState.ACTIVE
    assert step(queues, completed(second, "good"), worker="w2").verdicts == [1]
    assert queues.job("a").result == "good"
    events = b"\n".join(entry[b"events"] for _, entry in raw.xrange(keys.EVENTS()))
    assert b"late_commit_rejected|sync|a|" + zombie.execution_id.encode() in events


def test_a_rescued_job_runs_next_and_fails_when_it_stalls_too_often(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a", max_stalled=1), new_job("b")])
    step(queues, want=1)
    expire_leases(raw)
    rescue(queues)
    (claim,) = step(queues, want=1).claims
    assert (claim.job_id, claim.stalled, claim.attempts_made) == ("a", 1, 0)
    expire_leases(raw)
    assert rescue(queues) == [("sync", "a", "failed")]
    failed = queues.job("a")
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.type == "Stalled"
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["stalled", "failed"]


def test_a_renewed_lease_is_not_rescued(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    expire_leases(raw)
    answers = queues.transitions.renew(
        "w1", lease_ms=30_000, ttl_s=60, fields={"hostname": "h"}, queues=["sync"],
        executions=[("sync", "a", claim.execution_id, claim.started_at), ("sync", "a", "other", 0)],
    )  # fmt: skip
    assert answers == [1, 0]
    assert rescue(queues) == []


def test_a_delayed_job_waits_until_it_is_due(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("late", due="in:600000"), new_job("soon", due="in:300000")])
    reply = step(queues)
    assert reply.claims == []
    assert reply.next_due_ms - reply.now_ms == pytest.approx(300_000, abs=60_000)
    assert queues.job("late").state is JobState.DELAYED
    raw.zadd(keys.SCHEDULED("sync"), {"late": 1})
    assert [claim.job_id for claim in step(queues).claims] == ["late"]


def test_delayed_jobs_start_at_their_millisecond_and_not_before(queues: Queues) -> None:
    queues.transitions.enqueue([new_job(f"d{n}", due=f"in:{100 + 7 * n}") for n in range(5)])
    jobs = [queues.job(f"d{n}") for n in range(5)]
    for n, job in enumerate(jobs):
        assert job.due_at is not None
        assert job.due_at - job.created_at == pytest.approx(
            timedelta(milliseconds=100 + 7 * n), abs=timedelta(microseconds=600)
        )
    due = {job.id: job.due_at for job in jobs}
    early = []
    while due:  # asks as fast as it can, so one that were let go too soon would be seen
        for claim in step(queues).claims:
            at = due.pop(claim.job_id)
            assert at is not None
            early.append(claim.started_at - at.timestamp())
    assert min(early) >= -0.0005, "a due time is kept to the millisecond"


def test_a_retrying_job_is_delayed_and_keeps_its_error_and_attempts(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "retrying", delay_ms=1000, body=pack_text("Traceback\nValueError: broken")))
    job = queues.job("a")
    assert (job.state, job.attempts_made) == (JobState.DELAYED, 1)
    assert job.error is not None
    assert job.error.type == "ValueError"
    assert "Traceback" in job.error.traceback


def test_a_postponed_or_released_job_uses_no_attempt(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    one, two = step(queues).claims
    reply = step(queues, ended(one, "postponed", delay_ms=60_000, note="429"), ended(two, "released"), want=1)
    assert [claim.job_id for claim in reply.claims] == ["b"]
    assert queues.job("a").attempts_made == queues.job("b").attempts_made == 0
    assert queues.job("a").note == "429"


def test_retention_keeps_the_newest_and_forgets_all_of_the_rest(queues: Queues, raw: redis.Redis) -> None:
    for number in range(8):
        queues.transitions.enqueue([new_job(f"j{number}")])
        (claim,) = step(queues, keep_completed=3).claims
        queues.transitions.report(claim, 1, log=["hello"])
        step(queues, completed(claim), keep_completed=3)
    kept = [job.id for job in queues.jobs("sync", JobState.COMPLETED).items]
    assert kept == ["j7", "j6", "j5"]
    left = {key.decode() for key in raw.scan_iter("*j[0-4]")}
    assert left == set()


def test_a_paused_or_suspended_queue_gives_no_jobs(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    queues.pause("sync", "month end")
    assert step(queues).claims == []
    stats = queues.stats(["sync"])[0]
    assert (stats.waiting, stats.paused, stats.pause_reason) == (0, 1, "month end")
    queues.resume("sync")
    raw.set(keys.SUSPENDED(), 1)
    assert step(queues).claims == []
    raw.delete(keys.SUSPENDED())
    assert len(step(queues).claims) == 1


@pytest.mark.parametrize("wreck", ["missing", "no-data", "wrong-type"])
def test_what_is_no_job_is_quarantined_and_the_next_one_runs(queues: Queues, raw: redis.Redis, wreck: str) -> None:
    if wreck == "no-data":
        raw.hset(keys.JOB("bad"), "status", "queued")
    elif wreck == "wrong-type":
        raw.set(keys.JOB("bad"), "not a hash")
    raw.rpush(keys.QUEUE("sync"), "bad")
    queues.transitions.enqueue([new_job("good")])
    assert [claim.job_id for claim in step(queues).claims] == ["good"]
    assert "bad" in queues.quarantined()


def test_a_queue_key_of_the_wrong_type_stops_neither_the_step_nor_the_other_queues(
    queues: Queues, raw: redis.Redis
) -> None:
    raw.set(keys.QUEUE("broken"), "text")
    raw.set(keys.SCHEDULED("broken"), "text")
    queues.transitions.enqueue([new_job("good")])
    assert [claim.job_id for claim in step(queues, served=("broken", "sync")).claims] == ["good"]
    assert queues.stats(["broken"])[0].problem is not None


def test_an_id_that_stands_in_the_queue_twice_runs_once(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    raw.rpush(keys.QUEUE("sync"), "a")
    assert [claim.job_id for claim in step(queues).claims] == ["a"]


def test_a_job_that_is_deleted_while_it_runs_stays_deleted(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    raw.delete(keys.JOB("a"))
    assert step(queues, completed(claim)).verdicts == [2]
    with pytest.raises(JobNotFound):
        queues.job("a")


def test_reports_count_only_under_the_lease(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    assert queues.transitions.report(claim, 1, progress=(40, "page 4/10"), checkpoint={"page": 4}, log=["x|y"])
    job = queues.job("a")
    assert job.progress is not None
    assert (job.progress.percent, job.progress.note, job.checkpoint) == (40, "page 4/10", {"page": 4})
    assert [line.message for line in queues.log("a")] == ["x|y"]
    expire_leases(raw)
    rescue(queues)
    assert not queues.transitions.report(claim, 1, checkpoint={"page": 5})
    assert queues.job("a").checkpoint == {"page": 4}


def test_retry_gives_a_failed_job_all_its_attempts_again_and_keeps_its_history(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "failed", body=pack_text("Traceback")))
    queues.retry("a", "fixed it")
    job = queues.job("a")
    assert (job.state, job.attempts_made, job.error) == (JobState.WAITING, 0, None)
    assert [attempt.outcome for attempt in queues.attempts("a")] == ["failed"]
    assert queues.stats(["sync"])[0].failed == 0


def test_actions_are_refused_where_they_make_no_sense(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    with pytest.raises(NotAllowedInState, match="cannot retry job 'a': it is waiting"):
        queues.retry("a")
    step(queues)
    with pytest.raises(NotAllowedInState, match="it is active"):
        queues.remove("a")
    with pytest.raises(JobNotFound):
        queues.remove("nobody")


def test_remove_leaves_nothing_behind(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b", due="in:90000")])
    queues.remove("a")
    queues.remove("b")
    assert list(raw.scan_iter("*:a")) == list(raw.scan_iter("*:b")) == []
    stats = queues.stats(["sync"])[0]
    assert (stats.waiting, stats.delayed) == (0, 0)


def test_cancel_takes_a_waiting_job_out_and_tells_a_running_one(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    (claim,) = step(queues, want=1).claims
    queues.cancel("b")
    assert queues.job("b").state is JobState.CANCELED
    queues.cancel("a")
    executions = [("sync", "a", claim.execution_id, claim.started_at)]
    told = queues.transitions.renew("w1", lease_ms=9000, ttl_s=60, fields={"a": 1}, queues=[], executions=executions)
    assert told == [2]


def test_parked_jobs_wait_again_once_their_name_is_registered(queues: Queues) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    step(queues, ended(claim, "parked", note="probe.work"))
    assert queues.job("a").state is JobState.PARKED
    assert queues.transitions.unpark(["other.job"]) == 0
    assert queues.transitions.unpark(["probe.work"]) == 1
    assert queues.job("a").state is JobState.WAITING


def park(queues: Queues, prefix: str, name: str, count: int) -> None:
    queues.transitions.enqueue([new_job(f"{prefix}{number:04}") for number in range(count)])
    claims = step(queues, want=count).claims
    step(queues, *[ended(claim, "parked", note=name) for claim in claims], want=0)


def test_parked_jobs_wait_again_however_many_there_are_and_whoever_stands_before_them(queues: Queues) -> None:
    park(queues, "stays", "gone.job", 1_100)
    park(queues, "waits", "probe.work", 2_300)
    assert queues.transitions.unpark(["probe.work"]) == 2_300
    assert queues.stats(["sync"])[0].parked == 1_100
    first = queues.jobs("sync", JobState.WAITING, limit=3).items
    assert [job.id for job in first] == ["waits0000", "waits0001", "waits0002"]


def test_a_look_at_some_parked_jobs_comes_past_all_of_them(queues: Queues) -> None:
    park(queues, "stays", "gone.job", 1_500)
    park(queues, "waits", "probe.work", 5)
    moved: list[int] = []
    eventually(lambda: moved.append(queues.transitions.unpark(["probe.work"], some=True)) or sum(moved) == 5)
    assert queues.stats(["sync"])[0].parked == 1_500


def test_a_tick_is_claimed_once(queues: Queues) -> None:
    fire = queues.transitions.fire
    assert fire("coinzz.sync", 1000, [new_job("a")]) == FireReply(FireOutcome.FIRED, 1)
    assert fire("coinzz.sync", 1000, [new_job("b")]) == FireReply(FireOutcome.CLAIMED_BEFORE, 0)
    assert fire("coinzz.sync", 999, [new_job("c")]) == FireReply(FireOutcome.CLAIMED_BEFORE, 0)
    assert fire("coinzz.sync", 2000, [new_job("d"), new_job("e")]) == FireReply(FireOutcome.FIRED, 2)
    states = queues.schedule_states(["coinzz.sync", "none"])
    assert [states[name].last_tick_ms for name in states] == [2000, None]
    assert [(tick.tick.timestamp(), tick.jobs, tick.how) for tick in queues.ticks("coinzz.sync")] == [
        (2.0, 2, "fired"),
        (1.0, 1, "fired"),
    ]
    assert queues.stats(["sync"])[0].waiting == 3


def test_a_new_job_wakes_one_idle_worker_and_the_rest_of_a_batch_the_next(queues: Queues) -> None:
    assert not queues.transitions.await_news(["sync"], 0.01)
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    assert queues.transitions.await_news(["sync"], 0.01)
    step(queues, want=1)
    assert queues.transitions.await_news(["sync"], 0.01)


def test_counting_the_jobs_of_a_worker_that_has_gone_leaves_no_registration_for_ever(
    queues: Queues, raw: redis.Redis
) -> None:
    queues.transitions.enqueue([new_job("a")])
    (claim,) = step(queues).claims
    assert step(queues, completed(claim)).verdicts == [1]
    assert 0 < raw.ttl(keys.WORKER("w1")) <= 60


def test_counting_and_reading_change_nothing(queues: Queues, raw: redis.Redis) -> None:
    queues.transitions.enqueue([new_job("a"), new_job("b")])
    step(queues, want=1)
    expire_leases(raw)
    before = contents(raw)
    queues.stats(["sync"])
    queues.jobs("sync", JobState.ACTIVE)
    queues.jobs("sync", JobState.WAITING)
    queues.workers()
    assert contents(raw) == before


def contents(raw: redis.Redis) -> dict[bytes, object]:
    read = {
        b"hash": raw.hgetall,
        b"set": raw.smembers,
        b"list": lambda key: raw.lrange(key, 0, -1),
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
        b"stream": raw.xrange,
        b"string": raw.get,
    }
    return {key: read[raw.type(key)](key) for key in raw.scan_iter("*")}
