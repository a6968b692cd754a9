"""Folders of LoRA adapters, as peft writes them: a few weights that stand on those of another model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import loads


@dataclass(frozen=True)
class Adapter:
    """What an adapter's folder tells.

    Args:
        base: the model that it was made for: a folder, or an id on a hub.
        rank: of its matrices.
        has_tokenizer: whether a tokenizer lies beside it.
    """

    base: str
    rank: int
    has_tokenizer: bool


def find_adapter(model: str) -> Adapter | None:
    """The adapter in a folder; None where there is none, as in that of a whole model."""
    folder = Path(model)
    config = folder / "adapter_config.json"
    if not config.is_file():
        return None
    try:
        found = loads(config.read_text(encoding="utf-8"))
        base, rank = str(found.get("base_model_name_or_path") or model), int(found.get("r") or 0)
    except (ValueError, TypeError, AttributeError) as error:
        raise JobError(f"not the configuration of an adapter: {error}", where=str(config)) from error
    return Adapter(base, rank, (folder / "tokenizer_config.json").is_file())
