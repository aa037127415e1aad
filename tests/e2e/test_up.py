"""`flowzz up` as an operator lives with it: first start, everyday commands beside it, crashes, stopping."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from support.waiting import eventually

from .conftest import Installation


def gone(pid: int) -> bool:
    """True when the process has ended, reaped or not."""
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


def call(url: str, body: Any = None, token: str = "") -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
        return json.load(answer)


def test_the_first_up_makes_all_it_needs_and_later_ones_keep_it(installation: Installation) -> None:
    process, url = installation.up()
    password = re.search(r"password +(\S+) +\(shown this once\)", installation.out(process))
    assert password is not None
    login = {"email": "admin@flowzz.local", "password": password[1]}
    token = call(f"{url}/api/v1/auth/login", login)["token"]
    made = call(f"{url}/api/v1/jobs", {"job": "shop.pack", "payload": {"items": 5}}, token)["id"]
    done = eventually(lambda: (job := call(f"{url}/api/v1/jobs/{made}", token=token))["state"] == "completed" and job)
    assert done["result"] == {"packed": 5, "leftOver": 0}
    assert installation.run("jobs", "show", made).returncode == 0
    assert installation.run("health").returncode == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    again, url = installation.up()
    assert "password" not in installation.out(again)
    token = call(f"{url}/api/v1/auth/login", login)["token"]
    assert call(f"{url}/api/v1/jobs/{made}", token=token)["state"] == "completed"
    again.send_signal(signal.SIGINT)
    assert again.wait(30) == 0

    written = b"".join(file.read_bytes() for file in (installation.home / "logs").iterdir())
    written += installation.err(process).encode() + installation.err(again).encode()
    assert password[1].encode() not in written
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [installation.home, *installation.home.rglob("*")]}
    assert modes == {0}


def test_it_stops_in_order_and_says_each_step(installation: Installation) -> None:
    process, url = installation.up("--sandbox", "--sandbox-port", "0")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    told = [line for line in installation.err(process).splitlines() if " up[" in line]
    order = [
        "shutting down",
        "web stops accepting",
        "scheduler stops",
        "worker claims no more",
        "sandbox stops",
        "bundled Valkey saves its data",
        "database closed",
    ]
    places = [next((place for place, line in enumerate(told) if step in line), -1) for step in order]
    assert places == sorted(places)
    assert places[0] >= 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        call(f"{url}/health/queues")


def enqueue_waiting(installation: Installation, tmp_path: Path) -> tuple[str, Path]:
    """A job that runs until the returned file exists, once it has started."""
    started, go = tmp_path / "started", tmp_path / "go"
    payload = json.dumps({"started": str(started), "waitFor": str(go)})
    made = installation.run("enqueue", "shop.pack", "--data", payload).stdout.strip()
    eventually(started.exists, 60)
    return made, go


def test_active_jobs_finish_before_it_is_gone(installation: Installation, tmp_path: Path) -> None:
    process, _url = installation.up()
    made, go = enqueue_waiting(installation, tmp_path)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "worker claims no more" in installation.err(process), 60)
    go.touch()
    assert process.wait(30) == 0
    again, _ = installation.up()
    assert json.loads(installation.run("jobs", "show", made, "--json").stdout)["state"] == "completed"
    again.send_signal(signal.SIGTERM)
    again.wait(30)


def test_past_the_grace_unfinished_jobs_go_back_and_the_exit_is_1(installation: Installation, tmp_path: Path) -> None:
    installation.env["FLOWZZ_SHUTDOWN_GRACE"] = "0.5"
    process, _url = installation.up()
    made, go = enqueue_waiting(installation, tmp_path)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    go.touch()
    again, _ = installation.up()
    eventually(lambda: json.loads(installation.run("jobs", "show", made, "--json").stdout)["state"] == "completed", 60)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0


def test_a_second_signal_forces_it(installation: Installation, tmp_path: Path) -> None:
    process, _url = installation.up()
    enqueue_waiting(installation, tmp_path)
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "worker claims no more" in installation.err(process), 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 1
    assert "bundled Valkey saves its data and stops" in installation.err(process)


def test_what_crashes_is_replaced(installation: Installation) -> None:
    process, url = installation.up()
    for name in ("worker-1", "web", "valkey", "scheduler"):
        pid = installation.children(name, process)[-1] if name != "valkey" else valkey_pid(installation)
        before = installation.err(process).count(f"replaced  child={name} ")
        os.kill(pid, signal.SIGKILL)
        eventually(
            lambda name=name, before=before: installation.err(process).count(f"replaced  child={name} ") > before
        )
    eventually(lambda: healthy(url), 60)
    done = installation.run("enqueue", "shop.pack", "--wait", "--timeout", "30s")
    assert "completed" in done.stdout, installation.err(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def valkey_pid(installation: Installation) -> int:
    folder = str(installation.home / "valkey").encode()
    (found,) = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and cwd_of(entry) == folder and not gone(int(entry.name))
    ]
    return found


def cwd_of(process: Path) -> bytes:
    try:
        return bytes((process / "cwd").readlink())
    except OSError:
        return b""


def healthy(url: str) -> bool:
    try:
        return bool(call(f"{url}/health/queues")["status"] == "healthy")
    except (urllib.error.URLError, OSError):
        return False


def test_nobody_outlives_a_killed_supervisor(installation: Installation) -> None:
    process, _url = installation.up("--sandbox", "--sandbox-port", "0", "--workers", "2")
    pids = [installation.children(name, process)[0] for name in ("worker-1", "worker-2", "web", "scheduler", "sandbox")]
    pids += [
        int(pid)
        for pid in subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(pids[2])], capture_output=True, text=True, check=True
        ).stdout.split()
    ]
    pids.append(valkey_pid(installation))
    assert len(pids) == 7
    process.kill()
    process.wait(10)
    eventually(lambda: all(gone(pid) for pid in pids), 60)
    again, _url = installation.up()
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0


def test_a_second_up_of_the_same_home_says_so(installation: Installation) -> None:
    process, url = installation.up()
    second = installation.run("up", "--port", "0")
    assert second.returncode == 1
    assert f"already runs for {installation.home.resolve()} (process {process.pid})" in second.stderr
    assert healthy(url)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_port_in_use_is_a_clear_error(installation: Installation) -> None:
    process, url = installation.up()
    installation.env["FLOWZZ_HOME"] = str(installation.folder / "other")
    other = installation.run("up", "--port", url.rpartition(":")[2])
    assert other.returncode == 1
    assert "Address already in use; choose another with --port" in other.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_workers_beside_it_find_the_bundled_valkey(installation: Installation) -> None:
    process, _url = installation.up()
    worker = installation.start("worker", "--name", "helper")
    eventually(lambda: "worker started" in installation.err(worker), 60)
    assert installation.run("enqueue", "shop.pack", "--wait", "--timeout", "30s").returncode == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
