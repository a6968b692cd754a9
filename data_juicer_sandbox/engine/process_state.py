"""Keep the state of the process that a run changes: environment variables, standard streams, verbosity of libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def preserved_process() -> Iterator[None]:
    """Restore, when the block ends, what libraries set for the whole process.

    That is: the environment, `sys.stdout` and `sys.stderr`, and the verbosity and progress bars of transformers,
    datasets, huggingface_hub and optuna, as far as these were imported before. A script or notebook that starts a run
    has set these for its own work.
    """
    environment, streams = dict(os.environ), (sys.stdout, sys.stderr)
    with ExitStack() as stack:
        for restore in _library_settings():
            stack.callback(restore)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for name in set(os.environ) - set(environment):
                del os.environ[name]
            os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})


def _library_settings() -> Iterator[Callable[[], None]]:
    """For each imported library, the function that restores its present settings."""
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        yield _restorer(
            transformers_logging.get_verbosity(),
            transformers_logging.set_verbosity,
            transformers_logging.is_progress_bar_enabled(),
            transformers_logging.enable_progress_bar,
            transformers_logging.disable_progress_bar,
        )
    for name in ("datasets", "huggingface_hub"):
        if name in sys.modules:
            library = sys.modules[name]
            utils = library.utils
            bars_shown = not utils.are_progress_bars_disabled()
            yield _restorer(
                utils.logging.get_verbosity(),
                utils.logging.set_verbosity,
                bars_shown,
                utils.enable_progress_bars,
                utils.disable_progress_bars,
            )
    if "optuna" in sys.modules:
        import optuna

        verbosity = optuna.logging.get_verbosity()
        yield lambda: optuna.logging.set_verbosity(verbosity)


def _restorer(
    verbosity: int,
    set_verbosity: Callable[[int], None],
    bars_shown: bool,
    show_bars: Callable[[], None],
    hide_bars: Callable[[], None],
) -> Callable[[], None]:
    def restore() -> None:
        set_verbosity(verbosity)
        (show_bars if bars_shown else hide_bars)()

    return restore
