"""Language models trained on text with transformers: from scratch, full fine-tuning, or LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from loguru import logger

from data_juicer_sandbox.components.base import InputPath, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.held_out import BATCH, HeldOut
from data_juicer_sandbox.components.lm.packing import Blocks, Packed, packed
from data_juicer_sandbox.components.number_types import NonNegativeFloat, PositiveInt
from data_juicer_sandbox.components.train import hf_trainer, saved
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.eval_callback import Scoring
from data_juicer_sandbox.components.train.methods import METHODS
from data_juicer_sandbox.components.train.parameters import TrainingParameters
from data_juicer_sandbox.components.train.task import TrainingTask
from data_juicer_sandbox.components.train.trainer import ModelTrainer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics

BUDGET = 400_000


@dataclass(eq=False)
class HuggingFaceTrainer(TrainingParameters, ModelTrainer):
    """Train causal language models on text, one per data set and seed, on the same budget.

    The methods:

    - `scratch`: a new, small GPT-2-like model. Each data set gets its own byte-level BPE tokenizer, unless
      `tokenizer_path` names one for all. Losses per token of models with different tokenizers cannot be compared; their
      bits per byte (`huggingface_perplexity`) can.
    - `full`: fine-tunes all weights of `model`.
    - `lora`: trains low-rank adapters of `model`; the weights themselves are not changed.

    Documents are concatenated with an end-of-text token between them and cut into blocks. The optimizer is AdamW
    (betas 0.9, 0.95 for `scratch`, else 0.9, 0.999) with linear warmup and cosine decay to 0.

    The same data, seeds and parameters give the same bytes on the same machine, also if a training was killed and
    resumed from its last checkpoint (kept in the job's folder until the model is saved). A model that is complete for
    the same data, seed and parameters is not trained again. Without a GPU, training runs on the CPU.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (architecture); Hu et al. 2021,
    "LoRA: Low-Rank Adaptation of Large Language Models".

    Args:
        dataset_path: one data set or several; each gets its own models.
        export_path: folder of the models; the job's folder by default. A model is a folder `<data set>_seed<seed>` with
            config, weights, tokenizer, and `training.json` (data, tokens, epochs, seed, parameters, final loss).
        text_key: the field that holds the text.
        method: `scratch`, `full` or `lora`.
        model: the base model of `full` and `lora`: a folder, or an id on the Hugging Face hub.
        seeds: one seed or several, one model for each; random seed for initialisation and shuffling.
        max_tokens: number of training tokens, the same for every model; shorter data is repeated. 400,000 by default.
        max_steps: number of training steps, instead of `max_tokens`: `batch_size` x `block_size` tokens each.
        tokenizer_path: `scratch`: a folder with a tokenizer, or a `tokenizer.json`, for all models.
        vocab_size: `scratch`: maximum vocabulary of a new tokenizer; 257 or more.
        n_layer: `scratch`: transformer blocks.
        n_embd: `scratch`: width of the model; a multiple of `n_head`.
        n_head: `scratch`: attention heads.
        dropout: `scratch`: probability of all dropout layers.
        block_size: tokens of a training example; with `scratch` also the model's context. By default 128 with
            `scratch`, else 512 or the model's context, whichever is shorter.
        batch_size: blocks per step.
        learning_rate: peak learning rate; by default 3e-3 (`scratch`), 5e-5 (`full`), 2e-4 (`lora`).
        warmup_ratio: fraction of the steps in which the learning rate rises, 0 to 1; by default 0.3 with `scratch` (in
            short runs a long warmup allows a higher rate), else 0.03.
        weight_decay: weight decay of AdamW; by default 0.1 with `scratch`, else 0.
        eval_dataset_path: a held-out data set with the same `text_key`. During training each model is scored on it as
            by `huggingface_perplexity`, with this `block_size`: `<model>.eval.loss` (nats per token) and
            `<model>.eval.bits_per_byte`. The weights do not depend on it.
        eval_steps: steps between evaluations; the final model is evaluated too.
        eval_max_rows: number of rows of `eval_dataset_path` to score, from its start; all by default.
        training_args: more arguments of transformers' `TrainingArguments`, such as `optim` or
            `gradient_checkpointing`.
    """

    unfingerprinted_params: ClassVar[frozenset[str]] = ModelTrainer.unfingerprinted_params | {
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
    block_size: PositiveInt | None = None
    batch_size: PositiveInt = 4
    warmup_ratio: NonNegativeFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    eval_dataset_path: InputPath | None = None
    eval_steps: PositiveInt = 50
    eval_max_rows: PositiveInt | None = None

    def __post_init__(self) -> None:
        self.check_common()
        for method, definition in METHODS.items():
            inapplicable = [name for name in definition.parameters if name not in METHODS[self.method].parameters]
            self.refuse(inapplicable, f"for method {method}, not for {self.method}")
        METHODS[self.method].check(self)
        if self.eval_dataset_path is None:
            self.refuse(("eval_steps", "eval_max_rows"), "only with an eval_dataset_path")
        if self.block_size is not None and self.block_size < 2:
            raise ConfigError("block_size 1 leaves no token to predict", hint="2 or more")
        if self.max_tokens and self.max_steps:
            raise ConfigError("max_tokens and max_steps are both given", hint="set one of them")
        if (self.warmup_ratio or 0) > 1 or self.dropout >= 1 or self.lora_dropout >= 1:
            raise ConfigError("warmup_ratio must be between 0 and 1, dropout below 1")
        for name, value in METHODS[self.method].defaults.items():
            if getattr(self, name) is None:
                setattr(self, name, value)

    def fingerprint_params(self) -> ConfigValues:
        """The parameters of the method that determine the weights, with the budget in tokens."""
        selected = METHODS[self.method]
        inapplicable = {name for method in METHODS.values() for name in method.parameters} - set(selected.parameters)
        block = selected.block_size(self)
        params = {
            key: value for key, value in super().fingerprint_params().items() if key not in (*inapplicable, "max_steps")
        }
        if self.method == "scratch" and self.tokenizer_path:
            del params["vocab_size"]
        return {**params, "block_size": block, "max_tokens": self._budget(block)}

    def _budget(self, block: int) -> int:
        if self.max_steps:
            return self.max_steps * self.batch_size * block
        return self.max_tokens or BUDGET

    def held_out(self, block: int) -> HeldOut | None:
        """The held-out texts in windows of `block` tokens; None without `eval_dataset_path`."""
        if self.eval_dataset_path is None:
            return None
        batch_size = self.device_batch_size or BATCH
        return HeldOut(self.eval_dataset_path, self.text_key, self.eval_max_rows, block, batch_size=batch_size)

    def training_tasks(self, job: JobRun) -> list[TrainingTask]:
        """The models to train.

        Raises:
            JobError: a data set does not exist, or the evaluation data has no texts.
        """
        training_tasks = super().training_tasks(job)
        if texts := self.held_out(METHODS[self.method].block_size(self)):
            texts.check()
        return training_tasks

    def report_existing_model(self, job: JobRun, training_task: TrainingTask, steps: int) -> None:
        """Evaluate a model that is already complete."""
        if texts := self.held_out(training_task.inputs["parameters"]["block_size"]):
            with (
                torch_env.deterministic(self.cpu_threads()),
                job.progress.task(f"scoring {training_task.name}") as task,
            ):
                tokenizer = torch_env.load_tokenizer(training_task.folder)
                model = torch_env.load_causal_lm(training_task.folder, "float32")
                Scoring(texts, tokenizer, self.eval_steps).watch(model, training_task.name, steps, job.watcher, task)

    @contextmanager
    def prepare_data(self, job: JobRun, training_task: TrainingTask) -> Iterator[tuple[LibraryObject, Packed]]:
        """Load or train the tokenizer, and encode the documents as one stream of tokens."""
        with ExitStack() as stack:
            with job.progress.task(f"tokens of {training_task.dataset}") as task:
                task.update(note="the tokenizer")
                tokenizer = METHODS[self.method].tokenizer(self, training_task.path)
                task.update(note="encoding")
                data = stack.enter_context(packed(training_task.path, self.text_key, tokenizer, job.folder))
            budget = training_task.inputs["parameters"]["max_tokens"]
            logger.info(
                "{}: {:,} documents, {:,} tokens ({} in the vocabulary); {:,} training tokens are {:.2f} epochs",
                *(
                    training_task.dataset,
                    data.documents,
                    len(data.tokens),
                    len(tokenizer),
                    budget,
                    budget / len(data.tokens),
                ),
            )
            yield tokenizer, data

    def train(
        self,
        job: JobRun,
        training_task: TrainingTask,
        data: tuple[LibraryObject, Packed],
        folder: Path,
        checkpoints: Checkpoints,
    ) -> Metrics:
        """Train one model and save it; returns the metadata to record."""
        library, method = torch_env.transformers(), METHODS[self.method]
        tokenizer, documents = data
        block, budget = (training_task.inputs["parameters"][key] for key in ("block_size", "max_tokens"))
        library.set_seed(training_task.seed)
        model = method.model(self, tokenizer)
        blocks = Blocks(
            documents.tokens, block, budget, training_task.seed, self.batch_size if self.num_processes > 1 else 1
        )
        steps = hf_trainer.steps_of(len(blocks), self.batch_size)
        arguments = hf_trainer.arguments(
            library.TrainingArguments,
            self,
            training_task.seed,
            checkpoints.folder,
            train_sampling_strategy="sequential",  # Blocks are shuffled already
            **method.options,
        )
        trainer = library.Trainer(model=model, args=arguments, train_dataset=blocks)
        texts = self.held_out(block)
        scoring = Scoring(texts, tokenizer, self.eval_steps) if texts else None
        final_metrics = hf_trainer.run(
            trainer, job, training_task.name, steps, self, checkpoints, self.batch_size * block, scoring
        )
        examples = (blocks[number]["input_ids"].tolist() for number in range(len(blocks)))
        hf_trainer.save(model, tokenizer, folder, training_task.name, self.merge, saved.sample(examples))
        return {
            "rows": documents.rows,
            "documents": documents.documents,
            "dataset_tokens": len(documents.tokens),
            "epochs": budget / len(documents.tokens),
            "steps": steps,
            "vocabulary": len(tokenizer),
            "weights": model.num_parameters(),
            "final_loss": final_metrics["loss"],
        }
