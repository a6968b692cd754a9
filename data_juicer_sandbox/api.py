"""The Python API: `Sandbox` checks, plans and runs a config. The command line calls nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from data_juicer_sandbox import report
from data_juicer_sandbox.component_run import plain_value, run_component
from data_juicer_sandbox.config.loader import load_source, read_source
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.yaml_source import Source
from data_juicer_sandbox.context.checkpoint import READABLE, Checkpoint
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.engine.iterations import iterate, plan_iterations
from data_juicer_sandbox.engine.planner import Step
from data_juicer_sandbox.engine.runner import JobFailed, RunContext
from data_juicer_sandbox.engine.session import session
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import ConfigError, ConfigErrors
from data_juicer_sandbox.results import Results, load_results
from data_juicer_sandbox.terminal.silent_view import SilentView
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.types import ConfigValues
from data_juicer_sandbox.validation import validate, validated_jobs
from data_juicer_sandbox.watchers import local
from data_juicer_sandbox.workflow.planned_job import PlannedJob

__all__ = ["JobFailed", "Plan", "Results", "Sandbox", "load_results", "run_component"]

_MEMORY = "the config"
"""Names a config that was passed as a mapping in errors."""


@dataclass(frozen=True)
class Plan:
    """What a run would do now: one step for each job, in order.

    Args:
        steps: for each job whether it runs, and why.
        resume: whether results of an earlier run are kept.
    """

    steps: tuple[Step, ...]
    resume: bool

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def table(self) -> Table:
        """The plan as the command line shows it: run or keep, job, hook, what it reads from, why."""
        rows = [
            ["run" if step.runs else "keep", step.label, step.planned_job.job.hook, ", ".join(step.reads), step.reason]
            for step in self.steps
        ]
        running = sum(step.runs for step in self.steps)
        title = f"{running} of {len(self.steps)} jobs would run"
        return Table(title, ["", "job", "hook", "reads from", "why"], rows)

    def __str__(self) -> str:
        table = self.table
        rows = [[str(cell) for cell in row] for row in (table.columns, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([table.title, *lines])


class Sandbox:
    """A config that can be checked, planned and run.

    Args:
        config: the path of a YAML or JSON file, or its content as a mapping.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects. Reading such a file
            can execute code: use it for your own runs only.
        overrides: top-level keys that replace those of the config, as the flags of the command line do:
            `work_dir`, `resume`, `max_iter_num`, ... Paths may be `Path` objects.

    Raises:
        ConfigError: the file cannot be read. Errors in its content are raised by `validate`, `plan` and `run`.

    Example:
        >>> import data_juicer_sandbox as dj
        >>> rows = {"type": "inline_rows", "rows": ["a", "b"], "key": "text", "export_path": "rows.jsonl"}
        >>> job = {"hook": "GeneralDataExecutorHook", "meta_name": "rows", "output": "path", "extra_configs": rows}
        >>> sandbox = dj.Sandbox({"execution_job_configs": [job]}, work_dir="out")
        >>> sandbox.validate()
        []
        >>> print(sandbox.plan())
        1 of 1 jobs would run
             job             hook                     reads from  why
        run  anonymous.rows  GeneralDataExecutorHook              not run yet
        >>> sandbox.run()["anonymous.rows.path"]
        'rows.jsonl'
        >>> sandbox.run(resume=True).kept
        ('anonymous.rows',)
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Mapping[str, object],
        *,
        trust_checkpoint: bool = False,
        **overrides: object,
    ):
        if isinstance(config, Mapping):
            self._source = Source(_MEMORY, plain_value(config))
        else:
            try:
                self._source = read_source(os.fspath(config))
            except ConfigError as error:
                raise ConfigErrors([error]) from error
        self._overrides: ConfigValues = plain_value(overrides)
        self._trust_checkpoint = trust_checkpoint

    @property
    def config(self) -> SandboxConfig:
        """The typed config.

        Raises:
            ConfigErrors: a key has the wrong type or name; lists all errors of the config.
        """
        config, errors = self._load(None)
        if errors:
            raise ConfigErrors([*errors, *validate(config).problems])
        return config

    def validate(self) -> list[str]:
        """Check the config without running it, and without importing heavy libraries.

        Returns:
            warnings.

        Raises:
            ConfigErrors: the config is wrong; a `ConfigError` that lists all errors, each with file and line.
        """
        config, errors = self._load(None)
        findings = validate(config)
        warnings = [str(warning) for warning in findings.warnings]
        if errors or findings.problems:
            raise ConfigErrors([*errors, *findings.problems], warnings)
        return warnings

    def plan(self, *, resume: bool | None = None) -> Plan:
        """Decide for each job whether it would run now, and why. Changes nothing.

        Args:
            resume: keep results of an earlier run that are still valid; None: as the config says.

        Raises:
            ConfigErrors: the config is wrong.
            CheckpointError: there is a checkpoint, and it is damaged.
        """
        config, planned_jobs, _ = self._checked(resume)
        checkpoint = Checkpoint(Path(config.work_dir))
        context = ContextInfos()
        if config.resume and checkpoint.exists():
            context = checkpoint.read(trust=self._trust_checkpoint)
        if config.sweep is not None:
            from data_juicer_sandbox.search import search

            return Plan(tuple(search.plan_search(config, config.sweep, planned_jobs, context)), config.resume)
        return Plan(tuple(plan_iterations(config, planned_jobs, context)), config.resume)

    def run(self, *, resume: bool | None = None, view: View | None = None) -> Results:
        """Run the jobs. Afterwards logging, environment and standard streams of the process are as they were before.

        Args:
            resume: keep results of an earlier run that are still valid; None: as the config says.
            view: shows the progress, such as `data_juicer_sandbox.terminal.progress.view_for(sys.stderr)`; None shows
                nothing; warnings are in `sandbox.log`.

        Raises:
            ConfigErrors: the config is wrong; nothing was changed.
            WorkDirError: the work directory is in use or not writable.
            CheckpointError: the checkpoint is damaged, or could not be written.
            JobFailed: a job failed; the results of all jobs before it are kept, and `load_results` reads them.
        """
        config, planned_jobs, warnings = self._checked(resume)
        screen = view or SilentView()
        with session(config, screen, self._trust_checkpoint) as run_context:
            for warning in warnings:
                logger.warning(warning)
            screen.run_started(len(config.pipelines), len(planned_jobs))
            try:
                results = _run_jobs(config, planned_jobs, run_context)
            except JobFailed:
                _draw_report(Path(config.work_dir))
                raise
            return Results(
                Path(config.work_dir),
                run_context.context,
                results.ran,
                results.kept,
                results.seconds,
                results.tables,
                (*results.notes, *_draw_report(Path(config.work_dir))),
            )

    def _load(self, resume: bool | None) -> tuple[SandboxConfig, list[ConfigError]]:
        overrides = self._overrides if resume is None else {**self._overrides, "resume": resume}
        config, errors = load_source(self._source, overrides)
        if config is None:
            raise ConfigErrors(errors)
        return config, errors

    def _checked(self, resume: bool | None) -> tuple[SandboxConfig, list[PlannedJob], list[str]]:
        config, errors = self._load(resume)
        if errors:
            raise ConfigErrors([*errors, *validate(config).problems])
        planned_jobs, warnings = validated_jobs(config)
        return config, planned_jobs, warnings


def _run_jobs(config: SandboxConfig, planned_jobs: list[PlannedJob], run_context: RunContext) -> Results:
    """Run the iterations, or the search if there is one."""
    started, work_dir = time.time(), Path(config.work_dir)
    if config.sweep is not None:
        from data_juicer_sandbox.search.search import search  # Optuna's import takes 1.5 seconds

        outcome = search(config, config.sweep, planned_jobs, run_context)
        ran, kept, tables, notes = outcome.ran, outcome.kept, outcome.tables, outcome.notes
    else:
        iterations = iterate(config, planned_jobs, run_context)
        several = len(iterations.history) > 1 or bool(config.iter_targets)
        ran, kept, tables, notes = iterations.ran, iterations.kept, (iterations.table(),) if several else (), ()
    seconds = time.time() - started
    return Results(work_dir, run_context.context, tuple(ran), tuple(kept), seconds, tuple(tables), tuple(notes))


def _draw_report(work_dir: Path) -> list[str]:
    """Write the report page; returns the lines that name the files of the run. A failed report fails no run."""
    notes = [f"results: {work_dir / READABLE}", f"metrics: {work_dir / local.FILE}"]
    try:
        notes.insert(0, f"report:  {report.build(work_dir)}")
    except Exception as error:
        logger.opt(exception=error).warning("the report could not be drawn: {}", error)
    return notes
