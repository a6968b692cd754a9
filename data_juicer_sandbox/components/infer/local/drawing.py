"""Tokens drawn for each row by itself, so that a row's answer does not depend on the batch it is in."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_juicer_sandbox.components.lm import torch_env

_ONE = 2.0**40
"""Probabilities are counted in units of 2^-40: whole numbers add up to the same on every device, in any order."""
_WARPERS = {
    "top_k": "TopKLogitsWarper",
    "top_p": "TopPLogitsWarper",
    "min_p": "MinPLogitsWarper",
}


def drawing(seeds: list[int], steps: int, shape: dict[str, float]) -> list[Any]:
    """Logits processors for a greedy search that make it draw: the distribution shaped by transformers' own, then the
    token at a random place of it (inverse transform sampling) alone left.

    Args:
        seeds: one for each line of the batch.
        steps: tokens to draw, at most.
        shape: `temperature`, `top_k`, `top_p`, `min_p`, where they are given.
    """
    library = torch_env.transformers()
    found = []
    if shape.get("temperature", 1.0) != 1.0:
        found.append(library.TemperatureLogitsWarper(float(shape["temperature"])))
    found += [getattr(library, kind)(shape[key]) for key, kind in _WARPERS.items() if key in shape]
    return [*found, _drawer(seeds, steps)]


def _drawer(seeds: list[int], steps: int) -> Any:
    torch = torch_env.torch()
    places = torch.from_numpy(np.stack([np.random.default_rng(seed).random(steps) for seed in seeds], axis=1))

    class Drawer(torch_env.transformers().LogitsProcessor):  # type: ignore[misc]
        step = 0

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            shares = (scores.double().softmax(-1) * _ONE).long().cumsum(-1)
            place = (places[self.step].to(scores.device) * shares[:, -1]).long()
            self.step += 1
            drawn = torch.searchsorted(shares, place[:, None], right=True)
            return torch.full_like(scores, float("-inf")).scatter_(-1, drawn, 0.0)

    return Drawer()
