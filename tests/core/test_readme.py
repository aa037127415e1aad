"""The plugin of the README works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from flowzz.plugins.contributions import Plugin
from flowzz.plugins.host import PluginHost

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_plugin_loads_and_its_job_greets() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    plugin = names["plugin"]
    assert isinstance(plugin, Plugin)
    host = PluginHost.of([plugin])
    assert [record.problem for record in host.records] == [None]
    assert host.job("hello.greet").payload_model.model_json_schema()["required"] == ["empresaId"]


def test_every_link_of_the_readme_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
