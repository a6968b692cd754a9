"""Assignments: single values of a config that `--set KEY=VALUE` replaces, by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from data_juicer_sandbox.config.keys import KEYS
from data_juicer_sandbox.config.schema import Phase, Pipeline
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.context.keys import CONFIGS
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.types import ConfigValues

_PIPELINES = "pipelines"
_LISTS = {phase.key for phase in Phase}
_MAPPINGS = ("vars", "parameters", "iter_updater")
"""Top-level keys whose entries can be set one by one."""
_FORM = "pipelines.<pipeline>.<meta_name>.<dj_configs|extra_configs>.<key>, <op>.<argument>, or a top-level key"


@dataclass
class Assigned:
    """Assignments, sorted by what they set.

    Args:
        top_level: new values of top-level keys.
        parameters: values of `parameters`.
        keys: the top-level keys of which a part or the whole is set.
    """

    top_level: ConfigValues = field(default_factory=dict)
    parameters: ConfigValues = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)


def assign(content: Mapping[str, object], assignments: Mapping[str, object], problems: list[ConfigError]) -> Assigned:
    """Sort assignments into top-level keys and parameters.

    Args:
        content: the top-level keys before.
        assignments: values by dotted key.
        problems: receives the errors of keys that set nothing.
    """
    assigned = Assigned()
    for name, value in assignments.items():
        head, _, rest = name.partition(".")
        where = f"--set {name}"
        if head == _PIPELINES and rest:
            assigned.parameters[rest] = value
        elif head in (_PIPELINES, *_LISTS):
            problems.append(ConfigError(f"{name!r} does not name a value of a job", where=where, hint=_FORM))
        elif head in _MAPPINGS and rest:
            before = assigned.top_level.get(head, content.get(head))
            assigned.top_level[head] = {**(before if isinstance(before, dict) else {}), rest: value}
            assigned.keys.add(head)
        elif rest and head not in KEYS:
            assigned.parameters[name] = value
        elif rest:
            problems.append(ConfigError(f"the key {head!r} has no parts that can be set", where=where, hint=head))
        elif head in KEYS:
            assigned.top_level[head] = value
            assigned.keys.add(head)
        else:
            problems.append(
                ConfigError(f"unknown key {name!r}", where=where, hint=f"{suggest(name, KEYS)}; or {_FORM}")
            )
    return assigned


def qualified(name: str, pipelines: Sequence[Pipeline]) -> str:
    """The name of a parameter with its pipeline, which `<meta_name>.<config>.<key>` leaves out if only one has the job.

    Args:
        name: the name as written.
        pipelines: the pipelines of the config.
    """
    meta_name, _, rest = name.partition(".")
    if rest.partition(".")[0] not in CONFIGS:
        return name
    names = [pipeline.name for pipeline in pipelines if any(job.meta_name == meta_name for job in pipeline.jobs)]
    return f"{names[0]}.{name}" if len(names) == 1 else name
