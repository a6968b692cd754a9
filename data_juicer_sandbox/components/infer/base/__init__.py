"""What all executors of language model inference share; `api`, `huggingface` and `vllm` only know how to get answers.

An executor is a subclass of `LLMInference` (component.py) with two methods: `answering`, which makes the model ready
and gives a function that answers, and `identity`, which tells what decides the answers.
"""

from data_juicer_sandbox.components.infer.base.component import Answering, LLMInference
from data_juicer_sandbox.components.infer.base.exchange import Answer, Failure, Put, Question
from data_juicer_sandbox.components.infer.base.prompts import Prompt, as_messages, as_text

__all__ = [
    "Answer",
    "Answering",
    "Failure",
    "LLMInference",
    "Prompt",
    "Put",
    "Question",
    "as_messages",
    "as_text",
]
