"""`KSigmaRefiner`: bounds at k standard deviations from the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, OutputFile
from data_juicer_sandbox.components.data.overall_table import FILE, has_means, read_table
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.refine.bounds import RecipeBound, crossed, recipe_bounds
from data_juicer_sandbox.components.refine.recipe_file import editable, write_recipe
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import ConfigValues, JsonValue, Metrics


class KSigmaRefiner(Component):
    """Set each OP's bounds to the mean plus and minus k standard deviations of the stat that they bound.

    The means and deviations come from a data analyzer's overall table: the file `table_path`, else the table of the
    probe with the name `probe`, also after a resume. The mapping of parameters to stats is read from Data-Juicer's
    source. Bounds that the recipe does not set are set as well. Integers are rounded outward; a bound stays within the
    range of the OP and of the stat (ratios 0 to 1, lengths and counts from 0). Every change is logged, recorded as the
    metric `<op>.<param>`, and noted in the header of the new recipe. An OP with `reversed_range`, or without its stats
    in the table, is not changed.

    Args:
        dj_configs: the recipe to refine.
        path_k_sigma_recipe: the output file (`.yaml`, `.yml` or `.json`; JSON has no comments);
            `k_sigma_recipe.yaml` in the job's folder by default.
        k: number of standard deviations, >= 0.
        side: the bounds to set: `both`, only the `lower` or only the `upper` ones.
        probe: `meta_name` of the probe that computed the table; the refine job's own name by default.
        table_path: a table that an analyzer wrote, `overall.json` in the folder of its job, for example in another run.
    """

    outputs = ("refined_recipe_path",)
    metrics = metric_keys("<op>.<parameter>", "<stat>.<row>", "rows_in", "seconds")
    numbers = number_keys(refined_recipe_path=())

    def __init__(
        self,
        dj_configs: ConfigValues,
        path_k_sigma_recipe: OutputFile | None = None,
        k: float = 3,
        side: Literal["both", "lower", "upper"] = "both",
        probe: str | None = None,
        table_path: InputPath | None = None,
    ):
        if probe is not None and table_path is not None:
            raise ConfigError("probe and table_path cannot both be set", hint="each names the overall table to use")
        if not 0 <= k < math.inf:
            raise ConfigError(f"k is {k}; it must be at least 0 and finite")
        self.dj_configs = dj_configs
        self.path_k_sigma_recipe = path_k_sigma_recipe
        self.k = k
        self.side = side
        self.probe = probe
        self.table_path = table_path

    def run(self, job: JobRun) -> str:
        """Write the new recipe.

        Returns:
            Its path.

        Raises:
            JobError: there is no table, or the recipe has no OPs.
        """
        name = self.table_path or self.probe or job.name
        table, logged = self._table(job)
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
        # If the table is only in the log of metrics, values of the same name would replace it there.
        job.watcher.watch({**table, **values} if logged and name == job.name else values)
        return path

    def _table(self, job: JobRun) -> tuple[Metrics, bool]:
        """The overall table, and whether it is only in the log of metrics.

        Raises:
            JobError: there is none.
        """
        if self.table_path is not None:
            if (table := read_table(Path(self.table_path))) is None:
                raise JobError(f"there is no overall table at {self.table_path}", hint=f"{FILE} in the probe's folder")
            return table, False
        name = self.probe or job.name
        if (table := read_table(job.folder.parent / name / FILE)) is not None:
            return table, False
        # Probes of earlier versions, of other pipelines and of the run that a trial belongs to.
        logged = job.watcher.query(name)
        if has_means(logged):
            return logged, True
        raise JobError(
            f"no overall table of a probe named {name!r} was found",
            hint="give the probe this `meta_name`, or set `probe: <meta_name of the probe>` in extra_configs",
        )

    def _refine(
        self, process: list[JsonValue], table: Mapping[str, JsonValue]
    ) -> tuple[dict[RecipeBound, str], list[str]]:
        """Change the bounds in place; return a line for each change, and further notes."""
        bounds_and_notes = list(recipe_bounds(process))
        bounds = [item for item in bounds_and_notes if isinstance(item, RecipeBound)]
        notes = [item for item in bounds_and_notes if isinstance(item, str)]
        changes: dict[RecipeBound, str] = {}
        new_values: dict[RecipeBound, float | int] = {}
        for bound in bounds:
            if self.side != "both" and (self.side == "lower") != (bound.side == "min"):
                notes += _default_notes(bound, table)
                continue
            numbers = [table.get(f"{bound.stat}.{row}", math.nan) for row in ("mean", "std", "count")]
            mean, sigma, count = (float(number) for number in numbers)
            if not (math.isfinite(mean) and math.isfinite(sigma)):
                notes.append(f"{bound.label}: {bound.stat} has no mean and deviation in the table; unchanged")
                continue
            offset = -self.k * sigma if bound.side == "min" else self.k * sigma
            value = bound.rounded(mean + offset, table.get(f"{bound.stat}.min"), table.get(f"{bound.stat}.max"))
            new_values[bound] = value
            old = f"unset ({bound.declared.default})" if bound.old is None else bound.old
            reason = f"{bound.stat}: mean {mean:.6g}, sigma {sigma:.6g}, k {self.k:g}, n {count:g}"
            changes[bound] = f"{bound.label}: {old} -> {value} ({reason})"
        for bound, value in new_values.items():
            process[bound.index][bound.op][bound.param] = bound.written(value)
        for bound in list(new_values):
            if crossed(process, bounds, bound, float(new_values[bound])):
                notes.append(f"{bound.label}: {new_values[bound]} would cross the other bound; unchanged")
                del changes[bound]
                _restore(process[bound.index][bound.op], bound)
        return changes, notes


def _default_notes(bound: RecipeBound, table: Mapping[str, JsonValue]) -> list[str]:
    """A note if a bound that stays unset has a default that drops rows, as far as the table shows."""
    default = bound.number(bound.declared.default)
    extreme = table.get(f"{bound.stat}.{bound.side}")
    if bound.old is not None or default is None or not isinstance(extreme, int | float):
        return []
    if default <= extreme if bound.side == "min" else default >= extreme:
        return []
    return [f"{bound.label} is not set; Data-Juicer's default {default:g} drops rows: {bound.stat} goes to {extreme:g}"]


def _restore(args: ConfigValues, bound: RecipeBound) -> None:
    if bound.old is None:
        args.pop(bound.param, None)
    else:
        args[bound.param] = bound.old
