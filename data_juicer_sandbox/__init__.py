"""The laboratory for training data: probe, refine, execute and evaluate, from one YAML."""

__version__ = "0.1.0"
