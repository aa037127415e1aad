"""The bundled Valkey, with real servers: it keeps its data, its place and its privacy, and never outlives us."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from flowzz.errors import ConfigurationError, QueueUnavailable
from flowzz.settings import Settings
from flowzz.supervision import BundledValkey, bundled
from support.waiting import eventually


@pytest.fixture
def alone(home: Path) -> Settings:
    return Settings.load(home=home)


@pytest.fixture
def valkey(alone: Settings) -> Iterator[BundledValkey]:
    server = BundledValkey(alone)
    yield server
    server.stop()


def alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_keeps_data_port_and_password_over_a_restart(alone: Settings, valkey: BundledValkey) -> None:
    first = valkey.start()
    with Redis.from_url(first) as client:
        client.set("kept", "yes")
    assert valkey.stop()
    second = BundledValkey(alone)
    try:
        assert second.start() == first
        with Redis.from_url(first) as client:
            assert client.get("kept") == b"yes"
    finally:
        second.stop()


def test_it_is_private_durable_and_never_evicts(alone: Settings, valkey: BundledValkey) -> None:
    url = valkey.start()
    with Redis.from_url(url) as client:
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    assert bundled.ask(int(url.rpartition(":")[2].split("/")[0]), "wrong", "PING").startswith(b"-WRONGPASS")
    folder = alone.data_folder / "valkey"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folder.rglob("*")}
    assert set(modes.values()) == {0}, modes
    password = url.split(":")[2].split("@")[0]
    assert password not in Path(f"/proc/{valkey.pid}/cmdline").read_text()
    assert password not in Path(f"/proc/{valkey.pid}/environ").read_text()


def test_other_processes_of_the_home_find_it_while_it_runs(alone: Settings, valkey: BundledValkey) -> None:
    assert not bundled.is_running(alone)
    url = valkey.start()
    assert alone.resolve_redis_url() == url
    assert bundled.is_running(alone)
    valkey.stop()
    assert not bundled.is_running(alone)
    assert alone.resolve_redis_url() is None


def test_an_address_that_a_crash_left_behind_is_not_taken_for_a_server(alone: Settings, valkey: BundledValkey) -> None:
    valkey.start()
    valkey.kill()
    assert alone.bundled_url_file.exists()
    assert not bundled.is_running(alone)


def test_data_survives_kill_minus_9(alone: Settings, valkey: BundledValkey) -> None:
    with Redis.from_url(valkey.start()) as client:
        client.config_set("appendfsync", "always")
        client.set("kept", "yes")
    valkey.kill()
    valkey.spawn()
    eventually(lambda: bundled.is_running(alone))
    with Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"yes"


def test_a_second_one_for_the_same_home_is_refused(alone: Settings, valkey: BundledValkey) -> None:
    valkey.start()
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()} already runs the bundled Valkey"):
        BundledValkey(alone).start()
    assert bundled.is_running(alone)


def test_a_taken_port_makes_it_move(alone: Settings, valkey: BundledValkey) -> None:
    first = valkey.start()
    valkey.stop()
    port = int(first.rpartition(":")[2].split("/")[0])
    with bundled.socket.create_server(("127.0.0.1", port)):
        assert valkey.start() != first
    assert alone.resolve_redis_url() == valkey.url


def test_a_server_that_cannot_start_says_why(alone: Settings, valkey: BundledValkey) -> None:
    valkey.start()
    valkey.stop()
    (broken,) = (alone.data_folder / "valkey" / "appendonlydir").glob("*.manifest")
    broken.write_text("nonsense\n")
    with pytest.raises(QueueUnavailable, match=r"did not start: .*(AOF|manifest).*valkey\.log"):
        valkey.start()


OWNER = """
import sys
from flowzz import logs
from flowzz.settings import Settings
from flowzz.supervision import BundledValkey
settings = Settings.load(home=sys.argv[1])
logs.configure(settings, "test")
server = BundledValkey(settings)
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_it_dies_with_its_owner_and_the_next_owner_gets_the_data(alone: Settings, valkey: BundledValkey) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(alone.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    with owner.stdin, owner.stdout:
        pid = int(owner.stdout.readline())
        with Redis.from_url(alone.resolve_redis_url() or "") as client:
            client.set("kept", "yes")
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        url = valkey.start()
    eventually(lambda: not alive(pid))
    with Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"
