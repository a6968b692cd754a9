"""Hyper-parameter search on Optuna.

`controller` asks Optuna for trials and records results, `trial_runner` runs one trial. They run in one process
(`search`), or in several that communicate by pipes (`executors`).
"""
