"""Whether the model that was saved is the one that was trained: both compute the logits of one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train.eval_callback import as_it_is
from data_juicer_sandbox.errors import JobError

ROWS = 4
TOKENS = 128
"""Size of the batch, at most: enough to show a wrong weight, and small in memory (77 MB of logits for 150,000 tokens of
vocabulary in bfloat16, twice that in float32).
"""

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.25}
"""How far the logits may differ: the root mean square of the difference over that of the logits, by the type of the
weights.

A model whose weights are saved as they are has the same logits. Merged adapters have not: `(W + BA) x` is rounded
otherwise than `Wx + BAx`, by up to 2^-24 of the value in float32 and 2^-8 in bfloat16, in each layer. Measured on Llama
models with random weights, which pass errors on more than trained ones do, with small to very large adapters: 2e-6 (4
layers) to 1.1e-5 (64 layers) in float32, 0.02 to 0.11 in bfloat16. Adapters merged into a shared weight gave 0.5 to 50.
"""

Sample = Sequence[Sequence[int]]
"""Tokens of some training examples."""


def sample(examples: Iterable[Sequence[int]], longest: int | None = None) -> Sample:
    """The first tokens of the first examples that have any.

    Args:
        examples: tokens of training examples.
        longest: the model's context.
    """
    cut = (list(tokens[: min(TOKENS, longest or TOKENS)]) for tokens in examples)
    return list(islice(filter(None, cut), ROWS))


def logits(model: Any, batch: Sample) -> list[Any]:
    """The logits of each example, of shape (tokens, vocabulary); less their mean, which has no meaning.

    Args:
        model: a causal language model; it is left as it was.
        batch: tokens.
    """
    torch = torch_env.torch()
    device = next(model.parameters()).device
    found = []
    with torch.no_grad(), as_it_is(model):
        for tokens in batch:
            values = model(input_ids=torch.tensor([tokens], device=device), use_cache=False).logits[0]
            found.append(values - values.mean(-1, keepdim=True))
    return found


def difference(expected: Sequence[Any], actual: Sequence[Any]) -> float:
    """The root mean square of the difference of logits over that of the expected ones; infinite for other shapes."""
    if [one.shape for one in expected] != [one.shape for one in actual]:
        return float("inf")
    if all(map(torch_env.torch().equal, expected, actual)):
        return 0.0
    apart = sum(
        float((one.float() - other.float()).square().sum()) for one, other in zip(expected, actual, strict=True)
    )
    scale = sum(float(one.float().square().sum()) for one in expected)
    return (apart / scale) ** 0.5 if scale else float("inf")


def check(folder: Path, name: str, expected: Sequence[Any], batch: Sample, dtype: Any, *, merged: bool) -> None:
    """Load a saved model as any program does, and compare its logits with those of the trained model.

    Both are computed on the CPU: the same kernels give the same numbers.

    Args:
        folder: of a model, or of adapters alone (their base is loaded too).
        name: the model's.
        expected: the trained model's logits.
        batch: the tokens that they are of.
        dtype: of the model's weights; the saved one is loaded in it.
        merged: whether adapters were merged into the weights.

    Raises:
        JobError: it cannot be loaded, or is another model.
    """
    model = torch_env.load(torch_env.transformers().AutoModelForCausalLM, str(folder), dtype=dtype)
    apart = difference(expected, logits(model, batch))
    tolerance = TOLERANCES[str(dtype).removeprefix("torch.")]
    if not apart <= tolerance:  # not a number is a failure too
        raise JobError(
            f"the model saved for {name} is not the one that was trained: on {len(batch)} training examples its logits "
            f"differ by {apart:.3g} of their size (at most {tolerance:g} is due to rounding in {dtype})",
            hint="`merge: false` saves the adapters alone" if merged else None,
        )
