"""What all executors of language model inference share; `api`, `huggingface` and `vllm` only know how to get answers.

An executor is a subclass of `LLMInference` (component.py) with two methods: `answering`, which makes the model ready
and gives a function that answers, and `identity`, which tells what decides the answers.
"""

from data_juicer_sandbox.components.infer.base.component import Answering, LLMInference
from data_juicer_sandbox.components.infer.base.prompts import Prompt, as_messages, as_text
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, Put, Request

__all__ = [
    "Answering",
    "Completion",
    "Failure",
    "LLMInference",
    "Prompt",
    "Put",
    "Request",
    "as_messages",
    "as_text",
]
