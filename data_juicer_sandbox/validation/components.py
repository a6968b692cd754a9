"""Check a job's configs against its component's constructor and against Data-Juicer's OPs."""

from __future__ import annotations

from collections.abc import Mapping

from data_juicer_sandbox.code_policy import CodeNotImported, is_untrusted
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.hooks.base import arguments
from data_juicer_sandbox.signatures import build, check, parameters
from data_juicer_sandbox.validation.original import original_names
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_component(planned_job: PlannedJob) -> list[ConfigError]:
    """Unknown, missing and mistyped parameters, and errors that the constructor raises."""
    if planned_job.hook is None or planned_job.component is None or not planned_job.extra.is_known:
        return []
    label = planned_job.job.label
    values = planned_job.extra.value or {}
    has_recipe = planned_job.recipe.value is not None or not planned_job.recipe.is_known
    constructor_arguments = arguments(planned_job.component, None, values)
    provided = {"dj_configs"} if has_recipe else set()
    provided.update(planned_job.hook.from_recipe if has_recipe else ())
    accepted_names, _ = parameters(planned_job.component)
    problems = []
    for problem in check(
        planned_job.component, constructor_arguments, lambda name: name in provided or planned_job.extra.skip((name,))
    ):
        if problem.name == "dj_configs":
            where = planned_job.job.where("dj_configs")
            problems.append(ConfigError(f"job {label!r} needs a recipe: `dj_configs` is missing", where=where))
            continue
        where = planned_job.extra.where(problem.name)
        hint = problem.hint
        if problem.name not in accepted_names:
            hint = original_names(planned_job).for_parameter(problem.name) or hint
        problems.append(ConfigError(f"job {label!r}: {problem.what}", where=where, hint=hint))
    settled = planned_job.recipe.is_known and not planned_job.extra.set_later and not planned_job.recipe.set_later
    if not problems and settled and not (provided - {"dj_configs"}):
        if "dj_configs" in accepted_names and planned_job.recipe.value is not None:
            constructor_arguments["dj_configs"] = planned_job.recipe.value
        try:
            build(
                planned_job.component, constructor_arguments
            )  # constructors do no work, but check what types cannot express
        except CodeNotImported as error:
            where = planned_job.extra.where()
            target = problems if is_untrusted() else planned_job.unchecked
            target.append(ConfigError(f"job {label!r}: {error.what}", where=where, hint=error.hint))
        except ConfigError as error:
            where = planned_job.extra.where()
            hint = original_names(planned_job).for_value(error.what) or error.hint
            problems.append(ConfigError(f"job {label!r}: {error.what}", where=where, hint=hint))
        except (Exception, SystemExit) as error:  # the constructor may be a user's
            what = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
            problems.append(ConfigError(f"job {label!r}: {what}", where=planned_job.extra.where()))
    return problems


def check_recipe(planned_job: PlannedJob) -> list[ConfigError]:
    """Data-Juicer OP names, their parameters, and the recipe's own keys."""
    if not planned_job.recipe.value:
        return []
    if planned_job.hook and planned_job.component and not planned_job.hook.takes_recipe(planned_job.component):
        return []
    from data_juicer_sandbox.components.data import recipe_check

    return [
        ConfigError(
            f"job {planned_job.job.label!r}: {fault.message}",
            where=planned_job.recipe.where(*fault.path),
            hint=fault.hint,
        )
        for fault in recipe_check.check(planned_job.recipe.value, planned_job.recipe.skip)
    ]


def check_needs(planned_job: PlannedJob) -> list[ConfigError]:
    """Warnings for the OPs of a job's recipe that lack a package, or will download a model."""
    if not planned_job.uses_recipe or not planned_job.recipe.value:
        return []
    from data_juicer_sandbox.components.data.op_needs import needs

    process = planned_job.recipe.value.get("process")
    warnings = []
    for index, entry in enumerate(process if isinstance(process, list) else []):
        if not isinstance(entry, Mapping) or len(entry) != 1 or planned_job.recipe.skip(("process", index)):
            continue
        ((name, arguments),) = entry.items()
        for need in needs(str(name), arguments if isinstance(arguments, Mapping) else None):
            where = planned_job.recipe.where("process", index, name)
            warnings.append(ConfigError(f"job {planned_job.job.label!r}: {need.message}", where=where, hint=need.hint))
    return warnings
