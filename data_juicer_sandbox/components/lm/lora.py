"""LoRA: low-rank adapters, which are trained while the model's own weights are frozen; folders of adapters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.types import LibraryObject


class LoraParameters(Protocol):
    """The LoRA parameters of a trainer."""

    lora_r: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: str | list[str]


NAMES = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "merge")


def peft() -> LibraryObject:
    """The peft library."""
    return imports.load("peft", extra=torch_env.EXTRA)


def lora_config(parameters: LoraParameters) -> LibraryObject:
    """The configuration of the adapters, for peft."""
    return peft().LoraConfig(
        task_type="CAUSAL_LM",
        r=parameters.lora_r,
        lora_alpha=parameters.lora_alpha,
        lora_dropout=parameters.lora_dropout,
        target_modules=parameters.lora_target_modules,
    )


def untie(model: LibraryObject, config: LibraryObject) -> None:
    """Untie the output layer from the input embedding if either of them gets adapters.

    Adapters are trained for one of the two layers. Merging them into a tied weight would also change the other layer,
    so the merged model would differ from the trained one. The saved model is larger by the copied weight.

    Args:
        model: a causal language model, before the adapters are added.
        config: the configuration of the adapters.
    """
    is_target = imports.load("peft.tuners.tuners_utils", extra=torch_env.EXTRA).check_target_module_exists
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    if outputs is None or inputs.weight is not outputs.weight:
        return
    saved = config.modules_to_save or ()
    for name, module in model.named_modules():
        if module in (inputs, outputs) and (is_target(config, name) or name.rpartition(".")[2] in saved):
            break
    else:
        return
    copy = outputs.weight.detach().clone()
    outputs.weight = torch_env.torch().nn.Parameter(copy, requires_grad=outputs.weight.requires_grad)
    for config_part in {id(part): part for part in (model.config, model.config.get_text_config())}.values():
        config_part.tie_word_embeddings = False
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


@dataclass(frozen=True)
class Adapter:
    """Description of an adapter folder.

    Args:
        base: the base model: a folder, or an id on a hub.
        rank: rank of the adapter.
        has_tokenizer: whether the folder has a tokenizer.
    """

    base: str
    rank: int
    has_tokenizer: bool


def find_adapter(model: str) -> Adapter | None:
    """The adapter in a folder; None if the folder holds a full model."""
    folder = Path(model)
    config = folder / "adapter_config.json"
    if not config.is_file():
        return None
    try:
        content = loads(config.read_text(encoding="utf-8"))
        base, rank = str(content.get("base_model_name_or_path") or model), int(content.get("r") or 0)
    except (ValueError, TypeError, AttributeError) as error:
        raise JobError(f"not the configuration of an adapter: {error}", where=str(config)) from error
    return Adapter(base, rank, (folder / "tokenizer_config.json").is_file())
