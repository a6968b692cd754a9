"""Language models trained on text with transformers: from scratch, full fine-tuning, or LoRA."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from loguru import logger

from data_juicer_sandbox.components.base import InputPath, InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.lm import loading, metadata, torch_env
from data_juicer_sandbox.components.lm.held_out import BATCH, HeldOut
from data_juicer_sandbox.components.lm.model_check import check_token
from data_juicer_sandbox.components.lm.packing import Blocks, Packed, packed, read_texts
from data_juicer_sandbox.components.metric_keys import metric_keys
from data_juicer_sandbox.components.names import as_list
from data_juicer_sandbox.components.number_types import NonNegativeFloat, PositiveInt
from data_juicer_sandbox.components.processes.hardware import cores, idle_cores
from data_juicer_sandbox.components.train import hf_trainer, saved, training_args
from data_juicer_sandbox.components.train.checkpoints import Checkpoints
from data_juicer_sandbox.components.train.hf_trainer import Scoring
from data_juicer_sandbox.components.train.methods import METHODS
from data_juicer_sandbox.components.train.parameters import TrainingParameters, TrainingTask
from data_juicer_sandbox.components.train.trainer import ModelTrainer
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.files import claim, replacing
from data_juicer_sandbox.types import ConfigValues, LibraryObject, Metrics

BUDGET = 400_000
_MODEL = "{dataset_path}_seed{seeds}"


@dataclass(eq=False)
class HuggingFaceTrainer(TrainingParameters, ModelTrainer):
    """Train causal language models on text, one per data set and seed, on the same budget.

    The methods:

    - `scratch`: a new, small GPT-2-like model. All models of the job share a byte-level BPE tokenizer, trained on the
      texts of all data sets (`tokenizer` in the job's folder, if there are several), so that they differ only in their
      training data. `tokenizer_path` names another one, `tokenizer_per_dataset` gives each data set its own. Losses per
      token of models with different tokenizers cannot be compared; their bits per byte (`huggingface_perplexity`) can.
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
        tokenizer_per_dataset: `scratch`: train a tokenizer for each data set, on its texts only. The effects of
            tokenizer and training data then mix.
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
            `gradient_checkpointing`; not those that the parameters above decide.
    """

    unfingerprinted_params: ClassVar[frozenset[str]] = ModelTrainer.unfingerprinted_params | {
        "eval_dataset_path",
        "eval_steps",
        "eval_max_rows",
        "tokenizer_per_dataset",
    }
    result_version: ClassVar[int] = 2  # since one tokenizer for all data sets is the default

    metrics = (
        *metric_keys("loss", "learning_rate", "grad_norm", "tokens_per_second", under=_MODEL, per_step=True),
        *metric_keys("eval.loss", "eval.bits_per_byte", under=_MODEL, per_step=True, requires="eval_dataset_path"),
        *metric_keys("models_at_a_time", "threads_per_model"),
        *BAD_ROWS,
    )

    dataset_path: InputPaths
    export_path: OutputPath | None = None
    text_key: str = "text"
    method: Literal["scratch", "full", "lora"] = "scratch"
    model: Model | None = None
    seeds: int | list[int] = 42
    max_tokens: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    tokenizer_path: InputPath | None = None
    tokenizer_per_dataset: bool = False
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
        if self.tokenizer_path and self.tokenizer_per_dataset:
            raise ConfigError("tokenizer_path and tokenizer_per_dataset exclude each other", hint="set one of them")
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

    def config_class(self) -> LibraryObject:
        """The class of transformers' training arguments."""
        return torch_env.transformers().TrainingArguments

    def _budget(self, block: int) -> int:
        if self.max_steps:
            return self.max_steps * self.batch_size * block
        return self.max_tokens or BUDGET

    def cpu_threads(self) -> int | None:
        """CPU threads for training one model: 1 for a small model, whose threads would mostly wait for each other."""
        return 1 if self.threads is None and self._is_small else super().cpu_threads()

    def is_worth_processes(self, models: int) -> bool:
        """Whether the training of so many models takes much longer than the start of a process."""
        return models > 1 and (self.method != "scratch" or torch_env.is_worth_processes(models, self._operations()))

    def parallel(self, job: JobRun, models: int) -> int:
        """The number of models to train at the same time: for small models, the number of idle cores."""
        if not self._is_small or models == 1 or models * self._operations() < torch_env.WORTHWHILE:
            return super().parallel(job, models)
        idle, threads = idle_cores(), self.cpu_threads() or 1
        parallel = max(1, min(models, round(idle / threads)))
        logger.info(
            "{} models, {} at a time, {} thread(s) each: {:.1f} of {} cores are idle",
            *(models, parallel, threads, idle, cores()),
        )
        job.watcher.watch({"models_at_a_time": parallel, "threads_per_model": threads})
        return parallel

    @property
    def _is_small(self) -> bool:
        """Whether several models of this size are best trained at the same time, and the user has not set how many."""
        is_automatic = self.method == "scratch" and self.max_parallel is None and self.num_processes == 1
        return is_automatic and self._weights() <= torch_env.SMALL and torch_env.device() == "cpu"

    def _weights(self) -> int:
        """The approximate number of weights of a model from scratch."""
        return 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd

    def _operations(self) -> int:
        """The approximate number of floating-point operations of a training: 6 per weight and token."""
        return 6 * self._weights() * self._budget(METHODS[self.method].block_size(self))

    def held_out(self, block: int) -> HeldOut | None:
        """The held-out texts in windows of `block` tokens; None without `eval_dataset_path`."""
        if self.eval_dataset_path is None:
            return None
        batch_size = self.device_batch_size or BATCH
        return HeldOut(
            self.eval_dataset_path,
            self.text_key,
            self.eval_max_rows,
            block,
            batch_size=batch_size,
            allowance=self.allowance(),
        )

    def training_tasks(self, job: JobRun) -> list[TrainingTask]:
        """The models to train.

        Raises:
            JobError: a data set does not exist, or the evaluation data has no texts.
        """
        training_tasks = super().training_tasks(job)
        if self._shares_tokenizer:  # the models then depend on all data sets
            digests = sorted({task.inputs["dataset_digest"] for task in training_tasks})
            inputs = {"tokenizer_digests": digests}
            training_tasks = [replace(task, inputs={**task.inputs, **inputs}) for task in training_tasks]
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
                tokenizer = loading.load_tokenizer(training_task.folder)
                model = loading.load_causal_lm(training_task.folder, "float32")
                Scoring(texts, tokenizer, self.eval_steps).watch(model, training_task.name, steps, job.watcher, task)

    @property
    def _shares_tokenizer(self) -> bool:
        """Whether a new tokenizer is trained for the models of several data sets."""
        is_new = self.method == "scratch" and not self.tokenizer_path and not self.tokenizer_per_dataset
        return is_new and len(set(as_list(self.dataset_path))) > 1

    def check_data(self, job: JobRun, training_tasks: list[TrainingTask]) -> None:
        """Check the training arguments, count the bad rows, and train the tokenizer that all models share.

        Raises:
            JobError: an argument is invalid, or a row has no text.
        """
        super().check_data(job, training_tasks)
        if self.skip_bad_rows:
            allowance = Allowance(self.skip_bad_rows)
            with job.progress.task("checking the rows"):
                for path in dict.fromkeys(task.path for task in training_tasks):
                    deque(read_texts(path, self.text_key, allowance), maxlen=0)
                if self.eval_dataset_path is not None:
                    texts = read_texts(self.eval_dataset_path, self.text_key, allowance)
                    deque(islice(texts, self.eval_max_rows), maxlen=0)
            allowance.report(job)
        if not self._shares_tokenizer:
            return
        target, recipe = job.folder / "tokenizer", self._tokenizer_recipe(training_tasks)
        claim(target, folder=True)
        if not metadata.complete(target, recipe):
            with job.progress.task("the tokenizer for all data sets"), replacing(target, folder=True) as part:
                paths = list(dict.fromkeys(as_list(self.dataset_path)))
                tokenizer = METHODS[self.method].tokenizer(self, paths)
                tokenizer.save_pretrained(part)
                metadata.write(part, recipe, {"vocabulary": len(tokenizer)})
                logger.info("one tokenizer for {} data sets: {:,} tokens", len(paths), len(tokenizer))

    def _tokenizer_recipe(self, training_tasks: list[TrainingTask]) -> ConfigValues:
        """Everything that determines the shared tokenizer."""
        digests = training_tasks[0].inputs["tokenizer_digests"]
        return {"tokenizer_digests": digests, "text_key": self.text_key, "vocab_size": self.vocab_size}

    @contextmanager
    def prepare_data(self, job: JobRun, training_task: TrainingTask) -> Iterator[tuple[LibraryObject, Packed]]:
        """Load or train the tokenizer, and encode the documents as one stream of tokens."""
        with ExitStack() as stack:
            with job.progress.task(f"tokens of {training_task.dataset}") as task:
                task.update(note="the tokenizer")
                if self._shares_tokenizer:
                    tokenizer = loading.load_tokenizer(str(job.folder / "tokenizer"))
                else:
                    tokenizer = METHODS[self.method].tokenizer(self, [training_task.path])
                task.update(note="encoding")
                data = stack.enter_context(
                    packed(training_task.path, self.text_key, tokenizer, job.folder, self.allowance())
                )
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
            if data.unknown:
                logger.warning(
                    "{}: {:.2%} of the tokens stand for characters that the tokenizer does not know",
                    *(training_task.dataset, data.unknown / len(data.tokens)),
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
        check_token(int(documents.tokens.max()), model)
        blocks = Blocks(
            documents.tokens, block, budget, training_task.seed, self.batch_size if self.num_processes > 1 else 1
        )
        steps = hf_trainer.steps_of(len(blocks), self.batch_size)
        arguments = training_args.arguments(
            self.config_class(),
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
        saved.save(model, tokenizer, folder, training_task.name, self.merge, saved.sample(examples))
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
