"""Folders of LoRA adapters, as peft writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import loads


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
