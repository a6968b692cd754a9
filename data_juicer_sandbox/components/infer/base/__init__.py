"""Shared parts of language model inference; the executors `api`, `huggingface` and `vllm` add the model calls.

An executor is a subclass of `LLMInference` (component.py) with two methods: `inference_function`, a context manager
that loads the model and yields a function that completes requests, and `identity`, the settings that determine the
answers.
"""

from data_juicer_sandbox.components.infer.base.component import InferFunction, LLMInference
from data_juicer_sandbox.components.infer.base.types import (
    Completion,
    Failure,
    OnResult,
    Prompt,
    Request,
    as_messages,
    as_text,
)

__all__ = [
    "Completion",
    "Failure",
    "InferFunction",
    "LLMInference",
    "OnResult",
    "Prompt",
    "Request",
    "as_messages",
    "as_text",
]
