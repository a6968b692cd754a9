"""The k-sigma rule: what lies far from the mean is out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun, OutputFile
from data_juicer_sandbox.components.refine.bounds import RecipeBound, crossed, recipe_bounds
from data_juicer_sandbox.components.refine.recipe_file import editable, write_recipe
from data_juicer_sandbox.errors import ConfigError, JobError


class KSigmaRefiner(Component):
    """Set each OP's bounds to the mean plus and minus k standard deviations of the stat that they bound.

    The means and deviations are those of a data analyser's overall table, found by the name of its job, after a resume
    too. Which parameter bounds which stat is read from Data-Juicer's source. Bounds that the recipe does not set are
    set as well. Whole numbers are rounded outward; a bound stays within what the OP accepts and what the stat can be
    (ratios 0 to 1, lengths and counts from 0). Every change is logged, watched as `<op>.<param>`, and stands in the
    head of the new recipe. An OP with `reversed_range`, and one whose stats the table does not hold, stays as it is.

    Args:
        dj_configs: the recipe to refine.
        path_k_sigma_recipe: the new recipe (`.yaml`, `.yml` or `.json`; JSON has no room for comments);
            `k_sigma_recipe.yaml` in the job's folder where it is not given.
        k: how many standard deviations, >= 0.
        side: which bounds are set: `both`, only the `lower` or only the `upper` ones.
        probe: `meta_name` of the probe that made the table; the refine job's own name where it is not given.
    """

    outputs = ("refined_recipe_path",)

    def __init__(
        self,
        dj_configs: dict[str, Any],
        path_k_sigma_recipe: OutputFile | None = None,
        k: float = 3,
        side: Literal["both", "lower", "upper"] = "both",
        probe: str | None = None,
    ):
        if not k >= 0:
            raise ConfigError(f"k is {k}; it must be at least 0")
        self.dj_configs = dj_configs
        self.path_k_sigma_recipe = path_k_sigma_recipe
        self.k = k
        self.side = side
        self.probe = probe

    def run(self, job: JobRun) -> str:
        """Write the new recipe.

        Returns:
            Its path.

        Raises:
            JobError: no probe of that name watched a table, or the recipe has no OPs.
        """
        name = self.probe or job.name
        table = job.watcher.query(name)
        if not any(key.endswith(".mean") for key in table):
            raise JobError(
                f"no overall table of a probe named {name!r} was found",
                hint="give the probe this `meta_name`, or set `probe: <meta_name of the probe>` in extra_configs",
            )
        recipe = editable(self.dj_configs)
        changes, notes = self._refine(recipe["process"], table)
        for line in [*changes.values(), *notes]:
            logger.info("k-sigma | {}", line)
        if not changes:
            logger.warning("k-sigma changed nothing: no OP of the recipe has bounds on the stats of {!r}", name)
        path = self.path_k_sigma_recipe or str(job.folder / "k_sigma_recipe.yaml")
        head = f"Refined by the k-sigma rule: k {self.k:g}, {self.side} bounds, from the table of {name}."
        write_recipe(path, recipe, [head, *changes.values(), *notes])
        values = {bound.label: bound.number(recipe["process"][bound.index][bound.op][bound.param]) for bound in changes}
        # Under a name shared with the probe, these values would take the place of the table that is looked up by it.
        job.watcher.watch({**table, **values} if name == job.name else values)
        return path

    def _refine(self, process: list[Any], table: Mapping[str, Any]) -> tuple[dict[RecipeBound, str], list[str]]:
        """Change the bounds in place; gives the changes, each with its line, and what is to be said otherwise."""
        found = list(recipe_bounds(process))
        bounds = [one for one in found if isinstance(one, RecipeBound)]
        notes = [one for one in found if isinstance(one, str)]
        changes: dict[RecipeBound, str] = {}
        wished: dict[RecipeBound, float | int] = {}
        for bound in bounds:
            if self.side != "both" and (self.side == "lower") != (bound.side == "min"):
                continue
            numbers = [table.get(f"{bound.stat}.{row}", math.nan) for row in ("mean", "std", "count")]
            mean, sigma, count = (float(number) for number in numbers)
            if not (math.isfinite(mean) and math.isfinite(sigma)):
                notes.append(f"{bound.label}: {bound.stat} has no mean and deviation in the table; left as it is")
                continue
            away = -self.k * sigma if bound.side == "min" else self.k * sigma
            value = bound.rounded(mean + away, table.get(f"{bound.stat}.min"), table.get(f"{bound.stat}.max"))
            wished[bound] = value
            old = f"unset ({bound.declared.default})" if bound.old is None else bound.old
            why = f"{bound.stat}: mean {mean:.6g}, sigma {sigma:.6g}, k {self.k:g}, n {count:g}"
            changes[bound] = f"{bound.label}: {old} -> {value} ({why})"
        for bound, value in wished.items():
            process[bound.index][bound.op][bound.param] = bound.written(value)
        for bound in list(wished):
            if crossed(process, bounds, bound, float(wished[bound])):
                notes.append(f"{bound.label}: {wished[bound]} would cross the other bound; left as it is")
                del changes[bound]
                _put_back(process[bound.index][bound.op], bound)
        return changes, notes


def _put_back(args: dict[str, Any], bound: RecipeBound) -> None:
    if bound.old is None:
        args.pop(bound.param, None)
    else:
        args[bound.param] = bound.old
