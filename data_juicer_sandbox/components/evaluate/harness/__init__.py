"""Evaluation frameworks that run in separate processes, with this or another Python interpreter."""
