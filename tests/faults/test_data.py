"""What others write into Redis: wrong types, lost keys, garbage. Workers live, other queues flow, people see it.

And data that is too large, too secret or of another version. tests/rq_contract/test_malformed.py has the broken job
hashes; this has everything around them.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from click.testing import CliRunner
from pydantic import AliasChoices, Field, SecretStr

from flowzz import logs
from flowzz.app import Flowzz
from flowzz.cli import main
from flowzz.errors import PayloadTooLarge, QueueUnavailable
from flowzz.jobs.context import JobContext
from flowzz.jobs.definition import job
from flowzz.jobs.options import EnqueueOptions
from flowzz.jobs.payload import Payload
from flowzz.jobs.retry import Fixed
from flowzz.jobs.state import JobState
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.queues import keys
from flowzz.queues.dead import DeadLetters
from flowzz.queues.engine import REGISTRIES
from flowzz.queues.fields import dump_call
from flowzz.queues.keys import Key
from flowzz.scheduling import Scheduler
from flowzz.settings import Settings
from flowzz.store import Role
from flowzz_web import create_app
from support.engine import completed, ended, failure_text, step
from support.rough import Seen
from support.visiting import HTML, PASSWORD, sign_in
from support.waiting import eventually
from support.working import working

SOON = timedelta(seconds=60)
TYPED = [key for key in keys.KEYS if key.type not in ("any", "channel")]
LANE = "5|loja-1|probe.limited|r:probe.phone:,c:probe.company:loja-1"


@pytest.fixture
def app(home: Path, redis_url: str) -> Iterator[Flowzz]:
    settings = Settings.load(home=home, redis_url=redis_url, heartbeat=0.2, lease=2, sweep=0.2, shutdown_grace=10)
    plugins = PluginHost.of(["support.probe:plugin", "support.rough:plugin"])
    with Flowzz.open(settings, plugins=plugins) as opened:
        opened.store.migrate()
        yield opened


def about(key: Key, job_id: str, execution: str, worker: str) -> str:
    """Which key of the family, in the small world of these tests."""
    by = {
        "job id": job_id,
        "job id:execution id": f"{job_id}:{execution}",
        "queue": "probe",
        "batch": "batch-1",
        "worker": worker,
        "queue|lane": f"probe|{LANE}",
        "queue|priority": "probe|5",
        "queue|priority|company": "probe|5|loja-1",
        "queue|job|status": "probe|probe.work|finished",
        "limit key": "c:probe.company:loja-1",
        "duplicates key": "t:key",
        "schedule": "probe.work",
    }
    return by.get(key.of, job_id) if key.of else ""


def wreck(raw: redis.Redis, name: str, kind: str) -> None:
    """Whatever stood there; now it is of another type than it should be."""
    raw.delete(name)
    if kind == "string":
        raw.sadd(name, "wreck")
    else:
        raw.set(name, "wreck")


def set_aside(raw: redis.Redis) -> set[str]:
    return {name.decode().removeprefix(keys.ASIDE.prefix) for name in raw.scan_iter(keys.ASIDE("*"))}


def enqueue(app: Flowzz, job: str, folder: Path, number: object) -> str:
    """As a producer that repeats what was refused, with the id and nonce it had."""
    payload = {"folder": str(folder), "empresaId": "loja-1"} if job.startswith("probe") else {"folder": str(folder)}
    options = EnqueueOptions(job_id=f"{job.replace('.', '-')}-{number}", nonce="one")

    def accepted() -> str | None:
        try:
            return app.enqueue(job, payload, options)
        except QueueUnavailable:
            return None

    return str(eventually(accepted))


def test_a_key_of_the_wrong_type_stops_nobody(app: Flowzz, raw: redis.Redis, tmp_path: Path) -> None:
    """Each key that Flowzz has, one after the other, under a worker that holds a job."""
    with working(app) as worker:
        for number, key in enumerate(TYPED):
            folder = tmp_path / str(number)
            folder.mkdir()
            running = enqueue(app, "probe.block", folder, number)
            eventually(lambda running=running: app.queues.job(running).state is JobState.ACTIVE)
            execution = (raw.hget(keys.JOB(running), "flowzz_execution") or b"").decode()
            wreck(raw, key(about(key, running, execution, worker.name)), key.type)
            for job in ("rough.quick", "probe.work", "probe.limited"):
                done = app.queues.wait(enqueue(app, job, folder, number), SOON)
                assert (key.name, job, done.state) == (key.name, job, JobState.COMPLETED)
            (folder / "go").touch()
            eventually(lambda: not app.queues.stats(["probe"])[0].active, saying=f"{key.name}: no job is left behind")
        # Mended too often of late, the last of them waits its turn; jobs go on meanwhile.
        wrecked = {keys.QUEUE("probe"), keys.WIP("probe"), keys.LIMITS(), keys.LANED(), keys.EVENTS()}
        eventually(lambda: wrecked <= set_aside(raw), saying="what scripts broke on is set aside")
    assert any(event.name == "set_aside" and event.subject == keys.EVENTS() for event in app.queues.events())


GARBAGE = [pickle.dumps(("os.system", "touch /")), b"\xff\xfe|\n:%", b""]


def soil(raw: redis.Redis, name: str, kind: str) -> None:
    """Members that are pickle, no UTF-8, and nothing at all, beside what the key holds."""
    for junk in GARBAGE:
        match kind:
            case "string":
                raw.set(name, junk)
            case "hash":
                raw.hset(name, junk, junk)
            case "list":
                raw.lpush(name, junk)
                raw.rpush(name, junk)
            case "set":
                raw.sadd(name, junk)
            case "zset":
                raw.zadd(name, {junk: 1})
            case "stream":
                raw.xadd(name, {junk or b"-": junk})


def test_garbage_in_a_key_stops_nobody(app: Flowzz, raw: redis.Redis, tmp_path: Path) -> None:
    """Beside what is right in it, in each key one after the other; none of it is ever unpickled."""
    with working(app) as worker:
        for number, key in enumerate(TYPED):
            if key is keys.SUSPENDED:
                continue  # anything there means: suspended, to RQ too
            folder = tmp_path / str(number)
            folder.mkdir()
            running = enqueue(app, "probe.block", folder, number)
            eventually(lambda running=running: app.queues.job(running).state is JobState.ACTIVE)
            execution = (raw.hget(keys.JOB(running), "flowzz_execution") or b"").decode()
            soil(raw, key(about(key, running, execution, worker.name)), key.type)
            for job in ("rough.quick", "probe.work", "probe.limited"):
                done = app.queues.wait(enqueue(app, job, folder, number), SOON)
                assert (key.name, job, done.state) == (key.name, job, JobState.COMPLETED)
            (folder / "go").touch()
            assert (key.name, app.queues.wait(running, SOON).state) == (key.name, JobState.COMPLETED)


PAGES = (
    "/health/queues", "/livez", "/admin/queues", "/admin/queues/probe", "/admin/queues/probe?state=failed",
    "/admin/jobs/one", "/admin/plugins", "/api/v1/queues", "/api/v1/jobs?queue=probe&state=failed", "/api/v1/jobs/one",
    "/api/v1/jobs/one/explain", "/api/v1/dead", "/api/v1/events", "/api/v1/limits", "/api/v1/pauses",
    "/api/v1/quarantine", "/api/v1/schedules", "/api/v1/schedules/probe.work", "/api/v1/workers",
    "/api/v1/batches/batch-1",
)  # fmt: skip
COMMANDS = {
    "job": "jobs show one",
    "results": "jobs show one",
    "log": "jobs show one",
    "lane": "jobs explain one",
    "blocks": "jobs explain one",
    "queues": "queues list",
    "queue": "queues list",
    "wip": "queues list",
    "failed": "dead list",
    "events": "events",
    "limits": "limits",
    "paused": "pause",
    "schedule": "schedules list",
    "workers": "workers",
    "worker": "workers",
    "batch": "batches show batch-1",
}
"""Key → the command that reads it; ``health`` is asked about each."""


@contextmanager
def wrecked(raw: redis.Redis, name: str, kind: str) -> Iterator[None]:
    """The key is of another type inside the block, and as it was after it."""
    before = raw.dump(name)
    wreck(raw, name, kind)
    yield
    raw.delete(name)
    if before is not None:
        raw.restore(name, 0, before)


def test_every_page_and_command_answers_whatever_type_a_key_is(
    app: Flowzz, home: Path, redis_url: str, raw: redis.Redis, tmp_path: Path
) -> None:
    """No worker mends here. What cannot be read is 503 or exit 1 with Redis's reason, never an error of ours."""
    with working(app) as worker:
        app.queues.wait(enqueue(app, "probe.work", tmp_path, "done"), SOON)
    app.enqueue("probe.limited", {"folder": str(tmp_path), "empresaId": "loja-1"}, EnqueueOptions(job_id="one"))
    app.batch([("probe.work", {})], batch_id="batch-1")
    Scheduler(app).run_due()
    app.store.add_user("admin@flowzz.example", SecretStr(PASSWORD), Role.ADMIN)
    web = create_app(app)
    web.config["PROPAGATE_EXCEPTIONS"] = False
    client = web.test_client()
    sign_in(client)
    user = app.store.user_by_email("admin@flowzz.example")
    assert user is not None
    bearer = {"Authorization": f"Bearer {web.extensions['flowzz'].tokens.issue(user)}"}
    environment = {"FLOWZZ_HOME": str(home), "REDIS_URL": redis_url}
    bad = []
    for key in TYPED:
        with wrecked(raw, key(about(key, "one", "e", worker.name)), key.type):
            for page in PAGES:
                answer = client.get(page, headers=HTML if page.startswith("/admin") else bearer)
                said = page == "/health/queues" or "WRONGTYPE" in answer.text
                if answer.status_code not in (200, 207, 404) and not (answer.status_code == 503 and said):
                    bad.append((key.name, page, str(answer.status_code)))
            for command in {"health", COMMANDS.get(key.name, "health")}:
                run = CliRunner().invoke(main, command.split(), env=environment)
                if (
                    run.exit_code not in (0, 1)
                    or "Traceback" in run.output
                    or not isinstance(run.exception, SystemExit | None)
                ):
                    bad.append((key.name, command, f"{run.exit_code} {run.exception!r} {run.output[-300:]}"))
            if key in (keys.QUEUE, keys.WIP, keys.FINISHED, keys.FAILED, keys.SCHEDULED):
                assert client.get("/health/queues").get_json()["status"] != "healthy", key.name
    assert not bad, "\n".join(map(str, bad))


def mend(app: Flowzz) -> int:
    """Two looks at every key; how many jobs were put back."""
    looks = [app.queues.transitions.mend(keep_failed=200, astray_for_ms=0) for _ in range(2)]
    return sum(look.put_back for look in looks)


class TestAstray:
    """A hash that says where its job stands, and the job is not there."""

    def test_a_waiting_one_waits_again(self, app: Flowzz, raw: redis.Redis) -> None:
        """As a stock worker of several queues leaves it that dies between taking and claiming (BLPOP)."""
        job_id = app.enqueue("probe.work", {})
        assert raw.lpop(keys.QUEUE("probe")) == job_id.encode()
        assert mend(app) == 1
        assert [claim.job_id for claim in step(app.queues, served=("probe",)).claims] == [job_id]
        assert [event.name for event in app.queues.events() if event.subject == job_id] == [
            "waiting",
            "astray",
            "active",
        ]

    def test_one_that_ran_has_stalled(self, app: Flowzz, raw: redis.Redis) -> None:
        job_id = app.enqueue("probe.work", {})
        (claim,) = step(app.queues, served=("probe",)).claims
        raw.delete(keys.WIP("probe"))
        assert mend(app) == 1
        job = app.queues.job(job_id)
        assert (job.state, job.stalled_count) == (JobState.WAITING, 1)
        assert step(app.queues, completed(claim), want=0).verdicts == [0]

    def test_a_delayed_one_runs_now(self, app: Flowzz, raw: redis.Redis) -> None:
        job_id = app.enqueue("probe.work", {}, EnqueueOptions(delay=timedelta(hours=1)))
        raw.delete(keys.SCHEDULED("probe"))
        assert mend(app) == 1
        assert [claim.job_id for claim in step(app.queues, served=("probe",)).claims] == [job_id]

    def test_one_that_waits_for_its_parent_still_does(self, app: Flowzz, raw: redis.Redis) -> None:
        parent = app.enqueue("probe.work", {})
        child = app.enqueue("probe.work", {}, EnqueueOptions(depends_on=(parent,)))
        raw.delete(keys.DEFERRED("probe"))
        assert mend(app) == 1
        (claim,) = step(app.queues, served=("probe",)).claims
        step(app.queues, completed(claim), want=0)
        assert app.queues.job(child).state is JobState.WAITING

    @pytest.mark.parametrize("kind", ["completed", "failed", "canceled", "parked"])
    def test_one_that_ended_is_kept_and_trimmed_like_others(self, app: Flowzz, raw: redis.Redis, kind: str) -> None:
        job_id = app.enqueue("probe.work", {})
        (claim,) = step(app.queues, served=("probe",)).claims
        step(app.queues, ended(claim, kind, note="probe.work"), want=0)
        state = app.queues.job(job_id).state
        raw.delete(REGISTRIES[state]("probe"))
        assert mend(app) == 1
        assert [job.id for job in app.queues.jobs("probe", state).items] == [job_id]

    def test_who_stands_in_its_place_stays_there(self, app: Flowzz, raw: redis.Redis) -> None:
        """Also what a stock worker is just taking, and what plain RQ will let go of by itself."""
        for number in range(6):
            app.enqueue("probe.work", {}, EnqueueOptions(job_id=f"job-{number}"))
        one, two, three = step(app.queues, served=("probe",), want=3).claims
        step(app.queues, completed(one), ended(two, "retrying", delay_ms=60_000), want=0)
        raw.lmove(keys.QUEUE("probe"), keys.QUEUE("probe:intermediate"), "LEFT", "LEFT")
        raw.hset(keys.JOB("theirs"), mapping={"status": "finished", "origin": "probe", "data": "x"})
        raw.expire(keys.JOB("theirs"), 500)
        before = [app.queues.job(job_id) for job_id in (*(f"job-{n}" for n in range(6)), "theirs")]
        assert mend(app) == 0
        assert [app.queues.job(job.id) for job in before] == before
        assert step(app.queues, completed(three), want=0).verdicts == [1]

    def test_it_must_be_so_for_a_while(self, app: Flowzz, raw: redis.Redis) -> None:
        app.enqueue("probe.work", {})
        raw.delete(keys.QUEUE("probe"))
        for _ in range(3):
            assert app.queues.transitions.mend(keep_failed=200, astray_for_ms=60_000).put_back == 0
        assert mend(app) == 1


@pytest.mark.parametrize("key", [keys.LANE, keys.RINGS, keys.RING, keys.GROUP, keys.LANED], ids=lambda key: key.name)
def test_a_lost_index_is_built_anew_from_the_list(app: Flowzz, raw: redis.Redis, key: Key) -> None:
    ids = [
        app.enqueue("probe.work", {"empresaId": f"loja-{n % 3}"}, EnqueueOptions(priority=1 + n % 2)) for n in range(9)
    ]
    for name in raw.scan_iter(key("*") if key.of else key()):
        raw.delete(name)
    claims = []
    for _ in range(4):
        claims += [claim.job_id for claim in step(app.queues, served=("probe",)).claims]
        mend(app)
        app.queues.transitions.rescue(limit=10, keep_failed=10, failure_text=failure_text(), max_stalled=1)
    assert set(claims) == set(ids)


LARGE = 50 * 1024 * 1024
TOKEN = "tok/4711+PLAINTEXT=secret value"
FORMS = (TOKEN, TOKEN[:14], TOKEN[-14:], quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode())
"""Its halves as well: a text that is cut in the middle of a secret must not show the rest of it."""


def test_a_payload_of_fifty_megabytes_is_refused_and_one_that_is_there_fails_alone(
    app: Flowzz, raw: redis.Redis, tmp_path: Path
) -> None:
    with pytest.raises(PayloadTooLarge, match="52,4"):
        app.enqueue("rough.quick", {"folder": "x" * LARGE})
    assert raw.dbsize() == 0
    call = dump_call("rough.quick", {"folder": "x" * LARGE})
    raw.hset(keys.JOB("huge"), mapping={"status": "queued", "origin": "rough", "data": call})
    raw.sadd(keys.QUEUES(), keys.QUEUE("rough"))
    raw.rpush(keys.QUEUE("rough"), "huge")
    with Flowzz.open(app.settings.model_copy(update={"lease": 30}), plugins=app.plugins) as app, working(app):
        # Whoever asks for the job gets all of it: only for its status, or this thread would hold up the worker's.
        eventually(lambda: raw.hget(keys.JOB("huge"), "status") == b"failed")
        job = app.queues.job("huge")
        small = app.queues.wait(enqueue(app, "rough.quick", tmp_path, "small"), SOON)
    assert (job.state, small.state) == (JobState.FAILED, JobState.COMPLETED)
    assert job.error is not None
    assert "larger than" in job.error.message


@pytest.mark.parametrize("name", ["rough.leaky", "rough.leaky_apart", "rough.leaky_aio"])
def test_a_secret_in_a_traceback_of_two_megabytes_is_nowhere(
    app: Flowzz, raw: redis.Redis, home: Path, name: str
) -> None:
    """Not in Redis, not in the logs, not on a page: neither whole, nor cut, nor as it travels in URLs and headers."""
    company = app.store.add_company("Loja Azul")
    app.store.add_connection(company.id, "rough", "Main", {}, {"token": SecretStr(TOKEN)})
    logs.configure(app.settings, "test", console=False)
    try:
        with working(app):
            job_id = app.enqueue(name, {"how": company.id})
            job = app.queues.wait(job_id, SOON)
    finally:
        logs.close()
    assert job.error is not None
    assert (job.state, job.error.type) == (JobState.FAILED, "RuntimeError")
    assert job.error.message.startswith("**********")
    shown = [repr(job), repr(app.queues.attempts(job_id)), repr(app.queues.log(job_id))]
    assert [line.message for line in app.queues.log(job_id)][-1] == "calling with **********"
    assert len(shown[1]) < 200_000
    stored = [repr(raw.dump(name)) + repr(read(raw, name)) for name in raw.scan_iter()]
    written = [file.read_text(errors="replace") for file in (home / "logs").rglob("*.log")]
    assert any("RuntimeError" in text for text in written)
    leaks = [(form, place[:80]) for form in FORMS for place in [*shown, *stored, *written] if form in place]
    assert not leaks


def read(raw: redis.Redis, name: bytes) -> object:
    """What the key holds, unpacked, where it is a text, a hash, a list or a stream."""
    match raw.type(name):
        case b"hash":
            return raw.hgetall(name)
        case b"list":
            return raw.lrange(name, 0, -1)
        case b"stream":
            return raw.xrange(name)
        case b"string":
            return raw.get(name)
    return None


class OldPage(Payload):
    page: int


class NewPage(Payload):
    """``page`` was renamed, and a field that must be given was added."""

    number: int
    account: str


class BothPages(Payload):
    """Reads what both builds wrote."""

    number: int = Field(validation_alias=AliasChoices("number", "page"))
    account: str = "main"


def build(settings: Settings, model: type[Payload]) -> Flowzz:
    """The same job with another payload, as another release of its plugin has it."""

    def handler(ctx: JobContext, data: Payload) -> Seen:
        return Seen(pid=data.page if isinstance(data, OldPage) else data.number)  # type: ignore[attr-defined]

    handler.__annotations__["data"] = model
    one = job("pages.read", queue="pages", retry=Fixed(attempts=3, delay=timedelta(milliseconds=10)))(handler)
    hooks = type("Hooks", (), {"flowzz_jobs": hookimpl(lambda self: [one])})()
    return Flowzz.open(
        settings, plugins=PluginHost.of([Plugin(name="pages", title="Pages", api=">=1,<2", hooks=hooks)])
    )


def test_a_payload_of_another_release_is_never_a_garbage_call(app: Flowzz) -> None:
    """Old jobs meet a new handler: dead at once with each field that does not fit, no retry burned; replayed by a
    release that reads both, they run. A new job meets an old handler: the same."""
    with build(app.settings, OldPage) as old, build(app.settings, NewPage) as new:
        first, second = old.enqueue("pages.read", {"page": 7}), new.enqueue("pages.read", {"number": 8, "account": "a"})
        with working(new):
            job = new.queues.wait(first, SOON)
            assert new.queues.wait(second, SOON).state is JobState.COMPLETED
        assert (job.state, job.attempts_made) == (JobState.FAILED, 1)
        assert job.error is not None
        assert job.error.type == "InvalidPayload"
        for field in ("number", "account", "page"):
            assert field in job.error.message
        third = new.enqueue("pages.read", {"number": 9, "account": "a"})
        with working(old):
            assert old.queues.wait(third, SOON).state is JobState.FAILED
    with build(app.settings, BothPages) as both:
        assert DeadLetters(both.queues).replay().moved == 2
        with working(both):
            assert [both.queues.wait(job_id, SOON).result["pid"] for job_id in (first, third)] == [7, 9]
