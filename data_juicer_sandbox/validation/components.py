"""Check a job's configs against its component's constructor and against Data-Juicer's OPs."""

from __future__ import annotations

from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.hooks.base import arguments
from data_juicer_sandbox.signatures import build, check, parameters
from data_juicer_sandbox.workflow.planned_job import PlannedJob


def check_component(view: PlannedJob) -> list[ConfigError]:
    """Unknown, missing and mistyped parameters, and what the constructor itself refuses."""
    if view.hook is None or view.component is None or not view.extra.known:
        return []
    label = view.job.label
    values = view.extra.value or {}
    has_recipe = view.recipe.value is not None or not view.recipe.known
    given = arguments(view.component, None, values)
    provided = {"dj_configs"} if has_recipe else set()
    provided.update(view.hook.from_recipe if has_recipe else ())
    known, _ = parameters(view.component)
    problems = []
    for problem in check(view.component, given, lambda name: name in provided or view.extra.skip((name,))):
        if problem.name == "dj_configs":
            where = view.job.where("dj_configs")
            problems.append(ConfigError(f"job {label!r} needs a recipe: `dj_configs` is missing", where=where))
            continue
        where = view.extra.where(problem.name)
        problems.append(ConfigError(f"job {label!r}: {problem.what}", where=where, hint=problem.hint))
    settled = view.recipe.known and not view.extra.set_later and not view.recipe.set_later
    if not problems and settled and not (provided - {"dj_configs"}):
        if "dj_configs" in known and view.recipe.value is not None:
            given["dj_configs"] = view.recipe.value
        try:
            build(view.component, given)  # a constructor does no work, but may know what no type says
        except ConfigError as error:
            problems.append(ConfigError(f"job {label!r}: {error.what}", where=view.extra.where(), hint=error.hint))
        except (Exception, SystemExit) as error:  # the constructor may be a user's
            what = str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"
            problems.append(ConfigError(f"job {label!r}: {what}", where=view.extra.where()))
    return problems


def check_recipe(view: PlannedJob) -> list[ConfigError]:
    """Data-Juicer OP names, their parameters, and the recipe's own keys."""
    if not view.recipe.value or view.hook is None or view.component is None:
        return []
    if not view.hook.takes_recipe(view.component):
        return []
    from data_juicer_sandbox.components.data import recipe_check

    return [
        ConfigError(f"job {view.job.label!r}: {fault.message}", where=view.recipe.where(*fault.path), hint=fault.hint)
        for fault in recipe_check.check(view.recipe.value, view.recipe.skip)
    ]
