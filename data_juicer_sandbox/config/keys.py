"""The top-level keys: name, type, default, meaning. Flags, environment variables and the file all come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_juicer_sandbox.config.schema import Phase


@dataclass(frozen=True)
class Key:
    """One top-level key.

    A key with a field of the same name in `SandboxConfig` is passed to it unchanged, unless the loader converts it.

    Args:
        name: the key.
        type: the type or union of types of its value.
        default: the value if the key is absent.
        help: its meaning, for `--help` and the reference.
        choices: the allowed values; empty for any.
        positive: whether a number must be more than 0.
    """

    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    positive: bool = False


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("project_name", str, "hello_world", "the trackers' project"),
        Key("experiment_name", str, "experiment1", "the trackers' run"),
        Key("work_dir", str | None, None, "checkpoint, logs, metrics, report (default: ./outputs/<project_name>)"),
        Key("resume", bool, False, "go on from the checkpoint in work_dir"),
        Key("debug", bool, False, "DEBUG logging and full tracebacks"),
        Key("hpo_config", str | None, None, "path of the file that turns the run into a search"),
        Key("parameters", dict | None, None, "values over all else, by the names a search uses: <op_name>.<arg>, ..."),
        Key("pipelines", list | dict | None, None, "several pipelines: name -> job lists"),
        *(
            Key(phase.key, list | None, None, f"the {phase.value} jobs, in the form with one pipeline")
            for phase in Phase
        ),
        Key("max_iter_num", int, 1, "how often the pipelines are passed at most; 0: until iter_targets hold"),
        Key("iter_targets", list | str | None, None, "<pipeline>.<meta_name>.<output> [>|>=|<|<=|==] <number>"),
        Key("iter_targets_mode", str, "all", "whether `all` or `any` of the targets must hold", choices=("all", "any")),
        Key("iter_updater", dict | None, None, "<pipeline>.<meta_name>.<output>: the key it sets in the next pass"),
        Key("iter_subdir", bool, False, "put iter_<n>/ into every export path, also where one pass is all there is"),
        Key(
            "max_hours",
            float | int | None,
            None,
            "no iteration or trial starts after this many hours",
            positive=True,
        ),
        Key("patience", int | None, None, "iterations, trials: stop after so many without gain", positive=True),
        Key("watchers", list | str | None, None, "where metrics go (default: local, and W&B where it is configured)"),
    )
}
