"""Shared parts of language model inference. An executor is a subclass of `LLMInference`, see `component.py`."""
