"""`HuggingFaceInferEvaluator`: scores rows with a Hugging Face model."""

from __future__ import annotations

from dataclasses import dataclass

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.probe.hub_model import HubModelEvaluator
from data_juicer_sandbox.components.probe.scorers import RowScorer


@dataclass(eq=False)
class HuggingFaceInferEvaluator(HubModelEvaluator):
    """Score the rows of a data set, or of a sample of it, with a language model or a classifier.

    Outputs: the path of the scored rows in their original order, and a summary: the numbers of `rows`, `probed` and
    `unscored` rows, the sum of `tokens`; for each number of the feedback `count`, `mean`, `std`, `min`, `25%`, `50%`,
    `75%`, `max`; for each text its frequency. The summary is also recorded as metrics. Each row is written unchanged,
    byte for byte, with an added field `__feedback__`: `row`, its index in `dataset_path` from 0, and the feedback:

    - of a causal language model: `loss` (nats per token), `perplexity` (its exponential), `bits_per_byte` (-log2 p per
      UTF-8 byte of the text; Gao et al. 2020, "The Pile", section 3.1), `confidence` (mean probability of the actual
      token), `tokens`. Each token is scored once, the first one after the BOS (or else EOS) token; texts longer than
      the context are scored in sliding windows. A text without tokens has null.
    - of a classifier: `prediction` (the most probable label), `confidence` (its probability), `probabilities` by label,
      and, with `label_key`, `loss` (-log of the true label's probability). Texts over the model's limit are truncated.
    - of a regression head (one label): `score`.
    - with `score_func`, the result of that function: `score`, or the numbers and texts of the mapping it returns.

    `data_probe_algo` selects the rows, the same ones for the same seed:

    - `uniform`: each row is equally likely.
    - `frequency`: rows with the most frequent value of `frequency_key` first, then those with the next, until the
      sample is full (the order of Data-Juicer's `frequency_specified_field_selector`); from the last value's rows, some
      at random.
    - `stratified`: from each stratum a number of random rows in proportion to its size (proportional allocation;
      Cochran 1977, "Sampling Techniques", section 5.5). Strata are the values of `strata_key`; numbers with more than
      `strata` different values are divided at quantiles. Rows without the field form a separate stratum.

    Args:
        model: a model folder, or an id on the Hugging Face hub.
    """

    def load_scorer(self) -> RowScorer:
        """Load the model."""
        return self.settings.load_scorer(torch_env.transformers())
