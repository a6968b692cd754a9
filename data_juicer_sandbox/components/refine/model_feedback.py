"""Bounds moved to where a model gains: by what it says of single samples, or by what it learns from data pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, OpenUnitInterval
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, OutputFile
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.refine import by_pools, by_rows
from data_juicer_sandbox.components.refine.bounds import RecipeBound, crossed, recipe_bounds
from data_juicer_sandbox.components.refine.evidence import ACCEPTED, Cut
from data_juicer_sandbox.components.refine.feedback_table import read_table
from data_juicer_sandbox.components.refine.pool_table import read_pools
from data_juicer_sandbox.components.refine.recipe_file import editable, write_recipe
from data_juicer_sandbox.errors import ConfigError, JobError

if TYPE_CHECKING:
    import numpy as np

_LOWER = {"loss", "perplexity", "bits_per_byte"}
_HIGHER = {"confidence", "score", "accuracy"}


class ModelFeedbackRefiner(Component):
    """Move each OP's bounds to where a model's feedback says that it gains.

    For each bound that a stat explains, the cut that best parts what helps from what hurts is looked for, and taken if
    its gain (mean feedback of what is kept less that of all; above 0 is better) is proven: the lower end of its
    confidence interval is above 0, and the two sides differ by `min_effect` or more. Bounds are taken in order of their
    gain as long as enough rows are kept together; all others stay as they are. There are two kinds of feedback:

    - **of rows** (`feedback_path`), such as a model's loss on each. Over all values of the stat, the cut is taken that
      leaves the least variance on its two sides, as a regression tree splits (Breiman et al. 1984, "Classification and
      Regression Trees", section 8.4). It is chosen on one half of the rows, drawn at random, and judged on the other,
      since the best of many cuts looks better than it is on the rows that chose it. The interval is a percentile
      bootstrap (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13), simultaneous over the
      bounds by Bonferroni's inequality.
    - **of pools** (`pool_paths`, `pool_scores`), such as the held-out loss of models trained on each: what
      `data_pool_construction`, a trainer and an evaluator put out. Cuts lie between neighbouring pools of a stat; pools
      are taken to be as good together as their mean by rows. Noise is all of the pools' differences that the cut does
      not explain: of seeds, of the draw of rows, of other stats. The interval is gain plus and minus q standard errors,
      with q from a parametric bootstrap (the same, section 6.5) of the largest of all cuts (Westfall and Young 1993,
      "Resampling-Based Multiple Testing", section 2.3). More pools a stat and more seeds prove more: with three pools
      of each of three stats, only what is much larger than the noise.

    What a model finds likely is not always what it learns most from: a low loss also has what is trite. The loss of
    rows tells what lies far from what the model knows; the loss after training on pools tells what is worth learning.

    Puts out the path of the new recipe, in the head of which the evidence stands, and the `evidence`, one mapping for
    each bound: `op`, `place` in the recipe, `param`, `stat`, `old`, `new`, `accepted`, `verdict`, `gain`, `gain_low`,
    `gain_high` (its interval), `effect` (the difference of the sides in standard deviations of the feedback),
    `rank_correlation` (Spearman's, of stat and feedback), `kept_ratio`, `over` (so many rows or pools). What is kept is
    told of the new bounds alone: the recipe's other bounds, and OPs' defaults, come on top. Watches `<op>.<param>` of
    what was changed, `tried`, `accepted`, `kept_ratio`.

    Args:
        dj_configs: the recipe to refine.
        analyzed_path: the rows with their `__dj__stats__`, as a data analyser puts them out. Left out where the rows
            with feedback have them, as when the model was asked about the analysed rows.
        feedback_path: the rows with the model's feedback, as a model infer evaluator puts them out: they tell the
            number of each row, and may be a sample. Other rows stand in the same order, or are joined by `id_key`.
        feedback_key: where the feedback is, a number; dots go deeper. By default `__feedback__.loss` in rows,
            `bits_per_byte` in scores.
        higher_is_better: whether more of it is better (a score), or less (a loss); by default what its name tells.
        id_key: a field, dots go deeper, that names a row in both files; the analysed rows may then be more than those
            with feedback.
        pool_paths: data pools of analysed rows, in folders called after their stats; others (a control) help to tell
            the noise. Four at least.
        pool_scores: mappings, one for each pool, seed (`seed`) and held-out set (`dataset`), as
            `huggingface_perplexity` puts them out.
        match_key: where they name their pool, by path or name.
        min_keep_ratio: the least share of the rows to keep, for each cut and for all together, between 0 and 1.
        min_effect: how much the two sides of a cut must differ at least, in standard deviations of the feedback. The
            default is what Cohen 1988, "Statistical Power Analysis", section 2.2, calls small: with many rows, anything
            is proven.
        path_refined_recipe: the new recipe (`.yaml`, `.yml`, `.json`); `feedback_recipe.yaml` in the job's folder
            where it is not given.
        confidence: of the intervals, all of them together, between 0 and 1.
        seed: of the halves and of the bootstrap.
    """

    outputs = ("refined_recipe_path", "evidence")

    def __init__(
        self,
        dj_configs: dict[str, Any],
        analyzed_path: InputPath | None = None,
        feedback_path: InputPath | None = None,
        feedback_key: str | None = None,
        higher_is_better: bool | None = None,
        id_key: str | None = None,
        pool_paths: InputPaths | None = None,
        pool_scores: list[Any] | None = None,
        match_key: str = "train_dataset",
        min_keep_ratio: OpenUnitInterval = 0.5,
        min_effect: NonNegativeFloat = 0.2,
        path_refined_recipe: OutputFile | None = None,
        confidence: OpenUnitInterval = 0.95,
        seed: NonNegativeInt = 42,
    ):
        if (feedback_path is None) == (pool_scores is None):
            hint = "feedback_path for that of rows, or pool_paths with pool_scores"
            raise ConfigError("there is no feedback, or two kinds of it", hint=hint)
        if (pool_paths is None) != (pool_scores is None):
            raise ConfigError("pool_paths and pool_scores go together")
        if feedback_path is None and (analyzed_path is not None or id_key is not None):
            raise ConfigError("analyzed_path and id_key are for the feedback of rows")
        self.dj_configs = dj_configs
        self.analyzed_path, self.feedback_path, self.id_key = analyzed_path, feedback_path, id_key
        self.pool_paths, self.pool_scores, self.match_key = as_list(pool_paths or []), pool_scores, match_key
        self.feedback_key = feedback_key or ("bits_per_byte" if feedback_path is None else "__feedback__.loss")
        self.higher_is_better = _better(self.feedback_key) if higher_is_better is None else higher_is_better
        self.min_keep_ratio, self.min_effect = min_keep_ratio, min_effect
        self.path_refined_recipe = path_refined_recipe
        self.confidence, self.seed = confidence, seed

    def run(self, job: JobRun) -> tuple[str, list[dict[str, Any]]]:
        """Write the new recipe.

        Returns:
            Its path, and the evidence.

        Raises:
            JobError: the files do not fit each other, or have too little feedback.
        """
        recipe = editable(self.dj_configs)
        found = list(recipe_bounds(recipe["process"]))
        bounds = [one for one in found if isinstance(one, RecipeBound)]
        cuts, over = self._cuts(bounds, job)
        verdicts = self._choose(cuts, recipe["process"], bounds)
        taken = [cut for cut, verdict in verdicts if verdict == ACCEPTED]
        kept = _kept_together(taken)
        head = [
            f"Refined by the feedback {self.feedback_key!r} of {over}"
            f" ({'higher' if self.higher_is_better else 'lower'} is better); {kept:.1%} of the rows pass the new"
            f" bounds. Intervals: {self.confidence:g}, simultaneous.",
            *(_line(cut, verdict) for cut, verdict in verdicts),
            *self._untried(bounds, cuts),
            *(one for one in found if isinstance(one, str)),
        ]
        for line in head:
            logger.info("model feedback | {}", line)
        path = self.path_refined_recipe or str(job.folder / "feedback_recipe.yaml")
        write_recipe(path, recipe, head)
        values = {cut.bound.label: cut.value for cut in taken}
        job.watcher.watch({**values, "tried": len(cuts), "accepted": len(taken), "kept_ratio": kept})
        return path, [cut.row(verdict) for cut, verdict in verdicts]

    def _cuts(self, bounds: list[RecipeBound], job: JobRun) -> tuple[list[Cut], str]:
        """The best cut of each bound, and what the evidence rests on, in words."""
        stats = {bound.stat for bound in bounds}
        sign = 1.0 if self.higher_is_better else -1.0
        floor, confidence, seed = self.min_keep_ratio, self.confidence, self.seed
        if self.pool_scores is not None:
            pools = read_pools(self.pool_paths, self.pool_scores, self.match_key, self.feedback_key, stats)
            count, seeds = pools.feedback.shape
            if count < by_pools.LEAST_POOLS:
                raise JobError(f"{count} pools tell nothing", hint=f"at least {by_pools.LEAST_POOLS} are needed")
            return by_pools.cuts(
                bounds, pools, sign, floor, confidence, seed
            ), f"models trained on {count} pools, {seeds} for each"
        rows = read_table(self.analyzed_path, str(self.feedback_path), self.feedback_key, self.id_key, stats)
        if len(rows.feedback) < by_rows.LEAST_ROWS:
            what = f"only {len(rows.feedback)} rows have feedback"
            raise JobError(what, hint=f"at least {by_rows.LEAST_ROWS} are needed")
        found = by_rows.cuts(bounds, rows, sign, floor, confidence, seed, job)
        return found, f"a model on {len(rows.feedback)} rows"

    def _choose(self, cuts: list[Cut], process: list[Any], bounds: list[RecipeBound]) -> list[tuple[Cut, str]]:
        """Each cut with its verdict, best first; sets in `process` what is accepted."""
        taken: list[Cut] = []
        verdicts = []
        for cut in sorted(cuts, key=lambda one: -one.gain):
            verdict = self._verdict(cut, taken, process, bounds)
            if verdict == ACCEPTED:
                value = int(cut.value) if cut.bound.integer else cut.value
                process[cut.bound.index][cut.bound.op][cut.bound.param] = cut.bound.written(value)
                taken.append(cut)
            verdicts.append((cut, verdict))
        return verdicts

    def _verdict(self, cut: Cut, taken: list[Cut], process: list[Any], bounds: list[RecipeBound]) -> str:
        if not cut.low > 0:
            return "not proven"
        if cut.effect < self.min_effect:
            return "too small an effect"
        if _kept_together([*taken, cut]) < self.min_keep_ratio:
            return "too few rows would be kept"
        if crossed(process, bounds, cut.bound, cut.value):
            return "it would cross the other bound"
        return ACCEPTED

    def _untried(self, bounds: list[RecipeBound], cuts: list[Cut]) -> list[str]:
        tried = {cut.bound for cut in cuts}
        return [f"{bound.label}: no cut is better; left as it is" for bound in bounds if bound not in tried]


def _better(feedback_key: str) -> bool:
    name = feedback_key.rpartition(".")[2]
    if name in _LOWER:
        return False
    if name in _HIGHER or ".probabilities." in feedback_key:
        return True
    raise ConfigError(
        f"whether a high {feedback_key!r} is good or bad, its name does not tell", hint="higher_is_better"
    )


def _kept_together(cuts: list[Cut]) -> float:
    if not cuts:
        return 1.0
    keep: np.ndarray = cuts[0].keep.copy()
    for cut in cuts[1:]:
        keep &= cut.keep
    return float(keep.mean())


def _line(cut: Cut, verdict: str) -> str:
    if verdict == ACCEPTED:
        old = f"unset ({cut.bound.declared.default})" if cut.bound.old is None else cut.bound.old
        return f"{cut.bound.label}: {old} -> {cut.value:g} ({cut.told()})"
    return f"{cut.bound.label}: {cut.value:g} is refused: {verdict} ({cut.told()}); left as it is"
