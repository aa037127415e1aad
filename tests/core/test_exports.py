"""What ``flowzz`` exports is complete, sorted and cheap to import."""

from __future__ import annotations

import subprocess
import sys
import types

import flowzz


def test_all_is_sorted_and_holds_every_public_name() -> None:
    public = {
        name
        for name, value in vars(flowzz).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert flowzz.__all__ == sorted(flowzz.__all__)
    assert set(flowzz.__all__) == public


def test_a_plugin_can_be_imported_without_database_redis_or_flask() -> None:
    code = "import flowzz, sys; print([m for m in ('sqlalchemy', 'redis', 'rq', 'flask') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
