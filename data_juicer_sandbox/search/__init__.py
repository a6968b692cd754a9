"""A search: trials of a run under one choice of parameters each, on Optuna.

One object knows the study (`board.Board`), one carries a trial out (`trial.Trials`); they meet in one process
(`search`) or, with several trials at a time, across pipes (`workers`).
"""
