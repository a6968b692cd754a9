"""Language models trained on text with transformers: from scratch, wholly, or by LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from jsonargparse.typing import NonNegativeFloat, PositiveFloat, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import InputPath, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.held_out import BATCH, HeldOut
from data_juicer_sandbox.components.lm.packing import Blocks, Packed, packed
from data_juicer_sandbox.components.train import hf_trainer, saved
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.eval_callback import Scoring
from data_juicer_sandbox.components.train.methods import METHODS
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trainer import ModelTrainer
from data_juicer_sandbox.errors import ConfigError

BUDGET = 400_000


@dataclass(eq=False)
class HuggingFaceTrainer(ModelTrainer):
    """Train causal language models on text, one for each data set and seed, on the same budget.

    There are three methods:

    - `scratch`: a new, small GPT-2-like model. Each data set gets a byte-level BPE tokenizer of its own unless
      `tokenizer_path` names one for all. Losses per token of models with different tokenizers cannot be compared; their
      bits per byte (`huggingface_perplexity`) can.
    - `full`: all weights of `model` are trained further.
    - `lora`: small matrices beside the weights of `model` are trained, the weights themselves are not.

    Documents are laid end to end with an end-of-text token between them and cut into blocks. The optimizer is AdamW
    (betas 0.9, 0.95 from scratch; 0.9, 0.999 else), the learning rate rises linearly, then falls to 0 along a cosine.

    The same data, seeds and parameters give the same bytes on the same machine, also where a training was killed and
    went on from its last checkpoint (in the job's folder until the model is whole). A model that stands complete for
    just these is not trained again. Without a GPU it trains on the CPU.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (architecture); Hu et al. 2021,
    "LoRA: Low-Rank Adaptation of Large Language Models".

    Args:
        dataset_path: one data set or several, each for models of its own.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json` (data, tokens, epochs, seed, parameters, final loss).
        text_key: the field that holds the text.
        method: `scratch`, `full` or `lora`.
        model: what `full` and `lora` start from: a folder, or an id on the Hugging Face hub.
        seeds: a number or several, one model for each; of new weights and the order of the data.
        max_tokens: tokens to train on, the same number for every model; data that is shorter is gone over again.
            400,000 by default.
        max_steps: steps to train, instead of `max_tokens`: `batch_size` x `block_size` tokens each.
        tokenizer_path: `scratch`: a folder with a tokenizer, or a `tokenizer.json`, for all models.
        vocab_size: `scratch`: tokens of a new tokenizer, at most; 257 or more.
        n_layer: `scratch`: transformer blocks.
        n_embd: `scratch`: width of the model; a multiple of `n_head`.
        n_head: `scratch`: attention heads.
        dropout: `scratch`: probability, of all of the model's dropouts.
        lora_r: `lora`: rank of the new matrices.
        lora_alpha: `lora`: they count `lora_alpha / lora_r` times.
        lora_dropout: `lora`: probability of their inputs being dropped.
        lora_target_modules: `lora`: names of the layers that get them; `all-linear` is every linear layer but the
            output.
        merge: `lora`: save the model with the matrices added to its weights, a plain model for any program; if not,
            only the matrices (an adapter, which transformers loads together with `model`, where that still stands).
        block_size: tokens of a training example, and from scratch the model's longest context. By default 128 from
            scratch, else 512 or the model's longest context, if that is shorter.
        batch_size: blocks in a step.
        device_batch_size: blocks at once on a device, where all of a step's do not fit; the gradients of a step are
            added up. By default all.
        learning_rate: the highest one; by default 3e-3 (`scratch`), 5e-5 (`full`), 2e-4 (`lora`).
        warmup_ratio: part of the steps in which the learning rate rises, 0 to 1; by default 0.3 from scratch (in runs
            as short as these a long rise lets the rate go higher), else 0.03.
        weight_decay: of AdamW; by default 0.1 from scratch, else 0.
        max_grad_norm: gradients are scaled down to this norm.
        precision: what the GPU computes in; `auto` is bfloat16 where the device is a GPU that has it, else float32.
        save_steps: steps from one checkpoint to the next.
        eval_dataset_path: a data set held out, with the same `text_key`. On the way each model is scored on it as
            `huggingface_perplexity` does it, with this `block_size`: `<model>.eval.loss` (nats per token) and
            `<model>.eval.bits_per_byte`. The weights do not depend on it.
        eval_steps: steps from one scoring to the next; the last step's model is scored too.
        eval_max_rows: rows of `eval_dataset_path` to score, from its start; all by default.
        max_parallel: models trained side by side, each in a process of its own, with its share of the cores, on the
            next GPU in turn.
        num_processes: processes that train one model together, one a GPU, or on the CPU.
        threads: CPU threads of a process; torch's choice by default. Another number gives slightly different weights.
        training_args: more arguments of transformers' `TrainingArguments`, such as `optim` or
            `gradient_checkpointing`.
    """

    indifferent: ClassVar[frozenset[str]] = ModelTrainer.indifferent | {
        "eval_dataset_path",
        "eval_steps",
        "eval_max_rows",
    }

    dataset_path: InputPaths
    export_path: OutputPath | None = None
    text_key: str = "text"
    method: Literal["scratch", "full", "lora"] = "scratch"
    model: Model | None = None
    seeds: int | list[int] = 42
    max_tokens: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    tokenizer_path: InputPath | None = None
    vocab_size: PositiveInt = 2000
    n_layer: PositiveInt = 4
    n_embd: PositiveInt = 128
    n_head: PositiveInt = 4
    dropout: NonNegativeFloat = 0.0
    lora_r: PositiveInt = 16
    lora_alpha: PositiveFloat = 32.0
    lora_dropout: NonNegativeFloat = 0.0
    lora_target_modules: str | list[str] = "all-linear"
    merge: bool = True
    block_size: PositiveInt | None = None
    batch_size: PositiveInt = 4
    device_batch_size: PositiveInt | None = None
    learning_rate: PositiveFloat | None = None
    warmup_ratio: NonNegativeFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    save_steps: PositiveInt = 200
    eval_dataset_path: InputPath | None = None
    eval_steps: PositiveInt = 50
    eval_max_rows: PositiveInt | None = None
    max_parallel: PositiveInt = 1
    num_processes: PositiveInt = 1
    threads: PositiveInt | None = None
    training_args: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.check_common()
        for method, one in METHODS.items():
            foreign = [name for name in one.parameters if name not in METHODS[self.method].parameters]
            self.refuse(foreign, f"for method {method}, not for {self.method}")
        METHODS[self.method].check(self)
        if self.eval_dataset_path is None:
            self.refuse(("eval_steps", "eval_max_rows"), "only with an eval_dataset_path")
        if self.block_size is not None and self.block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if self.max_tokens and self.max_steps:
            raise ConfigError("max_tokens and max_steps are both given", hint="one of them is the budget")
        if (self.warmup_ratio or 0) > 1 or self.dropout >= 1 or self.lora_dropout >= 1:
            raise ConfigError("warmup_ratio lies between 0 and 1, dropout below 1")
        for name, value in METHODS[self.method].defaults.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def decisive(self) -> dict[str, Any]:
        """The parameters of the method that the weights depend on; the budget in tokens."""
        mine = METHODS[self.method]
        foreign = {name for one in METHODS.values() for name in one.parameters} - set(mine.parameters)
        block = mine.block_size(self)
        found = {key: value for key, value in super().decisive().items() if key not in (*foreign, "max_steps")}
        if self.method == "scratch" and self.tokenizer_path:
            del found["vocab_size"]
        return {**found, "block_size": block, "max_tokens": self._budget(block)}

    def _budget(self, block: int) -> int:
        if self.max_steps:
            return self.max_steps * self.batch_size * block
        return self.max_tokens or BUDGET

    def held_out(self, block: int) -> HeldOut | None:
        """The texts to score models on, if there are any, in windows of so many tokens."""
        if self.eval_dataset_path is None:
            return None
        batch_size = self.device_batch_size or BATCH
        return HeldOut(self.eval_dataset_path, self.text_key, self.eval_max_rows, block, batch_size=batch_size)

    def orders(self, job: JobRun) -> list[TrainingTask]:
        """All models that are wanted.

        Raises:
            JobError: a data set is not there, or there is no text to score models on.
        """
        found = super().orders(job)
        if texts := self.held_out(METHODS[self.method].block_size(self)):
            texts.check()
        return found

    def recall(self, job: JobRun, order: TrainingTask, steps: int) -> None:
        """Score a model that stands."""
        if texts := self.held_out(order.wanted["parameters"]["block_size"]):
            with torch_env.deterministic(self.cpu_threads()), job.progress.task(f"scoring {order.name}") as task:
                tokenizer = torch_env.load_tokenizer(order.folder)
                model = torch_env.load_causal_lm(order.folder, "float32")
                Scoring(texts, tokenizer, self.eval_steps).watch(model, order.name, steps, job.watcher, task)

    @contextmanager
    def prepared(self, job: JobRun, order: TrainingTask) -> Iterator[tuple[Any, Packed]]:
        """The tokenizer, and the documents as one stream of tokens."""
        with ExitStack() as stack:
            with job.progress.task(f"tokens of {order.dataset}") as task:
                task.update(note="the tokenizer")
                tokenizer = METHODS[self.method].tokenizer(self, order.path)
                task.update(note="encoding")
                data = stack.enter_context(packed(order.path, self.text_key, tokenizer, job.folder))
            budget = order.wanted["parameters"]["max_tokens"]
            logger.info(
                "{}: {:,} documents, {:,} tokens ({} in the vocabulary); {:,} training tokens are {:.2f} epochs",
                *(order.dataset, data.documents, len(data.tokens), len(tokenizer), budget, budget / len(data.tokens)),
            )
            yield tokenizer, data

    def train(
        self, job: JobRun, order: TrainingTask, data: tuple[Any, Packed], folder: Path, checkpoints: Checkpoints
    ) -> dict[str, Any]:
        """Train one model and save it; returns what is to be recorded about it."""
        library, method = torch_env.transformers(), METHODS[self.method]
        tokenizer, documents = data
        block, budget = (order.wanted["parameters"][key] for key in ("block_size", "max_tokens"))
        library.set_seed(order.seed)
        model = method.model(self, tokenizer)
        blocks = Blocks(documents.tokens, block, budget, order.seed, self.batch_size if self.num_processes > 1 else 1)
        steps = hf_trainer.steps_of(len(blocks), self.batch_size)
        arguments = hf_trainer.arguments(
            library.TrainingArguments,
            self,
            order.seed,
            checkpoints.folder,
            train_sampling_strategy="sequential",  # Blocks are shuffled already
            **method.options,
        )
        trainer = library.Trainer(model=model, args=arguments, train_dataset=blocks)
        texts = self.held_out(block)
        scoring = Scoring(texts, tokenizer, self.eval_steps) if texts else None
        last = hf_trainer.run(trainer, job, order.name, steps, self, checkpoints, self.batch_size * block, scoring)
        examples = (blocks[number]["input_ids"].tolist() for number in range(len(blocks)))
        hf_trainer.save(model, tokenizer, folder, order.name, self.merge, saved.sample(examples))
        return {
            "rows": documents.rows,
            "documents": documents.documents,
            "dataset_tokens": len(documents.tokens),
            "epochs": budget / len(documents.tokens),
            "steps": steps,
            "vocabulary": len(tokenizer),
            "weights": model.num_parameters(),
            "final_loss": last["loss"],
        }
