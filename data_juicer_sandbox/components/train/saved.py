"""Saves trained models and verifies them: the saved and the trained model compute the logits of one batch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from data_juicer_sandbox.components.lm import loading, torch_env
from data_juicer_sandbox.components.train.hf_trainer import evaluation_mode
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject

ROWS = 4
TOKENS = 128
"""Maximum size of the batch: large enough to detect a wrong weight, small in memory (77 MB of logits for a vocabulary
of 150,000 tokens in bfloat16, twice that in float32).
"""

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.25}
"""Tolerated difference of the logits by type of the weights: root mean square of the difference, divided by that of
the expected logits.

Without merging, the logits are equal. Merging adapters changes the rounding: `(W + BA) x` differs from `Wx + BAx` by up
to 2^-24 of the value in float32 and 2^-8 in bfloat16, in each layer. Measured on Llama models with random weights,
which amplify errors more than trained models, with small to very large adapters: 2e-6 (4 layers) to 1.1e-5 (64 layers)
in float32, 0.02 to 0.11 in bfloat16. Adapters merged into a shared weight gave 0.5 to 50.
"""

Sample = Sequence[Sequence[int]]
"""Tokens of some training examples."""


def save(model: LibraryObject, tokenizer: LibraryObject, folder: Path, name: str, merge: bool, batch: Sample) -> None:
    """Save a trained model and its tokenizer, then load the saved model and compare the two.

    Saving the same model gives the same bytes. With several processes, only the main process compares.

    Args:
        model: the model; it is moved to the CPU.
        tokenizer: the model's tokenizer.
        folder: folder to save into.
        name: name of the model.
        merge: whether to merge adapters into the weights; otherwise only the adapters are
        batch: training examples on which the two models are compared.

    Raises:
        JobError: the saved model differs from the trained model.
    """
    model.to("cpu")
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    dtype = base.dtype
    expected = logits(model, batch) if torch_env.is_main_process() else None
    if merged := merge and hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    adapter = folder / "adapter_config.json"
    if adapter.exists():  # peft writes sets as lists in arbitrary order
        content = json.loads(adapter.read_text(encoding="utf-8"))
        if isinstance(modules := content.get("target_modules"), list):
            content["target_modules"] = sorted(modules)
        adapter.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    mode = next(folder.glob("*config.json")).stat().st_mode
    for weights in folder.glob("*.safetensors"):  # safetensors makes them readable for the owner only
        weights.chmod(mode)
    if expected is not None:
        check(folder, name, expected, batch, dtype, merged=merged)


def sample(examples: Iterable[Sequence[int]], longest: int | None = None) -> Sample:
    """The first tokens of the first non-empty examples.

    Args:
        examples: tokens of training examples.
        longest: the model's context.
    """
    truncated = (list(tokens[: min(TOKENS, longest or TOKENS)]) for tokens in examples)
    return list(islice(filter(None, truncated), ROWS))


def logits(model: LibraryObject, batch: Sample) -> list[LibraryObject]:
    """The logits of each example, of shape (tokens, vocabulary), minus their mean, which has no effect on predictions.

    Args:
        model: a causal language model; it is not changed.
        batch: tokens of the examples.
    """
    torch = torch_env.torch()
    device = next(model.parameters()).device
    per_example = []
    with torch.no_grad(), evaluation_mode(model):
        for tokens in batch:
            values = model(input_ids=torch.tensor([tokens], device=device), use_cache=False).logits[0]
            per_example.append(values - values.mean(-1, keepdim=True))
    return per_example


def difference(expected: Sequence[LibraryObject], actual: Sequence[LibraryObject]) -> float:
    """Relative difference of logits: root mean square of the difference, divided by that of the expected logits;
    infinite if shapes differ.
    """
    if [logits.shape for logits in expected] != [logits.shape for logits in actual]:
        return float("inf")
    if all(map(torch_env.torch().equal, expected, actual)):
        return 0.0
    pairs = zip(expected, actual, strict=True)
    squared_error = sum(float((before.float() - after.float()).square().sum()) for before, after in pairs)
    scale = sum(float(logits.float().square().sum()) for logits in expected)
    return (squared_error / scale) ** 0.5 if scale else float("inf")


def check(
    folder: Path, name: str, expected: Sequence[LibraryObject], batch: Sample, dtype: LibraryObject, *, merged: bool
) -> None:
    """Load a saved model and compare its logits with those of the trained model.

    Both are computed on the CPU, so that the same kernels give the same numbers.

    Args:
        folder: folder of a model, or of adapters only (their base model is loaded too).
        name: name of the model.
        expected: logits of the trained model.
        batch: tokens for which the logits were computed.
        dtype: type of the model's weights; the saved model is loaded with it.
        merged: whether adapters were merged into the weights.

    Raises:
        JobError: the saved model cannot be loaded, or its logits differ.
    """
    model = loading.load(torch_env.transformers().AutoModelForCausalLM, str(folder), dtype=dtype)
    error = difference(expected, logits(model, batch))
    tolerance = TOLERANCES[str(dtype).removeprefix("torch.")]
    if not error <= tolerance:  # also true for NaN
        raise JobError(
            f"the model saved for {name} differs from the trained model: on {len(batch)} training examples the "
            f"relative difference of the logits is {error:.3g} (rounding in {dtype} explains at most {tolerance:g})",
            hint="`merge: false` saves the adapters alone" if merged else None,
        )
