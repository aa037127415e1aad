"""The plugins' sandboxes under one roof: each plays its upstream under ``/<plugin>``."""

from __future__ import annotations

from flask import Flask

from flowzz.plugins.host import PluginHost


def create_sandbox(plugins: PluginHost) -> Flask:
    """An application of its own, to be served on a loopback port of its own; ``GET /`` lists the sandboxes."""
    app = Flask("flowzz_sandbox", static_folder=None)
    blueprints = {name: one.blueprint() for name, one in sorted(plugins.sandboxes.items()) if one.blueprint}
    for name, blueprint in blueprints.items():
        app.register_blueprint(blueprint, url_prefix=f"/{name}")

    @app.get("/")
    def index() -> dict[str, list[str]]:
        return {"sandboxes": [f"/{name}" for name in blueprints]}

    return app
