"""Plugins come in one by one; a broken one says why and stops nobody. The distributions are real ones on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import click
import pytest

from flowzz.errors import UnknownJob
from flowzz.jobs.definition import JobDefinition, job
from flowzz.jobs.payload import Payload
from flowzz.plugins import contributions
from flowzz.plugins.contributions import Plugin
from flowzz.plugins.hookspecs import HookSpecs, hookimpl
from flowzz.plugins.host import PluginHost
from flowzz.plugins.loading import KINDS
from flowzz.plugins.states import PluginRecord, PluginState
from flowzz.settings import Settings
from support.distributions import GROUP, install

GOOD = """
    @hookimpl
    def flowzz_jobs(self):
        return [simple("{0}.run", queue="{0}-queue"), simple("{0}.other", queue="shared")]

    @hookimpl
    def flowzz_schedules(self):
        return [every_hour("{0}.run", "{0}.run")]

    @hookimpl
    def flowzz_queue_limits(self):
        return [QueueLimits(queue="{0}-queue", concurrency=2)]

    @hookimpl
    def flowzz_webhooks(self):
        return [Webhook(plugin="{0}", receive=lambda request, connection, store, flowzz: None)]

    @hookimpl
    def flowzz_connection_types(self):
        return (ConnectionType(plugin="{0}", title="{0}", model=Data),)

    @hookimpl
    def flowzz_sandboxes(self):
        return [Sandbox(plugin="{0}", blueprint=list, connection=lambda url: {{}}, demo=lambda session: None)]

    @hookimpl
    def flowzz_migrations(self):
        folder = Path(__file__).parent / "{0}_migrations"
        (folder / "versions").mkdir(parents=True, exist_ok=True)
        return [Migrations(plugin="{0}", folder=folder)]

    @hookimpl
    def flowzz_commands(self):
        return [click.Group("{0}")]

    @hookimpl
    def flowzz_data_sources(self):
        return [source("{0}.weather", "{0}")]

    @hookimpl
    def flowzz_notifiers(self):
        return [Notifier(name="{0}.mail", plugin="{0}", notify=lambda note, store, queue: True)]

    @hookimpl
    def flowzz_admin_pages(self):
        return [AdminPages(plugin="{0}", title="{0}", blueprint=list)]

    @hookimpl
    def flowzz_public_pages(self):
        return [PublicPages(plugin="{0}", blueprint=list)]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions, first on the path; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in set(sys.modules) - before:
        del sys.modules[name]


def discover(home: Path, **settings: object) -> PluginHost:
    return PluginHost.discover(Settings.load(home=home, **settings), group=GROUP)


def record(host: PluginHost, name: str) -> PluginRecord:
    found = [one for one in host.records if name in (one.name, one.distribution)]
    assert len(found) == 1, host.records
    return found[0]


def test_a_good_plugin_contributes_everything_stamped_with_its_distribution(site: Path, home: Path) -> None:
    install(site, "alpha", GOOD.format("alpha"), version="1.2.3")
    host = discover(home)
    assert record(host, "alpha") == PluginRecord(
        name="alpha",
        title="Alpha",
        distribution="flowzz-alpha",
        version="1.2.3",
        state=PluginState.LOADED,
        problem=None,
        jobs=("alpha.run", "alpha.other"),
        schedules=("alpha.run",),
    )
    assert host.queues == ("alpha-queue", "shared")
    assert [command.name for command in host.commands] == ["alpha"]
    stamped = [
        *host.jobs.values(),
        *host.schedules.values(),
        *host.queue_limits.values(),
        *host.webhooks.values(),
        *host.connection_types.values(),
        *host.sandboxes.values(),
        *host.migrations,
        *host.data_sources.values(),
        *host.notifiers.values(),
        *host.admin_pages.values(),
        *host.public_pages.values(),
    ]
    assert len(stamped) == 12
    assert {one.source for one in stamped} == {"flowzz-alpha"}
    assert host.job("alpha.run").description == "Do it."


def test_no_plugin_at_all_is_an_empty_host(site: Path, home: Path) -> None:
    host = discover(home)
    assert (host.records, dict(host.jobs), host.queues, host.commands) == ((), {}, (), ())


def test_a_disabled_plugin_is_not_even_imported(site: Path, home: Path) -> None:
    install(site, "alpha", code="raise RuntimeError('imported')")
    install(site, "beta", GOOD.format("beta"))
    host = discover(home, disabled_plugins="gamma, alpha")
    assert record(host, "alpha").state is PluginState.DISABLED
    assert record(host, "beta").state is PluginState.LOADED
    assert "flowzz_alpha_module" not in sys.modules


JOBS = "@hookimpl\ndef flowzz_jobs(self):\n    return "
LIMITS = "@hookimpl\ndef flowzz_queue_limits(self):\n    return "
SOURCES = "@hookimpl\ndef flowzz_data_sources(self):\n    return "
NOTIFIERS = "@hookimpl\ndef flowzz_notifiers(self):\n    return "
PAGES = "@hookimpl\ndef flowzz_admin_pages(self):\n    return "
SCHEDULES = "@hookimpl\ndef flowzz_schedules(self):\n    return "
BROKEN: dict[str, tuple[dict[str, str], PluginState, str]] = {
    "missing module": ({"code": "import no_such_module_4711"}, PluginState.IMPORT_ERROR, "no_such_module_4711"),
    "syntax error": ({"code": "def ("}, PluginState.IMPORT_ERROR, "SyntaxError"),
    "exit at import": ({"code": "import sys; sys.exit(3)"}, PluginState.IMPORT_ERROR, "SystemExit: 3"),
    "odd exception": ({"code": "raise BaseException('odd')"}, PluginState.IMPORT_ERROR, "odd"),
    "no attribute": ({"code": "x = 1"}, PluginState.IMPORT_ERROR, "plugin"),
    "not a plugin": ({"code": "plugin = {'name': 'bad'}"}, PluginState.INVALID_CONFIG, "got {'name': 'bad'}"),
    "hostile repr": (
        {"code": "class X:\n    def __repr__(self): raise RuntimeError('hostile')\nplugin = X()"},
        PluginState.INVALID_CONFIG,
        "hostile",
    ),
    "other entry name": ({"entry": "other", "distribution": "bad"}, PluginState.INVALID_CONFIG, "'other'"),
    "not a specifier": ({"api": "one"}, PluginState.INVALID_CONFIG, "'one'"),
    "newer api": ({"api": ">=2"}, PluginState.INCOMPATIBLE, "this Flowzz has 1.2"),
    "unknown hook": (
        {"hooks": "@hookimpl\ndef flowzz_jbos(self):\n    return []"},
        PluginState.INVALID_CONFIG,
        "did you mean 'flowzz_jobs'",
    ),
    "wrong parameters": (
        {"hooks": "@hookimpl\ndef flowzz_jobs(self, config):\n    return []"},
        PluginState.INVALID_CONFIG,
        "config",
    ),
    "raising hook": ({"hooks": JOBS + "1 / 0"}, PluginState.UNHEALTHY, "ZeroDivisionError"),
    "exiting hook": ({"hooks": JOBS + "exit(1)"}, PluginState.UNHEALTHY, "SystemExit"),
    "late raising hook": (
        {"hooks": GOOD.format("bad").replace('[click.Group("bad")]', "1 / 0")},
        PluginState.UNHEALTHY,
        "ZeroDivisionError",
    ),
    "string": ({"hooks": JOBS + "'bad.run'"}, PluginState.INVALID_CONFIG, "expected a list of JobDefinition"),
    "none in list": ({"hooks": JOBS + "[None]"}, PluginState.INVALID_CONFIG, "expected JobDefinition, got None"),
    "generator": ({"hooks": JOBS + "(x for x in ())"}, PluginState.INVALID_CONFIG, "expected a list"),
    "foreign job": ({"hooks": JOBS + "[simple('good.run')]"}, PluginState.INVALID_CONFIG, "'bad.job'"),
    "wrong job name": ({"hooks": JOBS + "[simple('Bad')]"}, PluginState.INVALID_CONFIG, "'Bad'"),
    "wrong timeout": (
        {"hooks": JOBS + "[JobDefinition('bad.run', print, Data, 'q', timeout=timedelta(0))]"},
        PluginState.INVALID_CONFIG,
        "a timeout above 0",
    ),
    "wrong payload": (
        {"hooks": JOBS + "[JobDefinition('bad.run', print, dict, 'q')]"},
        PluginState.INVALID_CONFIG,
        "a pydantic model",
    ),
    "job twice": (
        {"hooks": JOBS + "[simple('bad.run'), simple('bad.run')]"},
        PluginState.CONFLICT,
        "'bad.run' is declared twice by flowzz-bad",
    ),
    "foreign schedule": (
        {"hooks": SCHEDULES + "[every_hour('good.run', 'good.run')]"},
        PluginState.INVALID_CONFIG,
        "'bad.schedule'",
    ),
    "wrong zone": (
        {"hooks": SCHEDULES + "[every_hour('bad.run', 'good.run', timezone='Mars/Base')]"},
        PluginState.INVALID_CONFIG,
        "'Mars/Base'",
    ),
    "wrong cron": (
        {"hooks": SCHEDULES + "[every_hour('bad.run', 'good.run', cron='@hourly')]"},
        PluginState.INVALID_CONFIG,
        "'@hourly'",
    ),
    "schedule of nobody's job": (
        {"hooks": SCHEDULES + "[every_hour('bad.run', 'good.runn')]"},
        PluginState.CONFLICT,
        "did you mean 'good.run'",
    ),
    "two webhooks": (
        {"hooks": "@hookimpl\ndef flowzz_webhooks(self):\n    return [Webhook(plugin='bad', receive=print)] * 2"},
        PluginState.INVALID_CONFIG,
        "at most one",
    ),
    "foreign webhook": (
        {"hooks": "@hookimpl\ndef flowzz_webhooks(self):\n    return [Webhook(plugin='good', receive=print)]"},
        PluginState.INVALID_CONFIG,
        "'good'",
    ),
    "challenge no callable": (
        {
            "hooks": "@hookimpl\ndef flowzz_webhooks(self):\n"
            "    return [Webhook(plugin='bad', receive=print, challenge='yes')]"
        },
        PluginState.INVALID_CONFIG,
        "challenge to be callable",
    ),
    "foreign source": (
        {"hooks": SOURCES + "[source('good.x', 'bad')]"},
        PluginState.INVALID_CONFIG,
        "'bad.data source'",
    ),
    "source of another": (
        {"hooks": SOURCES + "[source('bad.x', 'good')]"},
        PluginState.INVALID_CONFIG,
        "plugin to be 'bad', got 'good'",
    ),
    "no columns": (
        {"hooks": SOURCES + "[source('bad.x', 'bad', columns=())]"},
        PluginState.INVALID_CONFIG,
        "a tuple of columns",
    ),
    "column twice": (
        {"hooks": SOURCES + "[source('bad.x', 'bad', columns=(CITY, CITY))]"},
        PluginState.INVALID_CONFIG,
        "each column once",
    ),
    "column name": (
        {"hooks": SOURCES + "[source('bad.x', 'bad', columns=(DataColumn(name='a b', title='', kind='text'),))]"},
        PluginState.INVALID_CONFIG,
        "'a b'",
    ),
    "column kind": (
        {"hooks": SOURCES + "[source('bad.x', 'bad', columns=(DataColumn(name='a', title='', kind='float'),))]"},
        PluginState.INVALID_CONFIG,
        "column 'a': expected a kind of",
    ),
    "wrong topic": (
        {"hooks": SOURCES + "[source('bad.x', 'bad', topic='The Weather')]"},
        PluginState.INVALID_CONFIG,
        "a topic",
    ),
    "notifier no callable": (
        {"hooks": NOTIFIERS + "[Notifier(name='bad.x', plugin='bad', notify=None)]"},
        PluginState.INVALID_CONFIG,
        "notify to be callable",
    ),
    "notifier twice": (
        {"hooks": NOTIFIERS + "[Notifier(name='bad.x', plugin='bad', notify=print)] * 2"},
        PluginState.CONFLICT,
        "notifier 'bad.x' is declared twice",
    ),
    "two pages": (
        {"hooks": PAGES + "[AdminPages(plugin='bad', title='Bad', blueprint=list)] * 2"},
        PluginState.INVALID_CONFIG,
        "at most one",
    ),
    "no translations": (
        {"hooks": PAGES + "[AdminPages(plugin='bad', title='B', blueprint=list, translations=Path('/nowhere'))]"},
        PluginState.INVALID_CONFIG,
        "translations to be a folder",
    ),
    "half an upstream": (
        {
            "hooks": "@hookimpl\ndef flowzz_sandboxes(self):\n"
            "    return [Sandbox(plugin='bad', demo=print, blueprint=list)]"
        },
        PluginState.INVALID_CONFIG,
        "connection to be callable",
    ),
    "public pages of another": (
        {"hooks": "@hookimpl\ndef flowzz_public_pages(self):\n    return [PublicPages(plugin='good', blueprint=list)]"},
        PluginState.INVALID_CONFIG,
        "plugin to be 'bad'",
    ),
    "no versions folder": (
        {
            "hooks": "@hookimpl\ndef flowzz_migrations(self):\n"
            "    return [Migrations(plugin='bad', folder=Path('/nowhere'))]"
        },
        PluginState.INVALID_CONFIG,
        "versions",
    ),
    "taken command": (
        {"hooks": "@hookimpl\ndef flowzz_commands(self):\n    return [click.Group('aaa')]"},
        PluginState.CONFLICT,
        "both flowzz-aaa (in use) and flowzz-bad",
    ),
    "taken queue": (
        {"hooks": LIMITS + "[QueueLimits(queue='aaa-queue', concurrency=1)]"},
        PluginState.CONFLICT,
        "limit of queue 'aaa-queue' is declared by both flowzz-aaa (in use) and flowzz-bad",
    ),
    "limits of nothing": (
        {"hooks": LIMITS + "[QueueLimits(queue='bad')]"},
        PluginState.INVALID_CONFIG,
        "limits of queue 'bad': expected a rate or a concurrency",
    ),
    "no rate": (
        {"hooks": LIMITS + "[QueueLimits(queue='bad', rate='10/60s')]"},
        PluginState.INVALID_CONFIG,
        "expected rate to be a Rate",
    ),
    "nameless command": (
        {"hooks": "@hookimpl\ndef flowzz_commands(self):\n    return [click.Command(None)]"},
        PluginState.INVALID_CONFIG,
        "a name",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_says_why_contributes_nothing_and_stops_nobody(site: Path, home: Path, case: str) -> None:
    arguments, state, said = BROKEN[case]
    install(site, "aaa", GOOD.format("aaa"))
    name = install(site, "bad", **arguments)  # type: ignore[arg-type]
    install(site, "good", GOOD.format("good"))
    host = discover(home)
    found = record(host, name)
    assert found.state is state, found
    assert found.problem is not None
    assert said in found.problem
    assert (found.jobs, found.schedules) == ((), ())
    assert [one.name for one in host.records if one.state is PluginState.LOADED] == ["aaa", "good"]
    assert list(host.jobs) == ["aaa.run", "aaa.other", "good.run", "good.other"]
    assert set(host.webhooks) == set(host.sandboxes) == {"aaa", "good"}
    assert len(host.migrations) == len(host.commands) == 2
    assert not any("bad" in queue for queue in host.queues)


@pytest.mark.parametrize("name", ["core", "flowzz", "Bad", "with-dash"])
def test_a_reserved_or_odd_plugin_name_is_refused(site: Path, home: Path, name: str) -> None:
    install(site, name, distribution="odd")
    assert record(discover(home), "odd").state is PluginState.INVALID_CONFIG


def test_a_distribution_for_another_flowzz_is_not_even_imported(site: Path, home: Path) -> None:
    code = "raise RuntimeError('imported')"
    name = install(site, "tomorrow", code=code, requires=["flowzz>=99; python_version>'3'", "click"])
    install(site, "yesterday", code=code, requires=["flowzz>=99; extra=='never'", "not a requirement"])
    host = discover(home)
    found = record(host, name)
    assert found.state is PluginState.INCOMPATIBLE
    assert "flowzz>=99" in (found.problem or "")
    assert record(host, "yesterday").state is PluginState.IMPORT_ERROR


def test_two_distributions_of_one_name_conflict_and_the_rightful_one_loads(site: Path, home: Path) -> None:
    install(site, "alpha", GOOD.format("alpha"))
    install(site, "alpha", code="raise RuntimeError('imported')", distribution="aaa-intruder")
    host = discover(home)
    assert record(host, "flowzz-alpha").state is PluginState.LOADED
    loser = record(host, "aaa-intruder")
    assert loser.state is PluginState.CONFLICT
    assert "flowzz-alpha" in (loser.problem or "")
    assert "aaa-intruder" in (loser.problem or "")
    assert host.job("alpha.run").source == "flowzz-alpha"


def test_when_the_rightful_one_is_broken_the_other_loads(site: Path, home: Path) -> None:
    install(site, "alpha", code="raise RuntimeError('broken')")
    install(site, "alpha", GOOD.format("alpha"), distribution="fork")
    host = discover(home)
    assert record(host, "flowzz-alpha").state is PluginState.IMPORT_ERROR
    assert host.job("alpha.run").source == "fork"


def test_withdrawing_a_plugin_withdraws_those_that_schedule_its_jobs(site: Path, home: Path) -> None:
    def scheduling(own: str, other: str) -> str:
        return f"{JOBS}[simple('{own}.run')]\n{SCHEDULES}[every_hour('{own}.run', '{other}')]"

    install(site, "alpha", scheduling("alpha", "beta.run"))
    install(site, "beta", scheduling("beta", "nobody.run"))
    install(site, "gamma", scheduling("gamma", "gamma.run"))
    host = discover(home)
    states = {one.name: one.state for one in host.records}
    assert states == {"alpha": PluginState.CONFLICT, "beta": PluginState.CONFLICT, "gamma": PluginState.LOADED}
    assert list(host.jobs) == list(host.schedules) == ["gamma.run"]


@pytest.mark.parametrize("content", [f"[{GROUP}]\nbad = \n", f"[{GROUP}]\nbad\n", f"[{GROUP}\n", "\xff"])
def test_damaged_entry_points_stop_nobody(site: Path, home: Path, content: str) -> None:
    install(site, "bad", entry_points=content)
    install(site, "good", GOOD.format("good"))
    host = discover(home)
    assert list(host.jobs) == ["good.run", "good.other"]
    assert {one.state for one in host.records if one.name == "bad"} <= {PluginState.IMPORT_ERROR}


def test_a_distribution_without_metadata_stops_nobody(site: Path, home: Path) -> None:
    (site / "nameless-1.0.dist-info").mkdir()
    (site / "empty-1.0.dist-info").mkdir()
    (site / "empty-1.0.dist-info" / "METADATA").write_text("")
    install(site, "good", GOOD.format("good"))
    assert list(discover(home).jobs) == ["good.run", "good.other"]


def test_a_distribution_found_twice_on_the_path_counts_once(site: Path, home: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    install(site, "alpha", GOOD.format("alpha"), version="2.0")
    install(later, "alpha", code="raise RuntimeError('the other one')", version="1.0")
    sys.path.append(str(later))
    assert [(one.name, one.version, one.state) for one in discover(home).records] == [
        ("alpha", "2.0", PluginState.LOADED)
    ]


def test_the_group_is_flowzz_plugins_unless_said_otherwise(site: Path, home: Path) -> None:
    install(site, "alpha", GOOD.format("alpha"), group="flowzz.plugins")
    assert record(PluginHost.discover(Settings.load(home=home)), "alpha").state is PluginState.LOADED
    assert discover(home).records == ()


def test_ctrl_c_at_import_is_not_taken_for_a_broken_plugin(site: Path, home: Path) -> None:
    install(site, "alpha", code="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover(home)


class Data(Payload):
    empresa_id: str


@job("given.run", queue="given")
def given_run(ctx: object, data: Data) -> None:
    """Run."""


class Given:
    @hookimpl
    def flowzz_jobs(self) -> list[JobDefinition[Data, None]]:
        return [given_run]


def test_plugins_at_hand_pass_the_same_steps() -> None:
    good = Plugin(name="given", title="Given", api=">=1,<2", hooks=Given())
    host = PluginHost.of([good, good, Plugin(name="other", title="Other", api=">=1,<2", hooks=Given())])
    assert [one.state for one in host.records] == [
        PluginState.LOADED,
        PluginState.CONFLICT,
        PluginState.INVALID_CONFIG,
    ]
    assert host.job("given.run").source == "given"
    assert given_run.source == ""


def test_an_unknown_job_carries_the_nearest_name() -> None:
    host = PluginHost.of([Plugin(name="given", title="Given", api=">=1,<2", hooks=Given())])
    with pytest.raises(UnknownJob, match=r"did you mean 'given\.run'") as caught:
        host.job("given.runs")
    assert caught.value.nearest == "given.run"
    with pytest.raises(UnknownJob) as far:
        host.job("zzz")
    assert far.value.nearest is None


def test_nobody_changes_a_host_from_outside() -> None:
    host = PluginHost.of([Plugin(name="given", title="Given", api=">=1,<2", hooks=Given())])
    with pytest.raises(TypeError):
        host.jobs["x"] = given_run  # type: ignore[index]


def test_every_hook_of_the_page_has_its_kind() -> None:
    names = {**vars(contributions), "JobDefinition": JobDefinition, "click": click}
    hooks = {name: hook for name, hook in vars(HookSpecs).items() if name.startswith("flowzz_")}
    assert set(hooks) == set(KINDS)
    for name, hook in hooks.items():
        assert get_type_hints(hook, names)["return"].__args__ == (KINDS[name],)
