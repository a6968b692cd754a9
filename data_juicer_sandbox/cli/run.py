"""`dj-sandbox --config x.yaml`: run it."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.cli.main import PRINT
from data_juicer_sandbox.cli.messages import complain
from data_juicer_sandbox.errors import ConfigError, ConfigErrors, SandboxError
from data_juicer_sandbox.installation import program
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import ConfigValues

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from data_juicer_sandbox.api import Sandbox
    from data_juicer_sandbox.results import Results
    from data_juicer_sandbox.terminal.view import View

NAME = "run"


class Jobs(NamedTuple):
    """The jobs that `--force` and `--from` name."""

    force: str | Sequence[str]
    start: str | Sequence[str]


def parser(epilog: str | None = None) -> ArgumentParser:
    """The command's parser.

    Args:
        epilog: the text after the options in `--help`.
    """
    result = options.parser(
        NAME, "Run the jobs of a config: process data, train models, evaluate them, and compare the results.", epilog
    )
    result.add_argument(PRINT, action="store_true", help="print the config with all defaults and exit, without a run")
    return result


def run(arguments: list[str], epilog: str | None = None) -> int:
    """Run a config; returns the exit code."""
    # jsonargparse has an option of this name of its own, for parsers that read the config themselves
    read = options.read(parser(epilog), [argument for argument in arguments if argument != PRINT])
    if isinstance(read, int):
        return read
    settings, overrides = read
    flags = {name: settings.get(name, False) for name in ("trust_checkpoint", "untrusted")}
    if PRINT in arguments:
        return _print_config(settings["config"], overrides, settings.get("set"), flags["untrusted"])
    jobs = Jobs(settings.get("force", ()), settings.get("from", ()))
    return _run(settings["config"], overrides, settings.get("set"), **flags, jobs=jobs)


def _run(
    path: str,
    overrides: ConfigValues,
    assignments: ConfigValues | None,
    *,
    trust_checkpoint: bool,
    untrusted: bool,
    jobs: Jobs,
) -> int:
    from data_juicer_sandbox.api import Sandbox
    from data_juicer_sandbox.interruption import interruptible
    from data_juicer_sandbox.terminal import logs

    logs.show_warnings_only()
    try:
        sandbox = Sandbox(path, trust_checkpoint=trust_checkpoint, untrusted=untrusted, set=assignments, **overrides)
    except ConfigErrors as error:
        return _refuse(error)
    with interruptible():
        return _show_run(sandbox, _command(path, overrides, assignments, untrusted), jobs)


def _show_run(sandbox: Sandbox, command: str, jobs: Jobs) -> int:
    """Run a config and show how it ended; returns the exit code.

    Args:
        sandbox: the config.
        command: the command that continues the run.
        jobs: the jobs to redo.
    """
    from data_juicer_sandbox.engine.runner import JobFailed, JobsFailed
    from data_juicer_sandbox.results import load_results
    from data_juicer_sandbox.terminal.progress import view_for

    screen = view_for(sys.stderr)
    try:
        results = sandbox.run(view=screen, force=jobs.force, from_job=jobs.start)
        screen.run_done(results.seconds, len(results.ran), len(results.kept), results.notes)
        _show_results(screen, results)
        return 0
    except KeyboardInterrupt:
        screen.close()
        complain(f"\ninterrupted. Results of finished jobs are kept; resume with:\n  {command}")
        return 130
    except JobsFailed as error:
        screen.close()
        _show_results(screen, load_results(sandbox.config.work_dir))
        screen.failures(error.failures, error.skipped, command)
        return error.exit_code
    except JobFailed as error:
        screen.failure(error.label, error.cause, str(error.log), command)
        return error.exit_code
    except ConfigErrors as error:
        screen.close()
        return _refuse(error)
    except SandboxError as error:
        screen.close()
        print(options.refusal(error), file=sys.stderr)
        if sandbox.config.debug:
            complain(traceback.format_exc())
        return error.exit_code
    finally:
        screen.close()


def _show_results(screen: View, results: Results) -> None:
    from data_juicer_sandbox.engine.summary import tables

    for table in (*tables(results.context), *results.rankings, *results.tables):
        screen.table(table.title, table.columns, table.rows)
    for sentence in results.conclusions:
        screen.message(sentence)


def _print_config(path: str, overrides: ConfigValues, assignments: ConfigValues | None, untrusted: bool) -> int:
    from data_juicer_sandbox.api import Sandbox
    from data_juicer_sandbox.config.dump import dump_config
    from data_juicer_sandbox.config.interpolation import escape
    from data_juicer_sandbox.config.keys import KEYS

    try:
        config = Sandbox(path, untrusted=untrusted, set=assignments, **overrides).config
    except ConfigErrors as error:
        return _refuse(error)
    defaults = {name: key.default for name, key in KEYS.items() if not name.endswith("_job_configs")}
    merged = mask({**defaults, **config.content})
    if config.sweep is not None:  # it may lie beside its config, where the printed one will not be
        merged["hpo_config"] = escape(str(Path(config.sweep.source.file).absolute()))
    try:
        print(dump_config(merged), end="")
    except ConfigError as error:
        print(options.refusal(error), file=sys.stderr)
        return error.exit_code
    return 0


def _refuse(error: ConfigErrors) -> int:
    print(options.refusal(error), file=sys.stderr)
    return error.exit_code


def _command(path: str, overrides: ConfigValues, assignments: ConfigValues | None, untrusted: bool) -> str:
    """The command that continues this run."""
    import json

    parts = ["--config", path, *([options.UNTRUSTED] if untrusted else [])]
    for name, value in mask({key: value for key, value in overrides.items() if key != "resume"}).items():
        parts += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    for name, value in mask(assignments or {}).items():
        parts += ["--set", f"{name}={json.dumps(value)}"]
    return " ".join([program(), *map(shlex.quote, [*parts, "--resume", "true"])])
