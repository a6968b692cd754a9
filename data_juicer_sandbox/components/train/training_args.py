"""Training arguments: the config classes of transformers and trl, and `training_args`, which a user may add to them.

The names of the arguments are read from the libraries' source, since importing them takes seconds.
"""

from __future__ import annotations

import ast
import inspect
import os
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.train.checkpoints import KEPT
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import is_secret
from data_juicer_sandbox.types import LibraryObject

if TYPE_CHECKING:
    from data_juicer_sandbox.components.train.trainer import ModelTrainer

DECIDED = frozenset(
    (
        # the budget
        "max_steps",
        "num_train_epochs",
        "per_device_train_batch_size",
        "per_gpu_train_batch_size",
        "gradient_accumulation_steps",
        "auto_find_batch_size",
        "dataloader_drop_last",
        "train_sampling_strategy",
        "group_by_length",
        # parameters of the component
        "learning_rate",
        "warmup_steps",
        "warmup_ratio",
        "weight_decay",
        "max_grad_norm",
        "seed",
        "bf16",
        "fp16",
        "use_cpu",
        "no_cuda",
        "ddp_backend",
        "ddp_find_unused_parameters",
        # checkpoints, metrics and evaluation
        "output_dir",
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "save_only_model",
        "resume_from_checkpoint",
        "ignore_data_skip",
        "load_best_model_at_end",
        "report_to",
        "disable_tqdm",
        "logging_strategy",
        "logging_steps",
        "logging_nan_inf_filter",
        "do_eval",
        "eval_strategy",
        "eval_steps",
        "eval_delay",
        "eval_on_start",
    )
)
"""Arguments that the trainers set themselves, or that would change what is trained but not what is recorded."""

_FILES = {
    "TrainingArguments": ("transformers/training_args.py",),
    "SFTConfig": ("transformers/training_args.py", "trl/trainer/base_config.py", "trl/trainer/sft_config.py"),
    "DPOConfig": ("transformers/training_args.py", "trl/trainer/base_config.py", "trl/trainer/dpo_config.py"),
    "GRPOConfig": ("transformers/training_args.py", "trl/trainer/base_config.py", "trl/trainer/grpo_config.py"),
}
"""The files that define the fields of each config class, in the packages' folders."""


OVERRIDABLE = {
    "lr_scheduler_type": "cosine",
    "dataloader_pin_memory": False,
}
"""Defaults that `training_args` may override."""


def check_training_args(
    training_args: Mapping[str, object], arguments_class: str, decided: frozenset[str] = frozenset()
) -> None:
    """Check the names of training arguments.

    Unknown names are found only if the libraries are installed.

    Args:
        training_args: the user's training arguments.
        arguments_class: name of the config class that receives them, such as `SFTConfig`.
        decided: further arguments that the trainer sets.

    Raises:
        ConfigError: an argument is unknown, is set by the trainer, or holds a credential.
    """
    if not training_args:
        return
    _refuse_secrets(training_args)
    accepted = argument_names(arguments_class)
    for key in map(str, training_args):
        if key in DECIDED or key in decided:
            raise ConfigError(f"training_args cannot set {key}", hint="parameters of the component set it")
        if accepted and key not in accepted:
            raise ConfigError(f"{arguments_class} has no argument {key!r}", hint=suggest(key, accepted))


@cache
def argument_names(arguments_class: str) -> frozenset[str]:
    """The names of a config class's arguments, from its source; empty if the source cannot be found or read."""
    names: set[str] = set()
    for file in _FILES[arguments_class]:
        package, _, rest = file.partition("/")
        spec = find_spec(package)
        try:
            tree = ast.parse(Path(str(spec and spec.origin)).parent.joinpath(rest).read_bytes())
        except (OSError, SyntaxError):
            return frozenset()
        fields = [field for node in tree.body if isinstance(node, ast.ClassDef) for field in node.body]
        names |= {
            field.target.id
            for field in fields
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        }
    return frozenset(names)


def _refuse_secrets(training_args: Mapping[str, object]) -> None:
    """Refuse training arguments that hold a credential, since transformers pickles all of them into checkpoints.

    Raises:
        ConfigError: a key, also of a nested mapping, names a credential, such as `hub_token`, and has a value.
    """
    for key, value in training_args.items():
        if isinstance(value, Mapping):
            _refuse_secrets(value)
        elif value is not None and is_secret(str(key)):
            raise ConfigError(
                f"training_args cannot set {key}: it would be stored in every checkpoint (training_args.bin)",
                hint="set the environment variable HF_TOKEN instead",
            )


def arguments(
    arguments_class: LibraryObject, trainer: ModelTrainer, seed: int, folder: Path, **overrides: object
) -> LibraryObject:
    """Create the training arguments of a Trainer.

    Args:
        arguments_class: `TrainingArguments` or a subclass.
        trainer: the component, whose parameters are used.
        seed: seed of the data order and of dropout.
        folder: folder of the checkpoints.
        overrides: more arguments; they override those set here.
    """
    device_batch_size, accumulation_steps = trainer.per_device()
    on_cpu = torch_env.device() == "cpu"
    component_arguments = {
        "output_dir": str(folder),
        "save_strategy": "steps",
        "save_total_limit": KEPT,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "num_train_epochs": 1,
        "per_device_train_batch_size": device_batch_size,
        "gradient_accumulation_steps": accumulation_steps,
        "learning_rate": trainer.learning_rate,
        "weight_decay": trainer.weight_decay,
        "max_grad_norm": trainer.max_grad_norm,
        "use_cpu": on_cpu,
        **({"ddp_backend": "gloo"} if on_cpu and "WORLD_SIZE" in os.environ else {}),
        "ddp_find_unused_parameters": False,
        "bf16": torch_env.precision(trainer.precision) == "bfloat16",
        "seed": seed,
        **overrides,
    }
    accepted = inspect.signature(arguments_class).parameters
    user_arguments = {**OVERRIDABLE, **(trainer.training_args or {})}
    # trl turns gradient checkpointing on by default, which saves memory but costs time
    if (checkpointing := accepted.get("gradient_checkpointing")) and checkpointing.default:
        user_arguments.setdefault("gradient_checkpointing", False)
    try:
        training_arguments = arguments_class(**{**user_arguments, **component_arguments})
    except (TypeError, ValueError) as error:
        user_keys = ", ".join(trainer.training_args or ()) or "none"
        raise JobError(
            f"{arguments_class.__name__} rejects its arguments: {error}", hint=f"training_args: {user_keys}"
        ) from error
    training_arguments._n_gpu = min(training_arguments.n_gpu, 1)  # with more, DataParallel would multiply the batch
    return training_arguments
