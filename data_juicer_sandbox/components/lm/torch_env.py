"""Where and how torch computes: the device, the threads, the seeds; and transformers kept silent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from data_juicer_sandbox import imports
from data_juicer_sandbox.errors import JobError

EXTRA = "train"


def torch() -> ModuleType:
    """The torch library."""
    return imports.load("torch", extra=EXTRA)


def transformers() -> ModuleType:
    """The transformers library, its own log lines and progress bars turned off: ours tell what there is to tell."""
    library = imports.load("transformers", extra=EXTRA)
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


def device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch().cuda.is_available() else "cpu"


def precision(wanted: str) -> str:
    """`float32` or `bfloat16`: what is wanted, or for `auto` bfloat16 on a GPU that has it."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if device() == "cuda" and torch().cuda.is_bf16_supported() else "float32"


def is_main_process() -> bool:
    """Whether this process is the first, or the only one, of those that train a model together."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def deterministic(threads: int | None = None) -> Iterator[None]:
    """Let torch compute the same thing twice: kernels that are deterministic, and a fixed number of CPU threads.

    Sums in floating point depend on how they are cut among threads, so the same bytes come out only for the same
    number.

    Args:
        threads: CPU threads; torch's own choice (the cores of the machine) when None.
    """
    library = torch()
    before, strict = library.get_num_threads(), library.are_deterministic_algorithms_enabled()
    warn_only, deterministic = library.is_deterministic_algorithms_warn_only_enabled(), library.utils.deterministic
    fill = deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS wants it for determinism, before its first use
    library.set_num_threads(threads or before)
    library.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = fill
        library.set_num_threads(before)
        library.use_deterministic_algorithms(strict, warn_only=warn_only)


def load_tokenizer(path: str) -> Any:
    """The tokenizer of a model folder, of a `tokenizer.json`, or of a model on the hub.

    Raises:
        JobError: there is none, or it has neither a BOS nor an EOS token.
    """
    if path.endswith(".json"):
        found = transformers().PreTrainedTokenizerFast(tokenizer_file=path, eos_token="<|endoftext|>")  # noqa: S106
    else:
        found = load(transformers().AutoTokenizer, path)
    if found.eos_token_id is None and found.bos_token_id is None:
        raise JobError(
            f"the tokenizer at {path} has neither a BOS nor an EOS token", hint="set eos_token in its config"
        )
    return found


def load_config(path: str) -> Any:
    """The architecture of a model of a folder or the hub.

    Raises:
        JobError: there is none.
    """
    return load(transformers().AutoConfig, path)


def load_causal_lm(path: str, dtype: str) -> Any:
    """A causal language model of a folder or the hub, ready to be evaluated.

    Raises:
        JobError: there is none.
    """
    return load(transformers().AutoModelForCausalLM, path, dtype=getattr(torch(), dtype)).to(device()).eval()


def load(kind: Any, path: str, **options: Any) -> Any:
    """What `from_pretrained` of a class makes of a folder or of an id on the hub.

    Raises:
        JobError: there is none.
    """
    local = Path(path).is_dir()
    try:
        return kind.from_pretrained(path, local_files_only=local, **options)  # a local one never asks the hub
    except (OSError, ValueError) as error:
        what = "cannot be loaded" if local else "is neither a folder nor a model that the hub gives"
        raise JobError(f"{path!r} {what}: {str(error).strip().splitlines()[0]}") from error
