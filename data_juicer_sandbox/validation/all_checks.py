"""Run all checks: each job in order, with the jobs before it."""

from __future__ import annotations

from dataclasses import dataclass, field

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.errors import MAX_PROBLEMS, ConfigError, ConfigErrors
from data_juicer_sandbox.validation.components import check_component, check_needs, check_recipe
from data_juicer_sandbox.validation.files import WrittenPaths, check_files
from data_juicer_sandbox.validation.libraries import NotInstalled, not_installed
from data_juicer_sandbox.validation.original import planning_problems
from data_juicer_sandbox.validation.outputs import check_output_paths
from data_juicer_sandbox.validation.references import check_inputs, check_outputs, check_targets
from data_juicer_sandbox.validation.untrusted import check_untrusted_job, check_untrusted_run
from data_juicer_sandbox.watchers.watcher import chosen
from data_juicer_sandbox.workflow.overrides import resolve_overrides, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob, named_jobs, plan_job


@dataclass(frozen=True)
class ValidationResult:
    """The result of all checks.

    Args:
        planned_jobs: the jobs that were checked.
        problems: the errors.
        warnings: what is not an error, but may not be meant.
        not_installed: the libraries that are missing here: an error for the jobs that run here.
    """

    planned_jobs: list[PlannedJob]
    problems: list[ConfigError]
    warnings: list[ConfigError]
    not_installed: list[NotInstalled] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """All warnings; what is not installed comes last."""
        return [str(warning) for warning in (*self.warnings, *self.not_installed)]


def validate(config: SandboxConfig) -> ValidationResult:
    """Run every check that is possible before the run.

    Values that `input` or `local` will set are not checked here, but when their job starts.
    """
    problems: list[ConfigError] = []
    warnings: list[ConfigError] = []
    jobs = named_jobs()
    written = WrittenPaths(jobs)
    for job in config.jobs():
        planned_job = plan_job(job, config.variables)
        problems += planning_problems(planned_job)
        problems += check_inputs(planned_job, jobs)
        problems += check_outputs(planned_job)
        problems += check_component(planned_job)
        problems += check_recipe(planned_job)
        problems += check_files(planned_job, written)
        problems += check_untrusted_job(planned_job, written, config.work_dir)
        if not moves_outputs(config):
            problems += check_output_paths(planned_job, config.work_dir, config.files)
        warnings += _unread_recipe(planned_job)
        warnings += check_needs(planned_job)
        warnings += planned_job.unchecked
        jobs.append(planned_job)
        if len(problems) >= MAX_PROBLEMS:
            return ValidationResult(list(jobs), problems, warnings)
    planned_jobs = list(jobs)
    problems += check_targets(config, planned_jobs)
    problems += _check_iterations(config)
    if config.sweep is not None:
        from data_juicer_sandbox.validation.sweep import check_sweep

        problems += check_sweep(config, config.sweep, planned_jobs)
    problems += _check_watchers(config)
    problems += check_untrusted_run(config)
    if not planned_jobs:
        warnings.append(ConfigError("the config has no jobs", where=config.source.where()))
    changes, faults = resolve_overrides(config.parameters, planned_jobs, config.where_parameter)
    planned_jobs = with_overrides(planned_jobs, changes, config.variables)
    missing: list[NotInstalled] = []
    try:
        missing = not_installed(config, planned_jobs)
    except ConfigError as error:
        faults = [*faults, error]
    return ValidationResult(planned_jobs, problems + faults, warnings, missing)


def moves_outputs(config: SandboxConfig) -> bool:
    """Whether outputs are relocated into folders of iterations or trials, so that they differ from the config."""
    return config.max_iter_num != 1 or config.iter_subdir or config.sweep is not None


def validated_jobs(config: SandboxConfig) -> tuple[list[PlannedJob], list[str]]:
    """Check a config; return its jobs and the warnings.

    Raises:
        ConfigErrors: the config has errors; contains all of them.
    """
    findings = validate(config)
    if findings.problems:
        raise ConfigErrors(findings.problems)
    return findings.planned_jobs, findings.texts


def _unread_recipe(planned_job: PlannedJob) -> list[ConfigError]:
    hook, component = planned_job.hook, planned_job.component
    if planned_job.recipe.value and hook and component and not hook.takes_recipe(component):
        what = f"job {planned_job.job.label!r}: {component.__name__} does not read `dj_configs`"
        return [ConfigError(what, where=planned_job.job.where("dj_configs"))]
    return []


def _check_iterations(config: SandboxConfig) -> list[ConfigError]:
    """Errors for iterations that would never stop, and for settings of iterations that have no effect."""
    problems = []
    if config.max_iter_num == 0 and not config.iter_targets and config.max_hours is None:
        what = "`max_iter_num: 0` repeats until the targets hold, but `iter_targets` is empty"
        problems.append(ConfigError(what, where=config.where("max_iter_num"), hint="a target, or max_hours"))
    if config.patience and not config.iter_targets and config.hpo_config is None:
        what = "`patience` counts iterations without gain in the first target, but `iter_targets` is empty"
        problems.append(ConfigError(what, where=config.where("patience")))
    return problems


def _check_watchers(config: SandboxConfig) -> list[ConfigError]:
    try:
        chosen(config.watchers)
    except ConfigError as error:
        return [ConfigError(error.what, where=config.where("watchers"), hint=error.hint)]
    return []
