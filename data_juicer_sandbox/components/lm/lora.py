"""Low-rank adapters: a few new weights beside the model's own, which stay as they are."""

from __future__ import annotations

from typing import Any, Protocol

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.lm import torch_env


class LoraParameters(Protocol):
    """The parameters of a trainer that speak of LoRA."""

    lora_r: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: str | list[str]


NAMES = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "merge")


def peft() -> Any:
    """The peft library."""
    return imports.load("peft", extra=torch_env.EXTRA)


def lora_config(given: LoraParameters) -> Any:
    """The adapters' shape, for peft."""
    return peft().LoraConfig(
        task_type="CAUSAL_LM",
        r=given.lora_r,
        lora_alpha=given.lora_alpha,
        lora_dropout=given.lora_dropout,
        target_modules=given.lora_target_modules,
    )


def untie(model: Any, config: Any) -> None:
    """Give the output layer a weight of its own if it shares the input embedding's and one of the two gets adapters.

    Adapters are trained for one of the two layers. Merged into a shared weight, they would change the other layer too:
    another model than the one that was trained. The saved model is larger by the copy.

    Args:
        model: a causal language model, before the adapters are added.
        config: the adapters' shape.
    """
    exists = imports.load("peft.tuners.tuners_utils", extra=torch_env.EXTRA).check_target_module_exists
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    if outputs is None or inputs.weight is not outputs.weight:
        return
    saved = config.modules_to_save or ()
    for name, module in model.named_modules():
        if module in (inputs, outputs) and (exists(config, name) or name.rpartition(".")[2] in saved):
            break
    else:
        return
    copy = outputs.weight.detach().clone()
    outputs.weight = torch_env.torch().nn.Parameter(copy, requires_grad=outputs.weight.requires_grad)
    for part in {id(one): one for one in (model.config, model.config.get_text_config())}.values():
        part.tie_word_embeddings = False
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)
