"""`ModelFeedbackRefiner`: bounds from a model's feedback on rows, or from models trained on data pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, OutputFile
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeFloat, NonNegativeInt, OpenUnitInterval
from data_juicer_sandbox.components.refine import by_pools, by_rows
from data_juicer_sandbox.components.refine.bounds import RecipeBound, crossed, recipe_bounds
from data_juicer_sandbox.components.refine.evidence import ACCEPTED, Cut
from data_juicer_sandbox.components.refine.feedback_table import read_table
from data_juicer_sandbox.components.refine.pool_table import read_pools
from data_juicer_sandbox.components.refine.recipe_file import bound_effects, editable, kept_ratio, write_recipe
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import ConfigValues, JsonValue, Row

if TYPE_CHECKING:
    import numpy as np

_LOWER = {"loss", "perplexity", "bits_per_byte"}
_HIGHER = {"confidence", "score", "accuracy"}


class ModelFeedbackRefiner(Component):
    """Set each OP's bounds to the range in which a model's feedback is better.

    For each bound, the refiner searches the cut of its stat that best separates rows with better feedback from rows
    with worse feedback. It accepts the cut if the gain (mean feedback of the kept rows minus that of all rows; positive
    is better) is significant: the lower end of its confidence interval is above 0, and the two sides differ by at least
    `min_effect`. Cuts are accepted in order of their gain, as long as enough rows pass all of them; other bounds are
    not changed. There are two types of feedback:

    - **of rows** (`feedback_path`), such as a model's loss on each row. The cut minimizes the variance within its two
      sides, as a split of a regression tree does (Breiman et al. 1984, "Classification and Regression Trees", section
      8.4). It is chosen on a random half of the rows and evaluated on the other half, which avoids the optimistic bias
      of the best of many cuts. The interval is a percentile bootstrap (Efron and Tibshirani 1993, "An Introduction to
      the Bootstrap", chapter 13), simultaneous over the bounds by Bonferroni's inequality.
    - **of pools** (`pool_paths`, `pool_scores`), such as the held-out loss of models trained on each pool: the outputs
      of `data_pool_construction`, a trainer and an evaluator. Cuts lie between neighbouring pools of a stat; the
      feedback of several pools is their mean weighted by rows. The noise is the variance of the pools that the cut does
      not explain: from seeds, the draw of rows, other stats. The interval is gain plus and minus q standard errors,
      with q from a parametric bootstrap (the same book, section 6.5) of the maximum over all cuts (Westfall and Young
      1993, "Resampling-Based Multiple Testing", section 2.3). More pools per stat and more seeds increase the power:
      with three pools of each of three stats, only gains far above the noise are significant.

    A model does not always learn most from the rows that it finds likely: trite texts also have a low loss. The loss of
    rows shows how far they are from what the model knows; the loss after training on pools shows their training value.

    Outputs: the path of the new recipe, whose header contains the evidence, and the `evidence`, one mapping for each
    bound: `op`, `place` in the recipe, `param`, `stat`, `old`, `new`, `accepted`, `verdict`, `gain`, `gain_low`,
    `gain_high` (its interval), `effect` (the difference of the sides in standard deviations of the feedback),
    `rank_correlation` (Spearman's, of stat and feedback), `kept_ratio`, `over` (the number of rows or pools). The kept
    ratio counts the new bounds only. `recipe_kept_ratio` also counts the recipe's other bounds and the defaults of its
    OPs; a warning names the defaults that drop rows. Metrics: `<op>.<param>` of each changed bound, `tried`,
    `accepted`, `kept_ratio`, `recipe_kept_ratio`.

    Args:
        dj_configs: the recipe to refine.
        analyzed_path: the rows with their `__dj__stats__`, as a data analyzer outputs them. Not needed if the rows with
            feedback have them, as when the model scored the analyzed rows.
        feedback_path: the rows with the model's feedback. Those of a model infer evaluator contain the index of each
            row, and may be a sample. Other rows must be in the same order, or are joined by `id_key`.
        feedback_key: the key of the feedback, a number; dots separate nested keys. By default `__feedback__.loss` in
            rows, `bits_per_byte` in scores.
        higher_is_better: whether higher feedback is better (a score) or lower (a loss); by default derived from its
            name.
        id_key: a field that identifies a row in both files; dots separate nested keys. There may then be analyzed rows
            without feedback.
        pool_paths: data pools of analyzed rows, in folders named after their stats; other pools (a control) help to
            estimate the noise. At least four.
        pool_scores: mappings, one for each pool, seed (`seed`) and held-out set (`dataset`), as
            `huggingface_perplexity` outputs them.
        match_key: the key of the pool, as path or name, in these mappings.
        min_keep_ratio: the smallest fraction of the rows to keep, by each cut and by all together, between 0 and 1.
        min_effect: the smallest difference of the two sides of a cut, in standard deviations of the feedback. The
            default is a small effect by Cohen 1988, "Statistical Power Analysis", section 2.2: with many rows, even a
            negligible difference is significant.
        path_refined_recipe: the output file (`.yaml`, `.yml`, `.json`); `feedback_recipe.yaml` in the job's folder by
            default.
        confidence: the simultaneous confidence level of all intervals, between 0 and 1.
        seed: seed of the halves and of the bootstrap.
    """

    outputs = ("refined_recipe_path", "evidence")
    metrics = metric_keys("tried", "accepted", "kept_ratio", "recipe_kept_ratio", "<op>.<parameter>")

    def __init__(
        self,
        dj_configs: ConfigValues,
        analyzed_path: InputPath | None = None,
        feedback_path: InputPath | None = None,
        feedback_key: str | None = None,
        higher_is_better: bool | None = None,
        id_key: str | None = None,
        pool_paths: InputPaths | None = None,
        pool_scores: list[JsonValue] | None = None,
        match_key: str = "train_dataset",
        min_keep_ratio: OpenUnitInterval = 0.5,
        min_effect: NonNegativeFloat = 0.2,
        path_refined_recipe: OutputFile | None = None,
        confidence: OpenUnitInterval = 0.95,
        seed: NonNegativeInt = 42,
    ):
        if (feedback_path is None) == (pool_scores is None):
            hint = "feedback_path for feedback of rows, or pool_paths with pool_scores"
            raise ConfigError("exactly one source of feedback is required", hint=hint)
        if (pool_paths is None) != (pool_scores is None):
            raise ConfigError("pool_paths and pool_scores go together")
        if feedback_path is None and (analyzed_path is not None or id_key is not None):
            raise ConfigError("analyzed_path and id_key are for the feedback of rows")
        self.dj_configs = dj_configs
        self.analyzed_path, self.feedback_path, self.id_key = analyzed_path, feedback_path, id_key
        self.pool_paths, self.pool_scores, self.match_key = as_list(pool_paths or []), pool_scores, match_key
        self.feedback_key = feedback_key or ("bits_per_byte" if feedback_path is None else "__feedback__.loss")
        self.higher_is_better = _higher_is_better(self.feedback_key) if higher_is_better is None else higher_is_better
        self.min_keep_ratio, self.min_effect = min_keep_ratio, min_effect
        self.path_refined_recipe = path_refined_recipe
        self.confidence, self.seed = confidence, seed

    def run(self, job: JobRun) -> tuple[str, list[Row]]:
        """Write the new recipe.

        Returns:
            Its path, and the evidence.

        Raises:
            JobError: the files do not match, or have too little feedback.
        """
        recipe = editable(self.dj_configs)
        bounds_and_notes = list(recipe_bounds(recipe["process"]))
        bounds = [item for item in bounds_and_notes if isinstance(item, RecipeBound)]
        cuts, evidence_source, stats = self._cuts(bounds, job)
        verdicts = self._choose(cuts, recipe["process"], bounds)
        accepted = [cut for cut, verdict in verdicts if verdict == ACCEPTED]
        kept = _kept_together(accepted)
        effects = list(bound_effects(recipe["process"], bounds, stats))
        passing = kept_ratio(effects)
        changed = {cut.bound for cut in accepted}
        head = [
            f"Refined by the feedback {self.feedback_key!r} of {evidence_source}"
            f" ({'higher' if self.higher_is_better else 'lower'} is better); {kept:.1%} of the rows pass the new"
            f" bounds, {passing:.1%} all bounds of the recipe. Intervals: {self.confidence:g}, simultaneous.",
            *(_describe(cut, verdict) for cut, verdict in verdicts),
            *self._untried(bounds, cuts),
            *(effect.describe() for effect in effects if effect.bound not in changed),
            *(item for item in bounds_and_notes if isinstance(item, str)),
        ]
        for line in head:
            logger.info("model feedback | {}", line)
        defaults = [effect for effect in effects if effect.is_default]
        if defaults:
            logger.warning(
                "bounds that the recipe does not set have defaults, which drop {:.1%} of the rows: {}",
                1 - kept_ratio(defaults),
                ", ".join(f"{effect.bound.label} {effect.value:g}" for effect in defaults),
            )
        path = self.path_refined_recipe or str(job.folder / "feedback_recipe.yaml")
        write_recipe(path, recipe, head)
        values = {cut.bound.label: cut.value for cut in accepted}
        job.watcher.watch(
            {**values, "tried": len(cuts), "accepted": len(accepted), "kept_ratio": kept, "recipe_kept_ratio": passing}
        )
        return path, [cut.row(verdict) for cut, verdict in verdicts]

    def _cuts(self, bounds: list[RecipeBound], job: JobRun) -> tuple[list[Cut], str, dict[str, np.ndarray]]:
        """The best cut of each bound, a description of the evidence's source, and the stats of the rows."""
        stats = {bound.stat for bound in bounds}
        sign = 1.0 if self.higher_is_better else -1.0
        floor, confidence, seed = self.min_keep_ratio, self.confidence, self.seed
        if self.pool_scores is not None:
            pools = read_pools(self.pool_paths, self.pool_scores, self.match_key, self.feedback_key, stats)
            count, seeds = pools.feedback.shape
            if count < by_pools.MIN_POOLS:
                raise JobError(f"{count} pools are too few", hint=f"at least {by_pools.MIN_POOLS} are needed")
            cuts = by_pools.cuts(bounds, pools, sign, floor, confidence, seed)
            return cuts, f"models trained on {count} pools, {seeds} for each", pools.stats
        rows = read_table(self.analyzed_path, str(self.feedback_path), self.feedback_key, self.id_key, stats)
        if len(rows.feedback) < by_rows.MIN_ROWS:
            what = f"only {len(rows.feedback)} rows have feedback"
            raise JobError(what, hint=f"at least {by_rows.MIN_ROWS} are needed")
        cuts = by_rows.cuts(bounds, rows, sign, floor, confidence, seed, job)
        return cuts, f"a model on {len(rows.feedback)} rows", rows.stats

    def _choose(self, cuts: list[Cut], process: list[JsonValue], bounds: list[RecipeBound]) -> list[tuple[Cut, str]]:
        """Each cut with its verdict, best first; sets the accepted values in `process`."""
        accepted: list[Cut] = []
        verdicts = []
        for cut in sorted(cuts, key=lambda cut: -cut.gain):
            verdict = self._verdict(cut, accepted, process, bounds)
            if verdict == ACCEPTED:
                value = int(cut.value) if cut.bound.integer else cut.value
                process[cut.bound.index][cut.bound.op][cut.bound.param] = cut.bound.written(value)
                accepted.append(cut)
            verdicts.append((cut, verdict))
        return verdicts

    def _verdict(self, cut: Cut, accepted: list[Cut], process: list[JsonValue], bounds: list[RecipeBound]) -> str:
        if not cut.low > 0:
            return "not proven"
        if cut.effect < self.min_effect:
            return "too small an effect"
        if _kept_together([*accepted, cut]) < self.min_keep_ratio:
            return "too few rows would be kept"
        if crossed(process, bounds, cut.bound, cut.value):
            return "it would cross the other bound"
        return ACCEPTED

    def _untried(self, bounds: list[RecipeBound], cuts: list[Cut]) -> list[str]:
        tried = {cut.bound for cut in cuts}
        return [f"{bound.label}: no cut is better; unchanged" for bound in bounds if bound not in tried]


def _higher_is_better(feedback_key: str) -> bool:
    name = feedback_key.rpartition(".")[2]
    if name in _LOWER:
        return False
    if name in _HIGHER or ".probabilities." in feedback_key:
        return True
    raise ConfigError(
        f"cannot tell from its name whether a high {feedback_key!r} is good or bad", hint="set higher_is_better"
    )


def _kept_together(cuts: list[Cut]) -> float:
    if not cuts:
        return 1.0
    keep: np.ndarray = cuts[0].keep.copy()
    for cut in cuts[1:]:
        keep &= cut.keep
    return float(keep.mean())


def _describe(cut: Cut, verdict: str) -> str:
    if verdict == ACCEPTED:
        old = f"unset ({cut.bound.declared.default})" if cut.bound.old is None else cut.bound.old
        return f"{cut.bound.label}: {old} -> {cut.value:g} ({cut.describe()})"
    return f"{cut.bound.label}: {cut.value:g} is refused: {verdict} ({cut.describe()}); unchanged"
