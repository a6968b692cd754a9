"""Open the Optuna study: storage, sampler and pruner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

from data_juicer_sandbox.config.sweep import Named, Sweep
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import refuse_special
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.search.space import grid
from data_juicer_sandbox.secrets import mask_text
from data_juicer_sandbox.watchers.local import repair

EXTRA = "search"
JOURNAL = "study.journal"
_MADE_OF = "made_of"
PAUSES = (0.3, 1.0, 2.0, None)
"""Seconds between attempts to open a database; None: the last one."""


class StudyError(SandboxError):
    """A study cannot be opened, or is another one than this run's."""

    exit_code = 2


def open_study(sweep: Sweep, name: str, work_dir: Path, made_of: str) -> Any:
    """Open a search's study, new or begun, here or elsewhere.

    Args:
        sweep: the search.
        name: of the study.
        work_dir: holds the journal where no storage is named.
        made_of: digest of what makes trials comparable.

    Raises:
        StudyError: the storage cannot be used, or holds a study of this name with other parameters.
    """
    optuna = load("optuna", extra=EXTRA)
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for pause in PAUSES:
        try:
            study = _open(optuna, sweep, name, work_dir)
            before = study.user_attrs.get(_MADE_OF)
            break
        except Exception as error:
            # two processes that make the tables of a new database at once are in each other's way, once
            if pause is not None and "://" in (sweep.storage or ""):
                time.sleep(pause)
                continue
            what = f"the study cannot be opened: {type(error).__name__}: {mask_text(str(error))}"
            raise StudyError(what, where=sweep.where("storage" if sweep.storage else "sweep_name")) from error
    if before is None:
        study.set_user_attr(_MADE_OF, made_of)
    elif before != made_of:
        what = (
            f"the study {name!r} was made with other parameters, metrics or jobs: its trials are no match for new ones"
        )
        hint = "another `sweep_name`, or `resume: false`" if sweep.storage is None else "another `sweep_name`"
        raise StudyError(what, where=sweep.where("sweep_name"), hint=hint)
    return study


def _open(optuna: Any, sweep: Sweep, name: str, work_dir: Path) -> Any:
    return optuna.create_study(
        storage=_own(optuna, work_dir / JOURNAL) if sweep.storage is None else _storage(optuna, sweep.storage),
        study_name=name,
        directions=["maximize" if metric.maximize else "minimize" for metric in sweep.metrics],
        sampler=seeded(optuna, sweep),
        pruner=_made(optuna.pruners, sweep.pruner) if sweep.pruner else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )


def digest(*parts: Any) -> str:
    """What makes trials comparable, in short."""
    return str(xxhash.xxh3_128_hexdigest(repr(parts).encode()))


def _storage(optuna: Any, wanted: str) -> Any:
    if "://" in wanted:
        return wanted
    refuse_special(Path(wanted))
    Path(wanted).parent.mkdir(parents=True, exist_ok=True)
    if not _is_journal(Path(wanted)):
        raise OSError(f"{wanted} is not a journal of Optuna, and trials would be appended to it")
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(wanted))


def _is_journal(path: Path) -> bool:
    """Whether a file is one of Optuna's journals, or is to become one: each line is a JSON object with an `op_code`."""
    if not path.exists():
        return True
    with path.open("rb") as stream:
        first = stream.readline(1 << 20)
    try:
        return not first or "op_code" in loads(first)
    except (ValueError, TypeError):
        return False


def _own(optuna: Any, journal: Path) -> Any:
    """The journal in a work directory, which nobody else is using: what a killed process left of it goes."""
    repair(journal)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # Optuna would wait half a minute for its owner
    return _storage(optuna, str(journal))


def seeded(optuna: Any, sweep: Sweep) -> Any:
    """A sampler whose draws for a trial depend on the seed, the trial's number and the trials before it.

    A sampler of Optuna draws from one stream: begun again after a crash it would draw the first trials' numbers
    again, and two processes would draw the same. Here each trial has a stream of its own.
    """
    make = _sampler(optuna, sweep)
    base: Any = optuna.samplers.BaseSampler

    class Seeded(base):
        def __init__(self) -> None:
            self._number, self._inner = -1, make(sweep.seed)

        def _of(self, trial: Any) -> Any:
            if trial.number != self._number:
                text = f"{sweep.seed}/{trial.number}".encode()
                self._number, self._inner = trial.number, make(xxhash.xxh32_intdigest(text))
            return self._inner

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self._of(trial).infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, space: Any) -> Any:
            return self._of(trial).sample_relative(study, trial, space)

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return self._of(trial).sample_independent(study, trial, name, distribution)

        def before_trial(self, study: Any, trial: Any) -> None:
            self._of(trial).before_trial(study, trial)

        def after_trial(self, study: Any, trial: Any, state: Any, values: Sequence[float] | None) -> None:
            with suppress(RuntimeError):  # a grid at its end asks the study to stop, which the controller decides
                self._of(trial).after_trial(study, trial, state, values)

        def reseed_rng(self) -> None:
            pass

    return Seeded()


def _sampler(optuna: Any, sweep: Sweep) -> Callable[[int], Any]:
    """Makes the search's sampler with a seed of its own."""
    samplers = optuna.samplers
    named = sweep.sampler
    if named is None:
        several = len(sweep.metrics) > 1
        bayes = Named("NSGAIISampler") if several else Named("TPESampler", {"constant_liar": sweep.n_jobs > 1})
        named = {"grid": Named("GridSampler"), "random": Named("RandomSampler"), "bayes": bayes}[sweep.method]
    if named.name == "GridSampler":
        space = grid(sweep.parameters)
        return lambda seed: samplers.GridSampler(space, seed=sweep.seed)  # one order for all trials
    kept = named

    def make(seed: int) -> Any:
        import inspect
        import warnings

        own = {"seed": seed} if "seed" in inspect.signature(getattr(samplers, kept.name)).parameters else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return getattr(samplers, kept.name)(**{**own, **kept.arguments})

    return make


def _made(module: Any, named: Named) -> Any:
    return getattr(module, named.name)(**named.arguments)
