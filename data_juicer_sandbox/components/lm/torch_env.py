"""Torch's device, precision and determinism; transformers without log output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from data_juicer_sandbox import imports

EXTRA = "train"
SMALL = 20_000_000
"""Weights of a model up to which one CPU thread is used for it."""
WORTHWHILE = 10**12
"""Floating-point operations, half a minute on one core, from which worker processes are started: each takes some
seconds to import its libraries.
"""
_BYTES = 4
"""Bytes of a weight in float32."""


def torch() -> ModuleType:
    """The torch library."""
    return imports.load("torch", extra=EXTRA)


def transformers() -> ModuleType:
    """The transformers library, with its log messages and progress bars disabled."""
    library = imports.load("transformers", extra=EXTRA)
    library.utils.logging.set_verbosity_error()
    library.utils.logging.disable_progress_bar()
    return library


def device() -> str:
    """`cuda` if there is a GPU, else `cpu`."""
    return "cuda" if torch().cuda.is_available() else "cpu"


def precision(name: str) -> str:
    """`float32` or `bfloat16`; `auto` is bfloat16 on a GPU that supports it, else float32."""
    if name != "auto":
        return name
    return "bfloat16" if device() == "cuda" and torch().cuda.is_bf16_supported() else "float32"


def threads_for(model: str) -> int | None:
    """CPU threads for using a model: 1 for a small one, whose threads would mostly wait for each other; None: torch's
    default, for others and on a GPU. It does not depend on the load, and so the results do not either.

    Args:
        model: a folder, or a hub id, which counts as large.
    """
    return 1 if 0 < weights_in(model) <= SMALL and device() == "cpu" else None


def is_worth_processes(items: int, operations: float) -> bool:
    """Whether a process for each item is worth its start.

    Args:
        items: number of items.
        operations: the floating-point operations of one.
    """
    return items > 1 and items * operations >= WORTHWHILE and operations >= WORTHWHILE / 5


def weights_in(model: str) -> int:
    """About how many weights the files of a model's folder hold; 0 if unknown, as for a hub id."""
    files = (file for pattern in ("*.safetensors", "*.bin") for file in Path(model).glob(pattern))
    return sum(file.stat().st_size for file in files) // _BYTES


def is_main_process() -> bool:
    """Whether this process has rank 0 in distributed training, or is the only one."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def deterministic(threads: int | None = None) -> Iterator[None]:
    """Make torch deterministic in the block: deterministic kernels and a fixed number of CPU threads.

    Floating-point sums depend on their split among threads, so results are equal only for the same number of threads.

    Args:
        threads: number of CPU threads; None for torch's default (the cores of the machine).
    """
    library = torch()
    before, strict = library.get_num_threads(), library.are_deterministic_algorithms_enabled()
    warn_only, deterministic = library.is_deterministic_algorithms_warn_only_enabled(), library.utils.deterministic
    fill = deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it for determinism, before its first use
    library.set_num_threads(threads or before)
    library.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # a debugging aid that is slow
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = fill
        library.set_num_threads(before)
        library.use_deterministic_algorithms(strict, warn_only=warn_only)
