"""Shared parts of executors that run the model themselves: sampling parameters, tokenization, batching."""
