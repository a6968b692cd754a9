"""Token sampling with a seed per row, so that a row's answer does not depend on its batch."""

from __future__ import annotations

import numpy as np

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.types import LibraryObject

_UNITS = 2.0**40
"""Probabilities are integers in units of 2^-40: sums of integers are the same on every device, in any order."""
_WARPERS = {
    "top_k": "TopKLogitsWarper",
    "top_p": "TopPLogitsWarper",
    "min_p": "MinPLogitsWarper",
}


def drawing(seeds: list[int], steps: int, shape: dict[str, float]) -> list[LibraryObject]:
    """Logits processors that turn a greedy search into sampling: transformers' processors shape the distribution, the
    last one keeps only the sampled token (inverse transform sampling).

    Args:
        seeds: a seed for each line of the batch.
        steps: maximum number of tokens.
        shape: those of `temperature`, `top_k`, `top_p`, `min_p` that are set.
    """
    library = torch_env.transformers()
    processors = []
    if shape.get("temperature", 1.0) != 1.0:
        processors.append(library.TemperatureLogitsWarper(float(shape["temperature"])))
    processors += [getattr(library, class_name)(shape[key]) for key, class_name in _WARPERS.items() if key in shape]
    return [*processors, _drawer(seeds, steps)]


def _drawer(seeds: list[int], steps: int) -> LibraryObject:
    torch = torch_env.torch()
    quantiles = torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds], axis=1))

    class Drawer(torch_env.transformers().LogitsProcessor):  # type: ignore[misc]
        step = 0

        def __call__(self, input_ids: LibraryObject, scores: LibraryObject) -> LibraryObject:
            cumulative_counts = (scores.double().softmax(-1) * _UNITS).long().cumsum(-1)
            thresholds = (quantiles[self.step].to(scores.device) * cumulative_counts[:, -1]).long()
            self.step += 1
            drawn = torch.searchsorted(cumulative_counts, thresholds[:, None], right=True)
            return torch.full_like(scores, float("-inf")).scatter_(-1, drawn, 0.0)

    return Drawer()
