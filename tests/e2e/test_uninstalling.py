"""`pip uninstall` of a plugin in an environment of its own: the rest runs, its jobs park, and run when it is back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.waiting import eventually

from .conftest import Installation

PLUGINS = Path(__file__).parents[2] / "plugins"
LEFT_OUT = "whatsapp"


@dataclass
class Scratch:
    """A virtual environment that has all this one has but the WhatsApp plugin, which pip puts in and takes out."""

    folder: Path
    wheels: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self) -> None:
        self.pip("install", "--quiet", "--no-deps", "--no-index", *map(str, self.wheels.glob("*.whl")))

    def uninstall(self) -> None:
        self.pip("uninstall", "--quiet", "--yes", f"flowzz-{LEFT_OUT}")

    def pip(self, *words: str) -> None:
        pip(self.python, *words)


def pip(python: str, *words: str) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    folder, ours, beside = tmp_path / "scratch", Path(sysconfig.get_path("purelib")), tmp_path / "beside"
    venv.create(folder, symlinks=True)
    beside.mkdir()
    for entry in ours.iterdir():
        if LEFT_OUT not in entry.name:
            (beside / entry.name).symlink_to(entry)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # ``addsitedir`` reads the .pth files there too, which is how the editable plugins are found.
    pth = f"import site; site.addsitedir({str(beside)!r})\n"
    (folder / "lib" / version / "site-packages" / "beside.pth").write_text(pth)
    source = tmp_path / "source"
    shutil.copytree(PLUGINS / LEFT_OUT, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    made = Scratch(folder, tmp_path / "wheels")
    pip(sys.executable, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made.wheels), str(source))
    made.install()
    return made


@pytest.fixture
def there(installation: Installation, scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """The installation, run by the scratch environment's own Python."""
    monkeypatch.setattr(sys, "executable", scratch.python)
    path = [part for part in installation.env["PYTHONPATH"].split(os.pathsep) if "site-packages" not in part]
    installation.env["PYTHONPATH"] = os.pathsep.join(path)
    installation.env["FLOWZZ_DISABLED_PLUGINS"] = "coinzz,facebook,report"
    return installation


def plugins(there: Installation) -> dict[str, str]:
    return {one["name"]: one["state"] for one in json.loads(there.run("plugins", "list", "--json").stdout)}


def test_an_uninstalled_plugins_jobs_park_and_run_when_it_is_back(there: Installation, scratch: Scratch) -> None:
    assert plugins(there)["whatsapp"] == "loaded"
    up, _url = there.up()
    company = json.loads(there.run("companies", "add", "Loja", "--json").stdout)["id"]
    payload = json.dumps({"empresaId": company})
    ahead = there.run("enqueue", "whatsapp.recover_webhooks", "--data", payload, "--delay", "45s", "--json")
    assert ahead.returncode == 0, ahead.stderr
    waiting = json.loads(ahead.stdout)["id"]
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0

    scratch.uninstall()
    up, _url = there.up()
    assert "whatsapp" not in plugins(there)
    packed = json.loads(there.run("enqueue", "shop.pack", "--data", '{"items": 2}', "--json").stdout)["id"]

    def of(job_id: str) -> dict[str, object]:
        shown: dict[str, object] = json.loads(there.run("jobs", "show", job_id, "--json").stdout)
        return shown

    eventually(lambda: of(packed)["state"] == "completed", 60)
    there.run("jobs", "retry", waiting)
    eventually(lambda: of(waiting)["state"] == "parked", 60)
    assert "install flowzz-whatsapp" in str(of(waiting)["note"])
    assert "flowzz-whatsapp" in there.run("jobs", "list", "--state", "parked").stdout
    assert "(flowzz-whatsapp)" in there.run("jobs", "explain", waiting).stdout
    assert "1 parked jobs wait for flowzz-whatsapp to be installed" in there.run("health").stderr
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0

    scratch.install()
    up, _url = there.up()
    assert plugins(there)["whatsapp"] == "loaded"
    eventually(lambda: of(waiting)["state"] == "completed", 60)
    up.send_signal(signal.SIGTERM)
    assert up.wait(40) == 0
