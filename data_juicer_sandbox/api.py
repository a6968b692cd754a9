"""The Python API: `Sandbox` checks, plans and runs a config. The command line calls nothing else.

`execution` is imported by `plan` and `run` only, so that `validate` stays fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.config.loader import load_source, plain_value, read_source
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.yaml_source import Source
from data_juicer_sandbox.errors import ConfigError, ConfigErrors
from data_juicer_sandbox.types import ConfigValues
from data_juicer_sandbox.validation import ValidationResult, validate
from data_juicer_sandbox.workflow.forced_jobs import forced_jobs

if TYPE_CHECKING:
    from data_juicer_sandbox.engine.planner import Step
    from data_juicer_sandbox.engine.schedule import Schedule
    from data_juicer_sandbox.engine.summary import Table
    from data_juicer_sandbox.results import Results
    from data_juicer_sandbox.terminal.view import View

__all__ = ["Plan", "Sandbox"]

_MEMORY = "the config"
"""Names a config that was passed as a mapping in errors."""


@dataclass(frozen=True)
class Plan:
    """What a run would do now: one step for each job, in order.

    Args:
        steps: for each job whether it runs, and why.
        resume: whether results of an earlier run are kept.
        schedule: which jobs can run side by side; None for a search, whose trials run one job after the other.
        not_installed: the libraries that are missing here, one text for each job, search or watcher that needs them.
    """

    steps: tuple[Step, ...]
    resume: bool
    schedule: Schedule | None = None
    not_installed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    @property
    def table(self) -> Table:
        """The plan as the command line shows it: run, keep or cache, wave, job, hook, what it reads from, why."""
        from data_juicer_sandbox.engine.summary import Table

        rows = [
            [
                "cache" if step.cached else "run" if step.runs else "keep",
                step.label,
                step.planned_job.job.hook,
                ", ".join(step.reads),
                step.reason,
            ]
            for step in self.steps
        ]
        cached = sum(step.cached for step in self.steps)
        running = sum(step.runs for step in self.steps) - cached
        title = f"{running} of {len(self.steps)} jobs would run" + (f", {cached} come from the cache" if cached else "")
        columns = ["", "job", "hook", "reads from", "why"]
        if (schedule := self.schedule) is not None:
            columns.insert(1, "wave")
            for row, wave in zip(rows, schedule.waves, strict=True):
                row.insert(1, "" if wave is None else str(wave))
            if any(schedule.waits):
                columns.insert(-1, "also waits for")
                for row, labels in zip(rows, schedule.waits, strict=True):
                    row.insert(-1, ", ".join(labels))
        return Table(title, columns, rows)

    def __str__(self) -> str:
        table = self.table
        rows = [[str(cell) for cell in row] for row in (table.columns, *table.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([table.title, *lines, *self.notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """The lines below the table: the longest chain of jobs that wait for each other, if jobs wait at all."""
        return (str(self.schedule),) if self.schedule and len(self.schedule.critical_path) > 1 else ()


class Sandbox:
    """A config that can be checked, planned and run.

    Args:
        config: the path of a YAML or JSON file, or its content as a mapping.
        trust_checkpoint: also read a checkpoint of an earlier version that holds Python objects. Reading such a file
            can execute code: use it for your own runs only.
        set: single values by dotted key, as `--set` of the command line: `{"main.train.extra_configs.seeds": [1, 2]}`,
            `{"vars.size": 500}`.
        untrusted: the config is somebody else's: refuse whatever could run their code, reach a server, or write
            outside of the current folder (docs/security.md).
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
             wave  job             hook                     reads from  why
        run  1     anonymous.rows  GeneralDataExecutorHook              not run yet
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
        set: Mapping[str, object] | None = None,
        untrusted: bool = False,
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
        self._assignments: ConfigValues = plain_value(set or {})
        self._valid_config: SandboxConfig | None = None
        if trust_checkpoint and untrusted:
            raise ConfigErrors([ConfigError("an untrusted config cannot be combined with `trust_checkpoint`")])
        self._trust_checkpoint, self._untrusted = trust_checkpoint, untrusted

    @property
    def config(self) -> SandboxConfig:
        """The typed config, as it was when it was last validated.

        Raises:
            ConfigErrors: a key has the wrong type or name; lists all errors of the config.
        """
        if self._valid_config is not None:
            return self._valid_config
        with self._policy():
            config, errors = self._load(None)
            if errors:
                raise ConfigErrors([*errors, *validate(config).problems])
            return config

    def validate(self, *, plugins: bool = True) -> list[str]:
        """Check the config without running it, and without importing heavy libraries.

        Args:
            plugins: import and construct the components that dotted paths and plug-ins name, to check their
                parameters; False imports no code but this package's own, and a warning names what is not checked.

        Returns:
            warnings.

        Raises:
            ConfigErrors: the config is wrong; a `ConfigError` that lists all errors, each with file and line.
        """
        with self._policy(own_code_only=not plugins):
            config, errors = self._load(None)
            findings = validate(config)
        warnings = findings.texts
        if errors or findings.problems:
            raise ConfigErrors([*errors, *findings.problems], warnings)
        self._valid_config = config
        return warnings

    def plan(
        self, *, resume: bool | None = None, force: str | Sequence[str] = (), from_job: str | Sequence[str] = ()
    ) -> Plan:
        """Decide for each job whether it would run now, and why. Changes nothing.

        Args:
            resume: keep results of an earlier run that are still valid; None: as the config says.
            force, from_job: jobs to redo, as in `run`.

        Raises:
            ConfigErrors: the config is wrong.
            CheckpointError: there is a checkpoint, and it is damaged.
        """
        from data_juicer_sandbox.execution import missing_of, plan_steps, schedule_of

        with self._policy():
            config, findings, forced = self._checked(resume, force, from_job)
            steps = tuple(plan_steps(config, findings.planned_jobs, self._trust_checkpoint, forced))
            not_installed = tuple(map(str, missing_of(findings.not_installed, steps)))
            return Plan(steps, config.resume, schedule_of(config, steps), not_installed)

    def run(
        self,
        *,
        resume: bool | None = None,
        force: str | Sequence[str] = (),
        from_job: str | Sequence[str] = (),
        view: View | None = None,
    ) -> Results:
        """Run the jobs. Afterwards logging, environment and standard streams of the process are as they were before.

        Args:
            resume: keep results of an earlier run that are still valid; None: as the config says.
            force: jobs to redo although nothing has changed, as `pipeline.job` or `job`: one, a list, or names with
                commas between them. Jobs that read from them run again too. Implies `resume`.
            from_job: redo this job, and all jobs after it in the order of the run. Implies `resume`.
            view: shows the progress, such as `data_juicer_sandbox.terminal.progress.view_for(sys.stderr)`; None shows
                nothing; warnings are in `sandbox.log`.

        Raises:
            ConfigErrors: the config is wrong, or a library that a job needs is not installed; nothing was changed.
            WorkDirError: the work directory is in use or not writable.
            CheckpointError: the checkpoint is damaged, or could not be written.
            JobFailed: a job failed; the results of all jobs before it are kept, and `load_results` reads them.
            JobsFailed: with `on_error: continue`, jobs failed, and all jobs that do not depend on them have run.
        """
        from data_juicer_sandbox.execution import check_installed, execute

        with self._policy():
            config, findings, forced = self._checked(resume, force, from_job)
            check_installed(config, findings, self._trust_checkpoint, forced)
            warnings = [str(warning) for warning in findings.warnings]
            return execute(config, findings.planned_jobs, warnings, view, self._trust_checkpoint, forced)

    def _policy(self, *, own_code_only: bool = False) -> AbstractContextManager[None]:
        return code_policy(own_code_only=own_code_only, untrusted=self._untrusted)

    def _load(self, resume: bool | None) -> tuple[SandboxConfig, list[ConfigError]]:
        overrides = self._overrides if resume is None else {**self._overrides, "resume": resume}
        config, errors = load_source(self._source, overrides, self._assignments)
        if config is None:
            raise ConfigErrors(errors)
        return config, errors

    def _checked(
        self, resume: bool | None, force: str | Sequence[str], from_job: str | Sequence[str]
    ) -> tuple[SandboxConfig, ValidationResult, frozenset[str]]:
        """The config, what the validation found, and the ids of the jobs to redo."""
        if (force or from_job) and resume is None and "resume" not in self._overrides:
            resume = True
        config, errors = self._load(resume)
        findings = validate(config)
        if errors or findings.problems:
            raise ConfigErrors([*errors, *findings.problems])
        return config, findings, forced_jobs(force, from_job, config, findings.planned_jobs)
