"""The supervised tree, with real processes: who dies is replaced, stopping has an order, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flowzz.errors import ConfigurationError
from flowzz.supervision import Program, Tree
from flowzz.supervision.signals import Requests
from flowzz.supervision.spawning import FileLock, listen
from flowzz.supervision.tree import in_words
from support.waiting import eventually

CHILD = """
import os, signal, sys, threading
from pathlib import Path
name, folder, manner = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
asked = threading.Semaphore(0)
signal.signal(signal.SIGTERM, lambda *_: asked.release())
signal.signal(signal.SIGINT, lambda *_: asked.release())
def note(text):
    with open(folder / "diary", "a") as diary:
        diary.write(f"{name} {text}\\n")
note(f"started {os.getpid()}")
if manner == "crash":
    sys.exit(3)
asked.acquire()
note("asked")
if manner == "busy":
    asked.acquire()
    note("asked again")
    sys.exit(1)
if manner == "deaf":
    while True:
        signal.pause()
note("done")
"""


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    path = tmp_path / "diary"
    path.touch()
    return path


def child(diary: Path, name: str, manner: str = "good", grace_s: float = 30) -> Program:
    command = [sys.executable, "-c", CHILD, name, str(diary.parent), manner]
    return Program(name, command, goodbye="is asked to stop", grace_s=grace_s)


def entries(diary: Path, of: str = "") -> list[str]:
    return [line for line in diary.read_text().splitlines() if of in line]


def in_background(tree: Tree, action: object) -> int:
    """Run the tree here, in the main thread, while ``action`` happens in another."""
    errors: list[BaseException] = []

    def act() -> None:
        try:
            action()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            tree.stop()

    thread = threading.Thread(target=act)
    thread.start()
    code = tree.run()
    thread.join()
    if errors:
        raise errors[0]
    return code


def test_stages_stop_one_after_the_other(diary: Path) -> None:
    tree = Tree([[child(diary, "web")], [child(diary, "scheduler")], [child(diary, "w1"), child(diary, "w2")]])
    code = in_background(tree, lambda: eventually(lambda: len(entries(diary, "started")) == 4))
    assert code == 0
    story = [line for line in entries(diary) if "started" not in line]
    assert story[:4] == ["web asked", "web done", "scheduler asked", "scheduler done"]
    assert sorted(story[4:]) == ["w1 asked", "w1 done", "w2 asked", "w2 done"]


def test_who_dies_is_replaced(diary: Path) -> None:
    def kill_twice() -> None:
        for lives in (1, 2):
            eventually(lambda lives=lives: len(entries(diary, "started")) == lives)
            os.kill(int(entries(diary, "started")[-1].split()[-1]), signal.SIGKILL)
        eventually(lambda: len(entries(diary, "started")) == 3)

    assert in_background(Tree([[child(diary, "worker")]]), kill_twice) == 0


def test_a_crash_loop_slows_down_and_is_said(diary: Path, caplog: pytest.LogCaptureFixture) -> None:
    tree = Tree([[child(diary, "worker", "crash")]])
    seen = threading.Event()

    def five_deaths() -> None:
        eventually(lambda: len(entries(diary, "started")) >= 5)
        seen.set()

    in_background(tree, five_deaths)
    assert seen.is_set()
    assert [tree._stages[0][0].back_off(tree._stages[0][0].born) for _ in range(8)][-1] == 30.0


def test_a_second_signal_forces_it(diary: Path) -> None:
    tree = Tree([[child(diary, "worker", "busy")]])

    def stop_twice() -> None:
        eventually(lambda: entries(diary, "started"))
        os.kill(os.getpid(), signal.SIGTERM)
        eventually(lambda: entries(diary, "worker asked"))

    assert in_background(tree, stop_twice) == 1
    assert entries(diary)[-1] == "worker asked again"


def test_who_does_not_stop_in_time_is_killed_and_the_exit_is_1(diary: Path) -> None:
    tree = Tree([[child(diary, "web", "deaf", grace_s=0.3)], [child(diary, "worker")]])
    code = in_background(tree, lambda: eventually(lambda: len(entries(diary, "started")) == 2))
    assert code == 1
    assert entries(diary)[-1] == "worker done"


@pytest.mark.parametrize(("verdict", "code"), [(0, 0), (1, 1)])
def test_what_runs_beside_decides_when_it_ends(diary: Path, verdict: int, code: int) -> None:
    def beside() -> int:
        eventually(lambda: entries(diary, "started"))
        return verdict

    assert Tree([[child(diary, "worker")]]).run(beside) == code


def test_what_runs_beside_may_fail_and_everything_still_stops(diary: Path) -> None:
    def beside() -> int:
        eventually(lambda: entries(diary, "started"))
        raise ConfigurationError("no good")

    with pytest.raises(ConfigurationError, match="no good"):
        Tree([[child(diary, "worker")]]).run(beside)
    assert entries(diary)[-1] == "worker done"


SUPERVISOR = """
import sys
from flowzz.supervision import Program, Tree
sys.exit(Tree([[Program("a", sys.argv[1:], goodbye="bye", grace_s=30)]]).run())
"""


def test_children_die_with_a_killed_supervisor(diary: Path) -> None:
    command = [sys.executable, "-c", CHILD, "a", str(diary.parent), "good"]
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, *command])
    pid = int(eventually(lambda: entries(diary, "started"))[0].split()[-1])
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait(10)
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())
    assert entries(diary, "asked") == []


def test_a_port_in_use_names_the_option_to_change() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}: Address already in use.*--port"):
            listen("127.0.0.1", port)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == str(os.getpid())
    first.release()
    assert second.acquire()
    second.release()


@pytest.mark.parametrize(("code", "words"), [(0, "exit 0"), (-9, "SIGKILL"), (-999, "signal 999")])
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert in_words(code) == words


def test_an_echo_of_a_signal_is_no_second_request() -> None:
    asked: list[int] = []
    requests = Requests(lambda: asked.append(1))
    requests(signal.SIGTERM, None)
    requests(signal.SIGTERM, None)
    assert len(asked) == 1
    requests(signal.SIGINT, None)
    assert len(asked) == 2
