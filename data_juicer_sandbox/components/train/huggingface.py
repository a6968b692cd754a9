"""Language models trained with transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from loguru import logger

from data_juicer_sandbox.components import compute
from data_juicer_sandbox.components.base import Component, InputPath, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.train import record
from data_juicer_sandbox.components.train.callbacks import reporter
from data_juicer_sandbox.components.train.packing import Blocks, Packed, packed, read_texts
from data_juicer_sandbox.components.train.tokenizer import train_tokenizer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import digest, replacing

SHOWN = 50
"""Times the loss is watched per model."""


class HuggingFaceTrainer(Component):
    """Train small GPT-2-like language models from scratch, one for each data set and seed, on the same token budget.

    Each data set gets a byte-level BPE tokenizer of its own unless `tokenizer_path` names one for all. Losses per token
    of models with different tokenizers cannot be compared; their bits per byte (`huggingface_perplexity`) can.
    Documents are laid end to end with an end-of-text token between them and cut into blocks. The optimizer is AdamW
    (betas 0.9, 0.95), the learning rate rises linearly, then falls to 0 along a cosine; no dropout by default.

    The same data, seeds and parameters give the same bytes on the same machine. A model that stands complete for just
    these is not trained again. Without a GPU it trains on the CPU.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (architecture).

    Args:
        dataset_path: one data set or several (jsonl, also .gz or .zst), each for models of its own.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json` (data, tokens, epochs, seed, parameters, final loss).
        text_key: the field that holds the text.
        seeds: one model for each; of the first weights and the order of the data.
        max_tokens: tokens to train on, the same number for every model; data that is shorter is gone over again.
        tokenizer_path: a folder with a tokenizer, or a `tokenizer.json`, for all models.
        vocab_size: tokens of a new tokenizer, at most; 257 or more.
        n_layer: transformer blocks.
        n_embd: width of the model; a multiple of `n_head`.
        n_head: attention heads.
        block_size: tokens of a training example, and the model's longest context.
        batch_size: blocks in a step.
        learning_rate: the highest one.
        warmup_ratio: part of the steps in which the learning rate rises, 0 to 1. In runs as short as these a long rise
            lets the rate go higher.
        weight_decay: of AdamW.
        dropout: probability, of all of the model's dropouts.
        max_grad_norm: gradients are scaled down to this norm.
        precision: what the GPU computes in; `auto` is bfloat16 where the device is a GPU that has it, else float32.
        threads: CPU threads; torch's choice by default. Another number gives slightly different weights.
    """

    outputs = ("models",)

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath | None = None,
        text_key: str = "text",
        seeds: list[int] = [42],  # noqa: B006  (never changed; a list shows in the reference page)
        max_tokens: PositiveInt = 400_000,
        tokenizer_path: InputPath | None = None,
        vocab_size: PositiveInt = 2000,
        n_layer: PositiveInt = 4,
        n_embd: PositiveInt = 128,
        n_head: PositiveInt = 4,
        block_size: PositiveInt = 128,
        batch_size: PositiveInt = 4,
        learning_rate: PositiveFloat = 3e-3,
        warmup_ratio: NonNegativeFloat = 0.3,
        weight_decay: NonNegativeFloat = 0.1,
        dropout: NonNegativeFloat = 0.0,
        max_grad_norm: PositiveFloat = 1.0,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        threads: PositiveInt | None = None,
    ):
        if n_embd % n_head:
            raise ConfigError(f"n_embd {n_embd} is not a multiple of n_head {n_head}")
        if vocab_size < 257:
            raise ConfigError(f"vocab_size {vocab_size} has no room for the 256 bytes and the end-of-text token")
        if block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if len(set(seeds)) != len(seeds) or not seeds or min(seeds) < 0:
            raise ConfigError(f"seeds {seeds} are not one or more different numbers from 0 on")
        if warmup_ratio > 1 or dropout >= 1:
            raise ConfigError("warmup_ratio lies between 0 and 1, dropout below 1")
        self.datasets, self.export_path, self.text_key, self.seeds = as_list(dataset_path), export_path, text_key, seeds
        self.max_tokens, self.tokenizer_path, self.vocab_size = max_tokens, tokenizer_path, vocab_size
        self.n_layer, self.n_embd, self.n_head, self.block_size = n_layer, n_embd, n_head, block_size
        self.batch_size, self.learning_rate, self.warmup_ratio = batch_size, learning_rate, warmup_ratio
        self.weight_decay, self.dropout, self.max_grad_norm = weight_decay, dropout, max_grad_norm
        self.precision, self.threads = precision, threads

    def run(self, job: JobRun) -> list[str]:
        """Train all models; returns their folders, data set by data set, seed by seed."""
        models = []
        with compute.steady(self.threads):
            for name, path in zip(distinct_names(self.datasets), self.datasets, strict=True):
                models += [str(folder) for folder in self._models(job, name, path)]
        return models

    def _models(self, job: JobRun, name: str, path: str) -> Iterator[Path]:
        if not Path(path).is_file():
            raise JobError(f"there is no data set at {path}")
        origin = {"dataset": name, "dataset_path": path, "dataset_digest": digest(path), **self._settings()}
        with ExitStack() as stack:  # the data set is encoded once, for the first model that needs it
            data: tuple[Any, Packed] | None = None
            for seed in self.seeds:
                folder = Path(self.export_path or job.folder) / f"{name}_seed{seed}"
                wanted = {**origin, "seed": seed}
                if done := record.complete(folder, wanted):
                    logger.info("{} stands complete for the same data and parameters: not trained again", folder)
                    job.watcher.watch({folder.name: {"loss": done["final_loss"]}}, step=done["steps"])
                else:
                    data = data or stack.enter_context(self._prepared(job, name, path))
                    with replacing(folder) as part:
                        trained = self._train(job, folder.name, seed, *data, part)
                        record.write(part, wanted, trained)
                yield folder

    def _settings(self) -> dict[str, Any]:
        """All parameters and circumstances that the weights depend on."""
        names = (
            "text_key max_tokens n_layer n_embd n_head block_size batch_size learning_rate warmup_ratio "
            "weight_decay dropout max_grad_norm threads"
        )
        given = self.tokenizer_path
        tokenizer = {"path": given, "digest": digest(given)} if given else {"vocab_size": self.vocab_size}
        parameters = {key: getattr(self, key) for key in names.split()} | {"tokenizer": tokenizer}
        return {"parameters": parameters, "device": compute.device(), "precision": self._precision()}

    def _precision(self) -> str:
        if self.precision != "auto":
            return self.precision
        usable = compute.device() == "cuda" and compute.torch().cuda.is_bf16_supported()
        return "bfloat16" if usable else "float32"

    @contextmanager
    def _prepared(self, job: JobRun, name: str, path: str) -> Iterator[tuple[Any, Packed]]:
        with ExitStack() as stack:
            with job.progress.task(f"tokens of {name}") as task:
                if self.tokenizer_path:
                    tokenizer = compute.load_tokenizer(self.tokenizer_path)
                else:
                    task.update(note="training its tokenizer")
                    tokenizer = train_tokenizer(read_texts(path, self.text_key), self.vocab_size)
                task.update(note="encoding")
                data = stack.enter_context(packed(path, self.text_key, tokenizer, job.folder))
            logger.info(
                "{}: {:,} documents, {:,} tokens ({} in the vocabulary); {:,} training tokens are {:.2f} epochs",
                *(
                    name,
                    data.documents,
                    len(data.tokens),
                    len(tokenizer),
                    self.max_tokens,
                    self.max_tokens / len(data.tokens),
                ),
            )
            yield tokenizer, data

    def _train(self, job: JobRun, name: str, seed: int, tokenizer: Any, data: Packed, folder: Path) -> dict[str, Any]:
        """Train one model and save it; returns what is to be recorded about it."""
        library = compute.transformers()
        library.set_seed(seed)
        model = library.GPT2LMHeadModel(self._architecture(tokenizer))
        blocks = Blocks(data.tokens, self.block_size, self.max_tokens, seed)
        steps = -(-len(blocks) // self.batch_size)
        with job.progress.task(f"training {name}", total=steps) as task, tempfile.TemporaryDirectory() as unused:
            report = reporter(name, job.watcher, task, self.batch_size * self.block_size)
            arguments = self._arguments(seed, steps, unused)
            trainer = library.Trainer(model=model, args=arguments, train_dataset=blocks, callbacks=[report])
            trainer.remove_callback(library.PrinterCallback)
            trainer.train()
        model.to("cpu").save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):  # written for their owner alone
            weights.chmod((folder / "config.json").stat().st_mode)
        return {
            "rows": data.rows,
            "documents": data.documents,
            "dataset_tokens": len(data.tokens),
            "epochs": self.max_tokens / len(data.tokens),
            "steps": steps,
            "vocabulary": len(tokenizer),
            "weights": model.num_parameters(),
            "final_loss": report.last["loss"],
        }

    def _architecture(self, tokenizer: Any) -> Any:
        return compute.transformers().GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=self.block_size,
            n_embd=self.n_embd,
            n_layer=self.n_layer,
            n_head=self.n_head,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own function, in one kernel instead of eight
            resid_pdrop=self.dropout,
            embd_pdrop=self.dropout,
            attn_pdrop=self.dropout,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )

    def _arguments(self, seed: int, steps: int, folder: str) -> Any:
        arguments = compute.transformers().TrainingArguments(
            output_dir=folder,  # Trainer wants one; nothing is to be saved there
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=max(1, steps // SHOWN),
            logging_nan_inf_filter=False,
            train_sampling_strategy="sequential",  # Blocks are shuffled already
            num_train_epochs=1,
            per_device_train_batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=round(self.warmup_ratio * steps),
            weight_decay=self.weight_decay,
            adam_beta2=0.95,
            max_grad_norm=self.max_grad_norm,
            dataloader_pin_memory=False,
            use_cpu=compute.device() == "cpu",
            bf16=self._precision() == "bfloat16",
            seed=seed,
        )
        arguments._n_gpu = min(
            arguments.n_gpu, 1
        )  # more than one would be split over (DataParallel), and scale the batch
        return arguments
