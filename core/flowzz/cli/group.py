"""The group ``flowzz``: loads a command's module when the command is called, and turns errors into one clear line."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import IO, Any

import click

from flowzz.errors import FlowzzError

LOGGED_AS = {"level": "error", "logger": "flowzz.cli"}

COMMANDS = {
    "up": "Start everything: Valkey, web, workers, scheduler.",
    "demo": "Start everything with a sandbox and run each job once.",
    "worker": "Run jobs.",
    "scheduler": "Fire the schedules.",
    "web": "Serve the admin, the API and the webhooks.",
    "sandbox": "Play the plugins' upstreams.",
    "enqueue": "Put a job into its queue.",
    "jobs": "Look at jobs; explain, retry, cancel and remove them.",
    "queues": "Look at queues, pause and resume them.",
    "pause": "Hold back a queue, a type of job or a company.",
    "resume": "Let a queue, a type of job or a company run again.",
    "schedules": "Look at schedules; pause, edit, revert and run them.",
    "events": "See what happened, and follow what happens.",
    "limits": "See how far limits are used, and change them.",
    "batches": "Enqueue jobs as one batch, and see how far it is.",
    "chain": "Enqueue jobs that run one after the other.",
    "dead": "Look at jobs that failed for good; replay or remove them.",
    "workers": "See which workers are alive, and what they do.",
    "plugins": "See which plugins are loaded, and why one is not.",
    "health": "Tell whether the queues are healthy.",
    "users": "Add and list who may log in.",
    "companies": "Add, list and remove companies.",
    "connections": "Connect companies to upstreams.",
    "migrate": "Bring the database's tables up to date.",
    "keys": "Rotate the key of stored credentials.",
}


class CommandFailed(click.ClickException):
    """An error for people: one line in red, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        said = click.style("Error: ", fg="red", bold=True) + self.format_message()
        click.echo(said, file=file, err=file is None)


class FlowzzGroup(click.Group):
    """Core commands by module name, then those that plugins contribute; ours win a clash of names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *sorted(_plugin_commands().keys() - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return _plugin_commands().get(cmd_name)
        module = importlib.import_module(f"flowzz.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        contributed = {name: command for name, command in _plugin_commands().items() if name not in COMMANDS}
        if contributed:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [(name, found.get_short_help_str(80)) for name, found in sorted(contributed.items())]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises ends as one line, or as a traceback with ``--debug``."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, KeyboardInterrupt, BrokenPipeError):
            raise
        except FlowzzError as error:
            _keep(ctx, error, with_traceback=False)
            if ctx.params.get("debug"):
                raise
            raise CommandFailed(str(error)) from error
        except Exception as error:
            _keep(ctx, error, with_traceback=True)
            if ctx.params.get("debug"):
                raise
            said = " ".join(str(error).split())
            raise CommandFailed(
                f"unexpected {type(error).__name__}: {said}; run it again with FLOWZZ_DEBUG=1 for the traceback"
            ) from error


def _keep(ctx: click.Context, error: Exception, *, with_traceback: bool) -> None:
    """Into the log files, for whoever looks later; the terminal gets its one line."""
    line: dict[str, Any] = {"event": str(error), "command": ctx.invoked_subcommand}
    if with_traceback:
        line["exception"] = "".join(traceback.format_exception(error))
    importlib.import_module("flowzz.logs").write_batch([line | LOGGED_AS], console=False)


def _plugin_commands() -> dict[str, click.Command]:
    """None when the settings cannot be read: the command that is called then says so itself."""
    importlib.import_module("flowzz.logs").mute()
    host = importlib.import_module("flowzz.plugins.host")
    settings = importlib.import_module("flowzz.settings")
    try:
        contributed = host.PluginHost.discover(settings.Settings.load()).commands
    except FlowzzError:
        return {}
    return {command.name: command for command in contributed if command.name}


@click.group(
    cls=FlowzzGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Settings are environment variables: FLOWZZ_HOME, REDIS_URL, DATABASE_URL and others.",
)
@click.version_option(package_name="flowzz")
@click.option("-q", "--quiet", is_flag=True, help="Log to the files only, not to the terminal.")
@click.option("--debug", is_flag=True, envvar="FLOWZZ_DEBUG", help="Show tracebacks.  [env: FLOWZZ_DEBUG]")
@click.pass_context
def main(ctx: click.Context, quiet: bool, debug: bool) -> None:
    """Background jobs for a business that lives in other people's APIs.

    \b
    flowzz demo                       everything, with a sandbox, each job run once
    flowzz up                         everything, for real
    flowzz enqueue coinzz.sync_sales --data '{"empresaId": "…"}' --wait
    """
    importlib.import_module("flowzz.logs").mute()
    session = importlib.import_module("flowzz.cli.session")
    ctx.obj = session.Session(quiet=quiet)
    if debug:
        sys.tracebacklimit = 1000
