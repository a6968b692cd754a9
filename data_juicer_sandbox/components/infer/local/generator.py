"""Batched text generation with a causal model of transformers. Tokens are sampled with a seed per row, so that a row's
answer does not depend on its batch.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from data_juicer_sandbox.components.infer.local.batches import BatchItem, GeneratedText
from data_juicer_sandbox.components.infer.local.sampling import SHAPES, Sampling
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.model_check import check_token
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import LibraryObject


class Generator:
    """Generates completions.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        sampling: the sampling parameters.

    Raises:
        JobError: a sampling parameter is unknown.
    """

    def __init__(self, model: LibraryObject, tokenizer: LibraryObject, sampling: Sampling):
        self._model, self._tokenizer, self._sampling = model, tokenizer, sampling
        default_config = model.generation_config
        self._shape = {key: value for key in SHAPES if (value := getattr(default_config, key, None)) not in (None, 0)}
        self._shape.update(sampling.shape)
        self._config = self._generation_config(deepcopy(default_config))
        ends = self._config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        self._pad = int(self._config.pad_token_id)

    def generate(self, batch: list[BatchItem]) -> list[GeneratedText]:
        """Complete all prompts of a batch.

        Raises:
            JobError: the batch does not fit into the GPU's memory, or the tokenizer is not the model's.
        """
        torch, sampling = torch_env.torch(), self._sampling
        longest = max(len(pending.tokens) for pending, _ in batch)
        tokens = torch.full((len(batch), longest), self._pad)
        mask = torch.zeros_like(tokens)
        for line, (pending, _) in enumerate(batch):
            tokens[line, longest - len(pending.tokens) :] = torch.tensor(pending.tokens)
            mask[line, longest - len(pending.tokens) :] = 1
        check_token(max(max(pending.tokens) for pending, _ in batch), self._model)
        processors = []
        if sampling.draws:
            seeds = [sampling.seed_of(pending.request.number, sample) for pending, sample in batch]
            processors = drawing(seeds, sampling.tokens, self._shape)
        try:
            with torch.inference_mode():
                generated = self._model.generate(
                    tokens.to(self._model.device),
                    attention_mask=mask.to(self._model.device),
                    generation_config=self._config,
                    logits_processor=processors,
                    **({"tokenizer": self._tokenizer} if sampling.stop else {}),
                )
        except torch.OutOfMemoryError as error:
            raise JobError(
                f"the GPU's memory is too small for {len(batch)} prompts of up to {longest:,} tokens",
                hint=f"a batch_size below {len(batch)}",
            ) from error
        return [self._read(line) for line in generated[:, longest:].tolist()]

    def _read(self, line: list[int]) -> GeneratedText:
        text, cut = self._sampling.cut(self._tokenizer.decode(line, skip_special_tokens=True))
        end = next((index for index, token in enumerate(line) if token in self._ends or token == self._pad), None)
        if end is None:
            return GeneratedText(text, len(line), complete=cut)
        return GeneratedText(text, end + (line[end] in self._ends and not cut))

    def _generation_config(self, config: LibraryObject) -> LibraryObject:
        """The model's generation config, overridden by the sampling parameters."""
        sampling, tokenizer = self._sampling, self._tokenizer
        if unknown := [key for key in sampling.others if not hasattr(config, key)]:
            parameter_names = [key for key in vars(config) if not key.startswith("_")]
            hint = suggest(unknown[0], parameter_names)
            raise JobError(f"sampling_params: transformers has no parameter {unknown[0]!r}", hint=hint)
        if sampling.draws and (sampling.others.get("num_beams") or 1) > 1:
            raise JobError("sampling_params: beam search does not sample", hint="num_beams without temperature or n")
        config.update(
            **dict.fromkeys((*SHAPES, "max_length")),
            **{"num_return_sequences": 1, "use_cache": True, **sampling.others},
            do_sample=False,  # sampling is done by the logits processors
            max_new_tokens=sampling.tokens,
            stop_strings=list(sampling.stop) or None,
        )
        if config.eos_token_id is None:
            config.eos_token_id = tokenizer.eos_token_id
        if config.pad_token_id is None:
            ends = config.eos_token_id
            first = ends[0] if isinstance(ends, list) else ends
            candidates = (tokenizer.pad_token_id, first, 0)
            config.pad_token_id = next(token_id for token_id in candidates if token_id is not None)
        return config


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
