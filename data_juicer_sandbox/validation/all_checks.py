"""Run all checks: each job in order, with the jobs before it."""

from __future__ import annotations

from dataclasses import dataclass

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.errors import MAX_PROBLEMS, ConfigError, ConfigErrors
from data_juicer_sandbox.validation.components import check_component, check_recipe
from data_juicer_sandbox.validation.files import check_files
from data_juicer_sandbox.validation.outputs import check_output_paths
from data_juicer_sandbox.validation.references import check_inputs, check_outputs, check_targets
from data_juicer_sandbox.watchers.watcher import chosen
from data_juicer_sandbox.workflow.overrides import resolve_overrides, with_overrides
from data_juicer_sandbox.workflow.planned_job import PlannedJob, plan_job


@dataclass(frozen=True)
class ValidationResult:
    """What is wrong (`problems`), what is only odd (`warnings`), and the jobs as they were seen."""

    views: list[PlannedJob]
    problems: list[ConfigError]
    warnings: list[ConfigError]


def validate(config: SandboxConfig) -> ValidationResult:
    """Find everything that can be found before the run.

    Not judged is what `input` or `local` will set: it is checked when its job starts.
    """
    problems: list[ConfigError] = []
    warnings: list[ConfigError] = []
    views: list[PlannedJob] = []
    for job in config.jobs():
        job_view = plan_job(job, config.variables)
        problems += job_view.problems
        problems += check_inputs(job_view, views)
        problems += check_outputs(job_view)
        problems += check_component(job_view)
        problems += check_recipe(job_view)
        problems += check_files(job_view, views)
        if not moves_outputs(config):
            problems += check_output_paths(job_view, config.work_dir, config.files)
        warnings += _unread_recipe(job_view)
        views.append(job_view)
        if len(problems) >= MAX_PROBLEMS:
            return ValidationResult(views, problems, warnings)
    problems += check_targets(config, views)
    problems += _endless(config)
    if config.sweep is not None:
        from data_juicer_sandbox.validation.sweep import check_sweep

        problems += check_sweep(config, config.sweep, views)
    problems += _unknown_watchers(config)
    if not views:
        warnings.append(ConfigError("there are no jobs in this config", where=config.source.where()))
    changes, faults = resolve_overrides(
        config.parameters, views, lambda name: config.source.where(("parameters", name))
    )
    return ValidationResult(with_overrides(views, changes, config.variables), problems + faults, warnings)


def moves_outputs(config: SandboxConfig) -> bool:
    """Whether what jobs write goes into folders of iterations or trials, so that its paths are not those named."""
    return config.max_iter_num != 1 or config.iter_subdir or config.sweep is not None


def validated_jobs(config: SandboxConfig) -> tuple[list[PlannedJob], list[str]]:
    """All jobs of a config, checked, and what is odd about it.

    Raises:
        ConfigErrors: anything is wrong with it.
    """
    findings = validate(config)
    if findings.problems:
        raise ConfigErrors(findings.problems)
    return findings.views, [str(warning) for warning in findings.warnings]


def _unread_recipe(job_view: PlannedJob) -> list[ConfigError]:
    hook, component = job_view.hook, job_view.component
    if job_view.recipe.value and hook and component and not hook.takes_recipe(component):
        what = f"job {job_view.job.label!r}: {component.__name__} does not read `dj_configs`"
        return [ConfigError(what, where=job_view.job.where("dj_configs"))]
    return []


def _endless(config: SandboxConfig) -> list[ConfigError]:
    """Iterations that nothing could end, and settings of iterations that could do nothing."""
    problems = []
    if config.max_iter_num == 0 and not config.iter_targets and config.max_hours is None:
        what = "`max_iter_num: 0` goes on until the targets hold, but there are no `iter_targets`"
        problems.append(ConfigError(what, where=config.where("max_iter_num"), hint="a target, or max_hours"))
    if config.patience and not config.iter_targets and config.hpo_config is None:
        what = "`patience` waits for gains in the first target, but there are no `iter_targets`"
        problems.append(ConfigError(what, where=config.where("patience")))
    return problems


def _unknown_watchers(config: SandboxConfig) -> list[ConfigError]:
    try:
        chosen(config.watchers)
    except ConfigError as error:
        return [ConfigError(error.what, where=config.where("watchers"), hint=error.hint)]
    return []
