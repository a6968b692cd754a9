"""Bounds moved to where a model gains, by what it says of single samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jsonargparse.typing import OpenUnitInterval
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, JobRun, OutputPath
from data_juicer_sandbox.components.refine.bounds import RecipeBound, crossed, recipe_bounds
from data_juicer_sandbox.components.refine.feedback_table import FeedbackTable, read_table
from data_juicer_sandbox.components.refine.recipe_file import editable, write_recipe
from data_juicer_sandbox.errors import JobError

if TYPE_CHECKING:
    import numpy as np

_CUTS = 39
_RESAMPLES = 2000
_LEAST_ROWS = 40


@dataclass(frozen=True)
class Cut:
    """A new bound, and what speaks for it.

    Args:
        bound: the bound.
        value: its new value.
        keep: which rows it keeps; those without the stat are kept.
        gain: mean feedback of the kept rows less that of all, on the half that did not choose it; higher is better.
        lowest: the lower confidence bound of the gain.
    """

    bound: RecipeBound
    value: float
    keep: np.ndarray
    gain: float
    lowest: float


class ModelFeedbackRefiner(Component):
    """Move each OP's bounds to where a model's feedback on the samples says that it gains.

    For each bound that a stat explains, cuts at the stat's quantiles are tried on one half of the rows; the one whose
    kept rows have the best mean feedback is judged on the other half: it is taken if the lower confidence bound of its
    gain over all rows is above 0 (percentile bootstrap, 2,000 resamples; Bonferroni for the number of bounds that were
    tried). Choosing and judging on different rows keeps the best of many cuts from looking better than it is. Bounds
    are taken in order of their gain as long as enough rows are kept together; all others stay as they are. The evidence
    stands in the head of the new recipe. Watches `<op>.<param>` of what was changed, `tried`, `accepted`,
    `kept_ratio`.

    Args:
        dj_configs: the recipe to refine.
        analyzed_path: the rows with their `__dj__stats__`, as a data analyser puts them out (`.jsonl`).
        feedback_path: the rows with the model's feedback (`.jsonl`), in the same order, or joined by `id_key`.
        feedback_key: where the feedback is in a row, a number; dots go deeper.
        higher_is_better: whether more of it is better (a score), or less (a loss).
        id_key: a field, dots go deeper, that names a row in both files; the analysed rows may then be more than those
            with feedback.
        min_keep_ratio: the least share of the rows to keep, for each cut and for all together, between 0 and 1.
        path_refined_recipe: the new recipe (`.yaml`, `.yml`, `.json`); `feedback_recipe.yaml` in the job's folder
            where it is not given.
        confidence: of the bound that the gain must pass, between 0 and 1.
        seed: of the halves and of the bootstrap.
    """

    outputs = ("refined_recipe_path",)

    def __init__(
        self,
        dj_configs: dict[str, Any],
        analyzed_path: InputPath,
        feedback_path: InputPath,
        feedback_key: str,
        higher_is_better: bool,
        id_key: str | None = None,
        min_keep_ratio: OpenUnitInterval = 0.5,
        path_refined_recipe: OutputPath | None = None,
        confidence: OpenUnitInterval = 0.95,
        seed: int = 42,
    ):
        self.dj_configs = dj_configs
        self.analyzed_path = analyzed_path
        self.feedback_path = feedback_path
        self.feedback_key = feedback_key
        self.higher_is_better = higher_is_better
        self.id_key = id_key
        self.min_keep_ratio = min_keep_ratio
        self.path_refined_recipe = path_refined_recipe
        self.confidence = confidence
        self.seed = seed

    def run(self, job: JobRun) -> str:
        """Write the new recipe.

        Returns:
            Its path.

        Raises:
            JobError: the files do not fit each other, or have too few rows with feedback.
        """
        recipe = editable(self.dj_configs)
        process = recipe["process"]
        found = list(recipe_bounds(process))
        bounds = [one for one in found if isinstance(one, RecipeBound)]
        notes = [one for one in found if isinstance(one, str)]
        table = read_table(
            self.analyzed_path, self.feedback_path, self.feedback_key, self.id_key, {bound.stat for bound in bounds}
        )
        if len(table.feedback) < _LEAST_ROWS:
            raise JobError(f"only {len(table.feedback)} rows have feedback", hint=f"at least {_LEAST_ROWS} are needed")
        cuts = self._cuts(bounds, table, job)
        taken, refused = self._choose(cuts, process, bounds)
        kept = self._kept_together(taken, len(table.feedback))
        head = [
            f"Refined by the feedback {self.feedback_key!r} of a model on {len(table.feedback)} rows"
            f" ({'higher' if self.higher_is_better else 'lower'} is better); {kept:.1%} of them are kept.",
            *(f"{cut.bound.label}: {_old(cut.bound)} -> {cut.value:g} ({self._evidence(cut)})" for cut in taken),
            *refused,
            *notes,
        ]
        for line in head:
            logger.info("model feedback | {}", line)
        path = self.path_refined_recipe or str(job.folder / "feedback_recipe.yaml")
        write_recipe(path, recipe, head)
        values = {cut.bound.label: cut.value for cut in taken}
        job.watcher.watch({**values, "tried": len(cuts), "accepted": len(taken), "kept_ratio": kept})
        return path

    def _cuts(self, bounds: list[RecipeBound], table: FeedbackTable, job: JobRun) -> list[Cut]:
        """The best cut of each bound by one half of the rows, with its gain on the other half."""
        import numpy as np

        rng = np.random.default_rng(self.seed)
        sign = 1.0 if self.higher_is_better else -1.0
        feedback = sign * table.feedback
        order = rng.permutation(len(feedback))
        choosing, judging = order[: len(order) // 2], order[len(order) // 2 :]
        best: list[tuple[RecipeBound, float, np.ndarray]] = []
        for bound in bounds:
            stat = table.stats[bound.stat]
            tried = [
                (float(feedback[choosing][keep[choosing]].mean()), value, keep)
                for value, keep in self._candidates(bound, stat)
                if keep[choosing].mean() >= self.min_keep_ratio and keep[judging].mean() >= self.min_keep_ratio
            ]
            if tried:
                _, value, keep = max(tried, key=lambda one: one[0])
                best.append((bound, value, keep))
        if not best:
            return []
        keeps = np.stack([keep[judging] for _, _, keep in best], axis=1).astype(float)
        judged = feedback[judging]
        gains = (judged @ keeps) / keeps.sum(axis=0) - judged.mean()
        resampled = np.empty((_RESAMPLES, len(best)))
        with job.progress.task("bootstrap", total=_RESAMPLES) as task:
            for row in range(_RESAMPLES):
                weight = np.bincount(rng.integers(len(judged), size=len(judged)), minlength=len(judged)).astype(float)
                weighted = weight * judged
                resampled[row] = (weighted @ keeps) / np.maximum(weight @ keeps, 1.0) - weighted.mean()
                task.advance(1)
        lowest = np.quantile(resampled, (1 - self.confidence) / len(best), axis=0)
        return [
            Cut(bound, value, keep, float(gain), float(low))
            for (bound, value, keep), gain, low in zip(best, gains, lowest, strict=True)
        ]

    def _candidates(self, bound: RecipeBound, stat: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
        """Values at the quantiles of a stat, as the OP takes them, each with the rows it keeps; none that keep all."""
        import numpy as np

        known = stat[~np.isnan(stat)]
        if len(known) < _LEAST_ROWS:
            return
        shares = np.linspace(0, 1 - self.min_keep_ratio, _CUTS + 1)[1:]
        quantiles = np.quantile(known, shares if bound.side == "min" else 1 - shares)
        values = {bound.rounded(float(value), float(known.min()), float(known.max())) for value in quantiles}
        for value in sorted(values):
            keep = ~(stat < value) if bound.side == "min" else ~(stat > value)  # NaN compares false, so it is kept
            if not keep.all():
                yield float(value), keep

    def _choose(self, cuts: list[Cut], process: list[Any], bounds: list[RecipeBound]) -> tuple[list[Cut], list[str]]:
        """Take what is proven, best first, as long as enough rows are kept; sets it in `process`."""
        taken: list[Cut] = []
        refused: list[str] = []
        for cut in sorted(cuts, key=lambda one: -one.gain):
            bound = cut.bound
            if cut.lowest <= 0:
                refused.append(f"{bound.label}: {cut.value:g} is not proven ({self._evidence(cut)}); left as it is")
            elif self._kept_together([*taken, cut], len(cut.keep)) < self.min_keep_ratio:
                refused.append(f"{bound.label}: with {cut.value:g} too few rows would be kept; left as it is")
            elif crossed(process, bounds, bound, cut.value):
                refused.append(f"{bound.label}: {cut.value:g} would cross the other bound; left as it is")
            else:
                value = int(cut.value) if bound.integer else cut.value
                process[bound.index][bound.op][bound.param] = bound.written(value)
                taken.append(cut)
        return taken, refused

    def _kept_together(self, cuts: list[Cut], rows: int) -> float:
        import numpy as np

        keep = np.ones(rows, dtype=bool)
        for cut in cuts:
            keep &= cut.keep
        return float(keep.mean())

    def _evidence(self, cut: Cut) -> str:
        return (
            f"gain {cut.gain:.4g}, at least {cut.lowest:.4g} at {self.confidence:g} confidence;"
            f" keeps {cut.keep.mean():.1%} by {cut.bound.stat}"
        )


def _old(bound: RecipeBound) -> Any:
    return f"unset ({bound.declared.default})" if bound.old is None else bound.old
