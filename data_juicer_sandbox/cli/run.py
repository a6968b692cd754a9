"""`dj-sandbox --config x.yaml`: run it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from data_juicer_sandbox.cli import options
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.errors import ConfigError, ConfigErrors, SandboxError
from data_juicer_sandbox.secrets import mask, mask_text

NAME = "run"
PRINT = "--print_config"


def run(arguments: list[str], epilog: str | None = None) -> int:
    """Run a config; returns the exit code."""
    made = options.parser(NAME, "Find out which data makes which model better: run the jobs of a config.", epilog)
    made.add_argument(PRINT, action="store_true", help="print the config as it would be run, and end")
    # jsonargparse has an option of this name of its own, for parsers that read the config themselves
    read = options.read(made, [argument for argument in arguments if argument != PRINT])
    if isinstance(read, int):
        return read
    given, overrides = read
    if PRINT in arguments:
        return _print_config(given["config"], overrides)
    return _run(given["config"], overrides, given.get("trust_checkpoint", False))


def _run(path: str, overrides: dict[str, Any], trust_checkpoint: bool) -> int:
    from data_juicer_sandbox.config.loader import load
    from data_juicer_sandbox.engine.interruption import interruptible

    config, problems = load(path, overrides)
    if config is None or problems:
        return _refuse(config, problems)
    with interruptible():
        return _carry_out(config, _command(path, overrides), trust_checkpoint)


def _carry_out(config: SandboxConfig, again: str, trust_checkpoint: bool) -> int:
    """Run a checked config, and say how it ended.

    Args:
        config: the run.
        again: the command that continues it.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects.
    """
    from data_juicer_sandbox import api
    from data_juicer_sandbox.engine.summary import tables
    from data_juicer_sandbox.terminal import logs
    from data_juicer_sandbox.terminal.progress import view_for

    screen = view_for(sys.stderr)
    log = Path(config.work_dir) / logs.FILE
    try:
        result = api.run(config, screen, trust_checkpoint=trust_checkpoint)
        notes = [*result.notes, *_report(Path(config.work_dir))]
        screen.run_done(result.seconds, len(result.ran), len(result.kept), notes)
        for table in (*tables(result.context), *result.tables):
            screen.table(table.title, table.columns, table.rows)
        return 0
    except KeyboardInterrupt:
        screen.close()
        print(f"\ninterrupted. Everything finished is kept; go on with:\n  {again}", file=sys.stderr)
        return 130
    except api.JobFailed as error:
        _report(Path(config.work_dir))
        screen.failure(error.label, error.cause, str(log), again)
        return error.exit_code
    except SandboxError as error:
        screen.close()
        print(mask_text(f"dj-sandbox: {error}"), file=sys.stderr)
        if config.debug and not isinstance(error, ConfigErrors):
            raise
        return error.exit_code
    finally:
        screen.close()
        logs.close()


def _refuse(config: SandboxConfig | None, problems: list[ConfigError]) -> int:
    """Say all that is wrong with a config, also what only the second look finds."""
    from data_juicer_sandbox.validation import validate

    found = [*problems, *(validate(config).problems if config is not None else [])]
    print(options.refusal(ConfigErrors(found)), file=sys.stderr)
    return 2


def _print_config(path: str, overrides: dict[str, Any]) -> int:
    from data_juicer_sandbox.config.dump import dump_config
    from data_juicer_sandbox.config.interpolation import escape
    from data_juicer_sandbox.config.keys import KEYS
    from data_juicer_sandbox.config.loader import load

    config, problems = load(path, overrides)
    if config is None or problems:
        return _refuse(config, problems)
    defaults = {name: key.default for name, key in KEYS.items() if not name.endswith("_job_configs")}
    merged = mask({**defaults, **config.given})
    if config.sweep is not None:  # it may lie beside its config, where the printed one will not be
        merged["hpo_config"] = escape(str(Path(config.sweep.source.file).absolute()))
    try:
        print(dump_config(merged), end="")
    except ConfigError as error:
        print(options.refusal(error), file=sys.stderr)
        return error.exit_code
    return 0


def _report(work_dir: Path) -> list[str]:
    """Draw the page; returns the lines that say where things lie. A page that cannot be drawn fails no run."""
    from loguru import logger

    from data_juicer_sandbox import report

    notes = [f"results: {work_dir / 'context_infos.json'}", f"metrics: {work_dir / 'metrics.jsonl'}"]
    try:
        notes.insert(0, f"report:  {report.build(work_dir)}")
    except Exception as error:
        logger.opt(exception=error).warning("the report could not be drawn: {}", error)
    return notes


def _command(path: str, overrides: dict[str, Any]) -> str:
    """The command that continues this run."""
    import json

    parts = ["dj-sandbox", "--config", path]
    for name, value in mask({key: value for key, value in overrides.items() if key != "resume"}).items():
        parts += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return " ".join(map(shlex.quote, [*parts, "--resume", "true"]))
