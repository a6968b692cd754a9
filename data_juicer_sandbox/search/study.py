"""Open the Optuna study: storage, sampler and pruner."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import xxhash
from loguru import logger

from data_juicer_sandbox.config.space import grid
from data_juicer_sandbox.config.sweep import Named, Sweep
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import refuse_special, remove, sync
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.search.definition import Definition, differences
from data_juicer_sandbox.secrets import mask_text
from data_juicer_sandbox.types import LibraryObject
from data_juicer_sandbox.watchers.local import repair

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

EXTRA = "search"
JOURNAL = "study.journal"
_DEFINITION, _METRICS = "definition", "metrics"
_NEW_METRIC = ".new_metric"
"""Ending of the journal that is written when the metric of a search has changed."""
PAUSES = (0.3, 1.0, 2.0, None)
"""Seconds between attempts to open a database; None: the last one."""


class StudyError(SandboxError):
    """A study cannot be opened, or was created by a different search."""

    exit_code = 2


def open_study(sweep: Sweep, name: str, work_dir: Path, definition: Definition) -> Study:
    """Create or load the study of a search.

    If only the metrics have changed since the study of this work directory was made, its trials are kept, and those
    that are complete are continued, so that their finished jobs are scored by the new metrics.

    Args:
        sweep: the search.
        name: the name of the study.
        work_dir: the folder of the journal if `sweep.storage` is None.
        definition: the jobs and parameters; trials are comparable only if they are equal.

    Raises:
        StudyError: the storage cannot be used, or holds a study of this name with other parameters.
    """
    optuna = load("optuna", extra=EXTRA)
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for pause in PAUSES:
        try:
            study = _open(optuna, sweep, name, work_dir)
            attributes = study.user_attrs
            break
        except Exception as error:
            # two processes that create the tables of a new database at the same time may conflict: retry
            if pause is not None and "://" in (sweep.storage or ""):
                time.sleep(pause)
                continue
            message = f"the study cannot be opened: {type(error).__name__}: {mask_text(str(error))}"
            if (journal := work_dir / JOURNAL).is_file() and not sweep.storage:
                hint = f"if the file is damaged: mv {journal} {journal}.damaged; its trials will run again"
                raise StudyError(message, where=str(journal), hint=hint) from error
            raise StudyError(message, where=sweep.where("storage" if sweep.storage else "sweep_name")) from error
    metrics = [[metric.name, metric.goal] for metric in sweep.metrics]
    stored = attributes.get(_DEFINITION)
    if stored is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_METRICS, metrics)  # first: another process may read the attributes in between
        study.set_user_attr(_DEFINITION, definition)
        return study
    if stored != definition:
        changes = differences(stored, definition) if isinstance(stored, dict) else "an earlier version made it"
        what = f"was made with other parameters or jobs: its trials are not comparable with new ones. {changes}"
        hint = "another `sweep_name`, or `resume: false`" if sweep.storage is None else "another `sweep_name`"
        raise StudyError(f"the study {name!r} {what}", where=sweep.where("sweep_name"), hint=hint)
    if attributes.get(_METRICS) == metrics:
        return study
    if sweep.storage is not None:
        what = f"was made with other metrics: {attributes.get(_METRICS)} -> {metrics}"
        raise StudyError(f"the study {name!r} {what}", where=sweep.where("metric"), hint="another `sweep_name`")
    return _with_new_metrics(optuna, sweep, name, work_dir, study)


def _with_new_metrics(optuna: ModuleType, sweep: Sweep, name: str, work_dir: Path, study: Study) -> Study:
    """A copy of the study whose complete trials are unfinished: continued, they keep their jobs and get new values.

    The copy replaces the journal at once, so that a crash leaves one or the other.
    """
    journal = work_dir / JOURNAL
    part = journal.with_name(JOURNAL + _NEW_METRIC)
    remove(part)
    copy = _open(optuna, sweep, name, work_dir, part)
    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False):
        copy.add_trial(
            optuna.trial.create_trial(
                state=states.RUNNING if trial.state == states.COMPLETE else trial.state,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs,
                system_attrs=trial.system_attrs,
            )
        )
    copy.set_user_attr(_DEFINITION, study.user_attrs[_DEFINITION])
    copy.set_user_attr(_METRICS, [[metric.name, metric.goal] for metric in sweep.metrics])
    sync(part)
    part.replace(journal)
    logger.info("the metric has changed: complete trials are scored again, with the results of their jobs")
    return _open(optuna, sweep, name, work_dir)


def _open(optuna: ModuleType, sweep: Sweep, name: str, work_dir: Path, journal: Path | None = None) -> Study:
    return optuna.create_study(
        storage=_local_storage(optuna, journal or work_dir / JOURNAL)
        if sweep.storage is None
        else _storage(optuna, sweep.storage),
        study_name=name,
        directions=["maximize" if metric.maximize else "minimize" for metric in sweep.metrics],
        sampler=seeded(optuna, sweep),
        pruner=_build_pruner(optuna.pruners, sweep.pruner, sweep.negates_reports)
        if sweep.pruner
        else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )


def _storage(optuna: ModuleType, storage: str) -> str | BaseStorage:
    if "://" in storage:
        return storage
    refuse_special(Path(storage))
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    if not _is_journal(Path(storage)):
        raise OSError(f"{storage} is not a journal of Optuna, and trials would be appended to it")
    lock = optuna.storages.journal.JournalFileSymlinkLock(storage)
    if _is_torn(Path(storage)):  # a process was killed while it wrote; nobody else writes while this one has the lock
        lock.acquire()
        try:
            repair(Path(storage))
        finally:
            lock.release()
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage, lock))


def _is_torn(path: Path) -> bool:
    """Whether the last line of a journal is incomplete."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"


def _is_journal(path: Path) -> bool:
    """Whether a path is a journal of Optuna (lines are JSON objects with an `op_code`), empty or missing."""
    if not path.exists():
        return True
    with path.open("rb") as stream:
        first = stream.readline(1 << 20)
    try:
        return not first or "op_code" in loads(first)
    except (ValueError, TypeError):
        return False


def _local_storage(optuna: ModuleType, journal: Path) -> str | BaseStorage:
    """The journal in the work directory, repaired after a killed run: no other process uses it."""
    repair(journal)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # Optuna would wait half a minute for its owner
    return _storage(optuna, str(journal))


def seeded(optuna: ModuleType, sweep: Sweep) -> BaseSampler:
    """A sampler whose draws for a trial depend on the seed, the trial's number and the trials before it.

    Optuna's samplers draw from one random stream: restarted after a crash they would repeat the numbers of the first
    trials, and two processes would draw the same numbers. Here each trial has its own stream.
    """
    make = _sampler(optuna, sweep)
    base: LibraryObject = optuna.samplers.BaseSampler

    class Seeded(base):
        def __init__(self) -> None:
            self._number, self._inner = -1, make(sweep.seed)

        def _of(self, trial: FrozenTrial) -> BaseSampler:
            if trial.number != self._number:
                text = f"{sweep.seed}/{trial.number}".encode()
                self._number, self._inner = trial.number, make(xxhash.xxh32_intdigest(text))
            return self._inner

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
            return self._of(trial).infer_relative_search_space(study, trial)

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, LibraryObject]:
            return self._of(trial).sample_relative(study, trial, search_space)

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> LibraryObject:
            return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

        def before_trial(self, study: Study, trial: FrozenTrial) -> None:
            self._of(trial).before_trial(study, trial)

        def after_trial(
            self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
        ) -> None:
            with suppress(RuntimeError):  # an exhausted grid calls study.stop(); the controller decides when to stop
                self._of(trial).after_trial(study, trial, state, values)

        def reseed_rng(self) -> None:
            pass

    return Seeded()


def _sampler(optuna: ModuleType, sweep: Sweep) -> Callable[[int], BaseSampler]:
    """Return a function that builds the search's sampler with a given seed."""
    samplers = optuna.samplers
    configured_sampler = sweep.sampler
    if configured_sampler is None:
        multi_objective = len(sweep.metrics) > 1
        default_sampler = (
            Named("NSGAIISampler") if multi_objective else Named("TPESampler", {"constant_liar": sweep.n_jobs > 1})
        )
        configured_sampler = {"grid": Named("GridSampler"), "random": Named("RandomSampler"), "bayes": default_sampler}[
            sweep.method
        ]
    if configured_sampler.name == "GridSampler":
        space = grid(sweep.parameters)
        return lambda seed: samplers.GridSampler(space, seed=sweep.seed)  # one order for all trials
    sampler = configured_sampler

    def make(seed: int) -> BaseSampler:
        import inspect
        import warnings

        seed_argument = (
            {"seed": seed} if "seed" in inspect.signature(getattr(samplers, sampler.name)).parameters else {}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return getattr(samplers, sampler.name)(**{**seed_argument, **sampler.arguments})

    return make


def _build_pruner(module: ModuleType, pruner: Named, negated: bool) -> BasePruner:
    """Build a pruner; where it gets negated values, a bound in its arguments is negated too."""
    arguments = dict(pruner.arguments)
    if negated and pruner.name == "ThresholdPruner":
        bounds = {"lower": arguments.pop("upper", None), "upper": arguments.pop("lower", None)}
        arguments |= {name: -bound for name, bound in bounds.items() if bound is not None}
    return getattr(module, pruner.name)(**arguments)
