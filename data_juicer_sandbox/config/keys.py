"""The top-level keys: name, type, default, meaning. Flags, environment variables and the file all come from here."""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.types import JsonValue


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
    type: type | UnionType
    default: JsonValue
    help: str
    choices: tuple[str, ...] = ()
    positive: bool = False


KEYS: dict[str, Key] = {
    key.name: key
    for key in (
        Key("project_name", str, "hello_world", "project name, for `work_dir` and experiment trackers"),
        Key("experiment_name", str, "experiment1", "run name, for experiment trackers"),
        Key(
            "work_dir",
            str | None,
            None,
            "folder of checkpoint, logs, metrics, report (default: ./outputs/<project_name>)",
        ),
        Key("resume", bool, False, "continue from the checkpoint in work_dir"),
        Key("debug", bool, False, "DEBUG logging and full tracebacks"),
        Key(
            "vars",
            dict | None,
            None,
            "variables of your own: ${vars.NAME}, or ${NAME}, in any string; also lists and mappings",
        ),
        Key("hpo_config", str | None, None, "path of a sweep file: runs a hyper-parameter search"),
        Key(
            "parameters",
            dict | None,
            None,
            "values that override the configs, by search parameter: <op_name>.<arg>, ...",
        ),
        Key("pipelines", list | dict | None, None, "several pipelines: mapping of names to job lists"),
        *(
            Key(phase.key, list | None, None, f"the {phase.value} jobs of a config with a single pipeline")
            for phase in Phase
        ),
        Key("max_iter_num", int, 1, "maximum number of iterations; 0: until iter_targets are reached"),
        Key(
            "iter_targets",
            list | str | None,
            None,
            "stop conditions: <pipeline>.<meta_name>.<output> [>|>=|<|<=|==] <number>",
        ),
        Key(
            "iter_targets_mode",
            str,
            "all",
            "whether `all` or `any` of the targets must be reached",
            choices=("all", "any"),
        ),
        Key(
            "iter_updater",
            dict | None,
            None,
            "<pipeline>.<meta_name>.<output>: the key that it sets in the next iteration",
        ),
        Key("iter_subdir", bool, False, "add iter_<n>/ to every export path, even for a single iteration"),
        Key(
            "max_hours",
            float | int | None,
            None,
            "iterations, trials: time limit; none starts after this many hours",
            positive=True,
        ),
        Key(
            "patience",
            int | None,
            None,
            "iterations, trials: stop after this many without improvement",
            positive=True,
        ),
        Key(
            "parallel",
            dict | str | None,
            None,
            "what runs the jobs: serial (default), local, slurm, ray; or a mapping of `backend`, `max_workers`, ...",
        ),
        Key(
            "on_error",
            str,
            "stop",
            "when a job fails: `stop`, or `continue` with the jobs that do not depend on it",
            choices=("stop", "continue"),
        ),
        Key(
            "cache_dir",
            str | None,
            None,
            "folder of finished jobs that several work directories share (default: none)",
        ),
        Key(
            "watchers",
            list | str | None,
            None,
            "where metrics are recorded (default: local, and W&B if it is configured)",
        ),
    )
}
