"""`SearchArtifacts`: writes `trials.csv`, `best.yaml`, `front/` and the plots of a search."""

from __future__ import annotations

import csv
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from data_juicer_sandbox.code_policy import is_untrusted
from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.interpolation import escape
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.control_characters import one_line, safe_cell
from data_juicer_sandbox.engine.summary import Table
from data_juicer_sandbox.errors import JobError, MissingDependency
from data_juicer_sandbox.files import move_aside, refuse_replacing, replacing
from data_juicer_sandbox.installation import program
from data_juicer_sandbox.output_folders import Owner
from data_juicer_sandbox.output_guard import OutputLedger
from data_juicer_sandbox.search.controller import ERROR, PARAMETERS, SECONDS, SearchController
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import JsonValue

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TRIALS, SUMMARY, BEST, FRONT, PLOTS = "trials.csv", "search.json", "best.yaml", "front", "plots"
_SEARCH_KEYS = ("hpo_config", "resume", "max_hours", "patience")
WRITE_INTERVAL = 2.0
"""Interval in seconds between two writes of the table while the search runs."""
_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}


class SearchArtifacts:
    """The files of a search in its work directory.

    Args:
        config: the run.
        sweep: the search.
        controller: provides the trials.
    """

    def __init__(self, config: SandboxConfig, sweep: Sweep, controller: SearchController):
        self.config, self.sweep, self.controller = config, sweep, controller
        self.folder = Path(config.work_dir)
        self._written = 0.0
        self._ledger = OutputLedger(self.folder)

    def write_if_due(self, now: float) -> None:
        """Write the artifacts unless the last write is less than `WRITE_INTERVAL` seconds old."""
        if now - self._written >= WRITE_INTERVAL:
            self._written = now
            self.write()

    def write(self) -> None:
        """Write `trials.csv`, the best trial to `best.yaml`, and with several metrics each best trial to `front/`."""
        names = [parameter.name for parameter in self.sweep.parameters]
        metrics = [metric.name for metric in self.sweep.metrics]
        with replacing(self.folder / TRIALS) as part, part.open("w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow(map(safe_cell, ["number", "state", *metrics, *names, "seconds", "error"]))
            for trial in self.controller.trials():
                values = trial.user_attrs.get(PARAMETERS, {})
                scores = trial.values if trial.state.name == "COMPLETE" else [""] * len(metrics)
                attributes = [trial.user_attrs.get(SECONDS, ""), trial.user_attrs.get(ERROR, "")]
                state = _STATES[trial.state.name]
                cells = [trial.number, state, *scores, *(_cell(values.get(name, "")) for name in names), *attributes]
                table.writerow(map(safe_cell, cells))
        best = self.controller.best()
        with replacing(self.folder / SUMMARY) as part:
            part.write_text(json.dumps(self._summary(best), indent=1) + "\n", encoding="utf-8")
        if best:
            self._write_best(self._config(best[0], self.folder / BEST, "best"))
        if len(metrics) > 1:
            self._keep_foreign_front()
            with replacing(self.folder / FRONT, folder=True) as part:
                part.mkdir()
                for trial in best:
                    name = f"trial_{trial.number}"
                    text = self._config(trial, self.folder / FRONT / f"{name}.yaml", f"runs/{name}")
                    (part / f"{name}.yaml").write_text(text, encoding="utf-8", errors="backslashreplace")

    def _summary(self, best: Sequence[FrozenTrial]) -> dict[str, JsonValue]:
        """What the report needs beside the table: the goals, and the best trials."""
        return {
            "metrics": [{"name": metric.name, "goal": metric.goal} for metric in self.sweep.metrics],
            "best": [trial.number for trial in best],
            "reason": self.controller.reason,
        }

    def _write_best(self, text: str) -> None:
        """Write `best.yaml` unless it has this text; one that somebody edited gets a dated name."""
        path, content = self.folder / BEST, text.encode("utf-8", "backslashreplace")
        if path.is_file() and path.read_bytes() == content:
            return
        if os.path.lexists(path) and not self._ledger.wrote(path):
            logger.warning("{} is not as this search left it; it was renamed to {}", path, move_aside(path))
        with replacing(path) as part:
            part.write_bytes(content)
            self._ledger.settle(path, part)

    def _keep_foreign_front(self) -> None:
        """Give the folder of the front a dated name if somebody edited it."""
        front = self.folder / FRONT
        try:
            refuse_replacing(front, True, Owner())
        except JobError as error:
            logger.warning("{}; it was renamed to {}", error.what, move_aside(front))

    def finish(self) -> tuple[str, ...]:
        """Draw the plots; return lines that name the artifacts. An error while drawing does not fail the search."""
        notes = self._notes()
        if not self.sweep.plots:
            return tuple(notes)
        try:
            from data_juicer_sandbox.search.plots import draw_all

            if draw_all(self.sweep, self.controller.trials(), self.folder / PLOTS):
                notes.append(f"plots:   {self.folder / PLOTS}")
        except MissingDependency as error:
            notes.append(f"plots:   none: {error}")
        except Exception as error:
            logger.opt(exception=error).warning("the plots could not be drawn: {}", error)
        return tuple(notes)

    def _notes(self) -> list[str]:
        notes = [f"trials:  {self.folder / TRIALS}", f"best:    {_command(program(), self.folder / BEST)}"]
        return [*notes, f"pruning: {self.controller.pruning_fault}"] if self.controller.pruning_fault else notes

    def table(self) -> Table:
        """A table of at most ten trials, the best ones first."""
        metrics = [metric.name for metric in self.sweep.metrics]
        names = [parameter.name for parameter in self.sweep.parameters]
        trials = self.controller.trials()
        sign = -1 if self.sweep.metrics[0].maximize else 1
        front = [trial.number for trial in self.controller.best()]

        def rank(trial: FrozenTrial) -> tuple[int, int, float, int]:
            done = trial.state.name == "COMPLETE"
            return (trial.number not in front, not done, sign * trial.values[0] if done else 0.0, trial.number)

        rows = [
            [
                trial.number,
                _STATES[trial.state.name],
                *(trial.values if trial.state.name == "COMPLETE" else [None] * len(metrics)),
                *(trial.user_attrs.get(PARAMETERS, {}).get(name) for name in names),
                trial.user_attrs.get(SECONDS),
            ]
            for trial in sorted(trials, key=rank)[:10]
        ]
        states = [_STATES[trial.state.name] for trial in trials]
        counts = ", ".join(
            f"{states.count(state)} {state}" for state in dict.fromkeys(_STATES.values()) if state in states
        )
        more = f", the first {len(rows)} of {len(trials)}" if len(trials) > len(rows) else ""
        return Table(
            f"trials ({counts}{more}): {self.controller.reason}", ["trial", "state", *metrics, *names, "seconds"], rows
        )

    def _config(self, trial: FrozenTrial, path: Path, folder: str) -> str:
        """The complete config of a trial: the search's config with the trial's values and another work directory.

        Args:
            trial: the trial.
            path: the final path of the file.
            folder: the folder of the trial's run in this work directory.
        """
        config = {key: value for key, value in self.config.content.items() if key not in _SEARCH_KEYS}
        config["work_dir"] = escape(str(Path(self.config.work_dir) / folder))
        # Configured values may contain variables; drawn values are literal, so they are escaped.
        config["parameters"] = {**(config.get("parameters") or {}), **escape(trial.user_attrs.get(PARAMETERS, {}))}
        jobs = [key for key in config if key == "pipelines" or key.endswith("_job_configs")]
        order = [*(key for key in config if key not in jobs), *jobs]
        masked = mask({key: config[key] for key in order})
        scores = ", ".join(f"{m.name} = {v!r}" for m, v in zip(self.sweep.metrics, trial.values, strict=True))
        head = [
            f"Trial {trial.number} of the search {self.sweep.name or self.config.experiment_name!r}: {scores}",
            f"Run:    {one_line(_command('dj-sandbox', path))}",
        ]
        if masked != {key: config[key] for key in order}:
            head.append("Secrets are masked as ***: put them in, or better into the environment.")
        return "".join(f"# {line}\n" for line in head) + dump_config(masked)


def _command(name: str, path: Path) -> str:
    """The command that runs a config, as little trusted as the one of the search."""
    return f"{name} --config {shlex.quote(str(path))}{' --untrusted' if is_untrusted() else ''}"


def _cell(value: JsonValue) -> JsonValue:
    """A parameter's value; lists and mappings as JSON, with their texts safe since the cell begins with a bracket."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
