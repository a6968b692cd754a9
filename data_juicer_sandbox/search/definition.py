"""The definition of a search: what must be equal for two trials to be comparable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import xxhash

from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.sweep import Sweep
from data_juicer_sandbox.file_digests import digest
from data_juicer_sandbox.files import path_exists
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.secrets import mask, shorten
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.workflow.planned_job import JobConfig, PlannedJob

Definition = dict[str, str]
"""The value of each key of the jobs and parameters, by dotted path."""
_LONGEST = 80
"""Characters of a value that is kept as it is; of a longer one the beginning and a digest are kept."""
_MAX_LISTED = 10
_MAX_SIZE = 30_000
"""Characters of a whole definition."""


def definition_of(config: SandboxConfig, sweep: Sweep, planned_jobs: Sequence[PlannedJob]) -> Definition:
    """The definition of a search.

    The order of the keys, an equal spelling of a value (1 and 1.0, one name and a list of it) and the form of the file
    do not matter. Secrets are masked.

    Args:
        config: the run.
        sweep: its search.
        planned_jobs: all jobs.
    """
    definition: Definition = {}
    for number, planned_job in enumerate(planned_jobs, 1):
        job = planned_job.job
        definition[f"job {number}"] = f"{job.label} ({job.phase.value}, {job.hook})"
        content = {
            "input": dict(job.input),
            "local": dict(job.local),
            "updates": dict(job.updates),
            "output": list(job.output or ()),
            "dj_configs": _config_content(planned_job.recipe, job.dj_configs, config.work_dir),
            "extra_configs": _config_content(planned_job.extra, job.extra_configs, config.work_dir),
        }
        for path, value in flatten(mask(content), f"{job.label}.{job.phase.value}"):
            if value is not None:
                definition[path] = _text(value, config.work_dir)
    for parameter in sweep.parameters:
        definition[f"parameters.{parameter.name}"] = _shortened(repr(parameter.distribution))
    return _bounded(definition)


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs between two definitions: `steps: 8 -> 9`, one after the other; empty if they are equal."""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    lines = [f"{key}: {before.get(key, 'not set')} -> {now.get(key, 'not set')}" for key in keys]
    more = f"; and {len(lines) - _MAX_LISTED} more" if len(lines) > _MAX_LISTED else ""
    return "; ".join(lines[:_MAX_LISTED]) + more


def _config_content(config: JobConfig, configured: object, work_dir: str) -> JsonValue:
    """A config of a job with the content of its file. A file in the work directory is an output: its path counts."""
    if not isinstance(configured, str):
        return configured
    is_output = Path(work_dir).resolve() in Path(configured).resolve().parents
    if config.value is not None and not is_output:
        return config.value
    return f"{configured} {digest(configured)}" if path_exists(configured, file=True) and not is_output else configured


def _text(value: JsonValue, work_dir: str) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, str):
        for spelling in (work_dir, str(Path(work_dir)), str(Path(work_dir).absolute())):
            if value == spelling or value.startswith(f"{spelling}/"):
                value = "${work_dir}" + value[len(spelling) :]
    return _shortened(json.dumps(value, ensure_ascii=True, default=str))


def _bounded(definition: Definition) -> Definition:
    """The definition within the size that databases allow for an attribute: if it is long, digests of the values."""
    if len(json.dumps(definition)) <= _MAX_SIZE:
        return definition
    digests = {key: xxhash.xxh3_64_hexdigest(value.encode())[:8] for key, value in definition.items()}
    if len(json.dumps(digests)) <= _MAX_SIZE:
        return digests
    return {"jobs and parameters": xxhash.xxh3_128_hexdigest(json.dumps(definition, sort_keys=True).encode())}


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{shorten(text, _LONGEST, '...')} #{xxhash.xxh3_64_hexdigest(text.encode())}"
