"""A causal model of transformers that goes on from batches of prompts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from data_juicer_sandbox.components.infer.local.batches import Piece, Written
from data_juicer_sandbox.components.infer.local.drawing import drawing
from data_juicer_sandbox.components.infer.local.sampling import SHAPES, Sampling
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import JobError


class Generator:
    """Writes answers.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        sampling: how it answers.

    Raises:
        JobError: a sampling parameter is unknown.
    """

    def __init__(self, model: Any, tokenizer: Any, sampling: Sampling):
        self._model, self._tokenizer, self._sampling = model, tokenizer, sampling
        own = model.generation_config
        self._shape = {key: value for key in SHAPES if (value := getattr(own, key, None)) not in (None, 0)}
        self._shape.update(sampling.shape)
        self._config = self._configured(deepcopy(own))
        ends = self._config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])
        self._pad = int(self._config.pad_token_id)

    def write(self, batch: list[Piece]) -> list[Written]:
        """Go on from all prompts of a batch at once.

        Raises:
            JobError: it does not fit into the GPU's memory.
        """
        torch, sampling = torch_env.torch(), self._sampling
        longest = max(len(asked.tokens) for asked, _ in batch)
        tokens = torch.full((len(batch), longest), self._pad)
        mask = torch.zeros_like(tokens)
        for line, (asked, _) in enumerate(batch):
            tokens[line, longest - len(asked.tokens) :] = torch.tensor(asked.tokens)
            mask[line, longest - len(asked.tokens) :] = 1
        processors = []
        if sampling.draws:
            seeds = [sampling.seed_of(asked.question.number, sample) for asked, sample in batch]
            processors = drawing(seeds, sampling.tokens, self._shape)
        try:
            with torch.inference_mode():
                made = self._model.generate(
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
        return [self._read(line) for line in made[:, longest:].tolist()]

    def _read(self, line: list[int]) -> Written:
        text, cut = self._sampling.cut(self._tokenizer.decode(line, skip_special_tokens=True))
        end = next((place for place, token in enumerate(line) if token in self._ends or token == self._pad), None)
        if end is None:
            return Written(text, len(line))
        return Written(text, end + (line[end] in self._ends and not cut))

    def _configured(self, config: Any) -> Any:
        """The model's own settings, changed as is wanted."""
        sampling, tokenizer = self._sampling, self._tokenizer
        if unknown := [key for key in sampling.others if not hasattr(config, key)]:
            known = [key for key in vars(config) if not key.startswith("_")]
            raise JobError(f"sampling_params: transformers knows no {unknown[0]!r}", hint=suggest(unknown[0], known))
        if sampling.draws and (sampling.others.get("num_beams") or 1) > 1:
            raise JobError("sampling_params: beams are searched, not drawn", hint="num_beams without temperature or n")
        config.update(
            **dict.fromkeys((*SHAPES, "max_length")),
            **{"num_return_sequences": 1, "use_cache": True, **sampling.others},
            do_sample=False,  # drawn tokens come from the processors
            max_new_tokens=sampling.tokens,
            stop_strings=list(sampling.stop) or None,
        )
        if config.eos_token_id is None:
            config.eos_token_id = tokenizer.eos_token_id
        if config.pad_token_id is None:
            ends = config.eos_token_id
            first = ends[0] if isinstance(ends, list) else ends
            config.pad_token_id = next(found for found in (tokenizer.pad_token_id, first, 0) if found is not None)
        return config
