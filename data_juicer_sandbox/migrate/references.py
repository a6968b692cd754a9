"""Migrate names of jobs and results: `meta_name`, `output`, `input`, targets, updaters, metrics of a sweep."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.context.keys import CONFIGS, PREVIOUS
from data_juicer_sandbox.migrate.document import Document
from data_juicer_sandbox.migrate.jobs import OldJob
from data_juicer_sandbox.migrate.tables import UNNAMED
from data_juicer_sandbox.types import JsonValue

_BAD_SIGNS = re.compile(r"[./\0]")
_TARGET = re.compile(r"^(\s*)([^\s<>=]+)(.*)$", re.DOTALL)


class References:
    """The names of a config's jobs and of their results, there and here.

    Args:
        jobs: all jobs, in the order in which they run.
    """

    def __init__(self, jobs: Sequence[OldJob]):
        self.jobs = jobs
        self._first: dict[tuple[str, str], OldJob] = {}
        for job in jobs:
            self._first.setdefault((job.pipeline, job.old_name), job)

    def migrate_names(self) -> None:
        """Give the jobs names that are valid here, and unique in their pipeline."""
        used: dict[tuple[str, str], list[Phase]] = {}
        for job in self.jobs:
            name = job.values.get("meta_name")
            if name is None:
                continue
            text = _BAD_SIGNS.sub("_", name if isinstance(name, str) else str(name).lower())
            text = "_" if text in ("", PREVIOUS) else text
            reason = "a name is a word here, without dots and slashes"
            unique, number = text, 1
            while any(
                (phase, job.phase) != (Phase.PROBE, Phase.REFINE) for phase in used.get((job.pipeline, unique), [])
            ):
                number += 1
                unique = f"{text}_{number}"
                reason = (
                    "names are unique in a pipeline here; the results of the first job of this name keep their keys"
                )
            used.setdefault((job.pipeline, unique), []).append(job.phase)
            if unique != name:
                job.document.set(job.path, "meta_name", unique, reason)

    def migrate_outputs(self) -> None:
        """Name the results that a component has here and had not there."""
        for job in self.jobs:
            names = job.values.get("output")
            if not job.exists or job.table is None or names is None:
                continue
            listed = [names] if isinstance(names, str) else names
            if not isinstance(listed, list):
                continue
            texts = [name if isinstance(name, str) else str(name) for name in listed]
            if job.extra_outputs and len(texts) == job.table.outputs:
                texts += [name if name not in texts else f"{name}_2" for name in job.extra_outputs]
                job.document.set(job.path, "output", texts, "the component has further results here")
            elif texts != listed:
                job.document.set(job.path, "output", texts, "names are texts here")

    def migrate_inputs(self) -> None:
        """Change the keys of results in `input`."""
        for number, job in enumerate(self.jobs):
            path = (*job.path, "input")
            for key, reference in list((job.document.mapping(path) or {}).items()):
                if isinstance(reference, float) and -2 < reference <= -1:
                    reference = str(reference)  # `-1.0`, the first result of the job before, without quotes
                    job.document.set(path, key, reference, "a key is a text here")
                if not isinstance(reference, str):
                    continue
                previous = self.jobs[number - 1] if number else None
                new, problem = self.context_key(reference, job.pipeline, previous)
                if problem:
                    what = f"{reference} {problem}: the original set null, here it is an error"
                    job.document.note((*path, key), what)
                elif new != reference:
                    job.document.set(path, key, new, "the name of this result here")

    def context_key(self, key: str, pipeline: str = "", previous: OldJob | None = None) -> tuple[str, str]:
        """The key here of a result, and why it names none.

        Args:
            key: the key in the original's config.
            pipeline: the pipeline of the job that reads it.
            previous: the job before that one, for `-1`.
        """
        parts = key.split(".")
        if parts[0] == PREVIOUS:
            if previous is None or len(parts) < 2:
                return key, "names no earlier job"
            output = _output(previous, parts[1:])
            return (key, "names no result of that job") if output is None else (".".join([PREVIOUS, *output]), "")
        job = self._first.get((parts[0], parts[1])) if len(parts) > 2 else None
        if job is None:
            new_names = {self._new_name(other) for other in self.jobs}
            is_here = (pipeline, parts[0]) in {*self._first, *new_names} or tuple(parts[:2]) in new_names
            return key, "" if is_here else "names no job"
        output = _output(job, parts[2:])
        if output is None:
            return key, "names no result of that job"
        if "meta_name" not in job.values:
            job.document.set(job.path, "meta_name", UNNAMED, "the name that the original gave it, which a key uses")
        return ".".join([job.pipeline, self._new_name(job)[1], *output]), ""

    def _new_name(self, job: OldJob) -> tuple[str, str]:
        return job.pipeline, str(job.values.get("meta_name", job.old_name))

    def setting_key(self, key: str) -> str:
        """The key here of a parameter: `<pipeline>.<meta_name>.<dj_configs|extra_configs>.<name>`."""
        parts = key.split(".")
        if len(parts) < 4 or parts[2] not in CONFIGS:
            return key
        job = self._first.get((parts[0], parts[1]))
        if job is None:
            return key
        table = job.table if job.exists and parts[2] == "extra_configs" else None
        name = table.renamed.get(parts[3], parts[3]) if table is not None else parts[3]
        return ".".join([*self._new_name(job), parts[2], name, *parts[4:]])

    def migrate_targets(self, document: Document) -> None:
        """Change the keys of results in `iter_targets`."""
        targets = document.value.get("iter_targets")
        places: list[tuple[KeyPath, str | int, JsonValue]] = [((), "iter_targets", targets)]
        if isinstance(targets, list):
            places = [(("iter_targets",), index, text) for index, text in enumerate(targets)]
        for path, key, text in places:
            match = _TARGET.match(text) if isinstance(text, str) else None
            new, _ = self.context_key(match[2]) if match else ("", "")
            if match and new != match[2]:
                document.set(path, key, f"{match[1]}{new}{match[3]}", "the name of this result here")

    def migrate_updater(self, document: Document) -> None:
        """Change `iter_updater`; drop what had no effect there, since `input` won."""
        path = ("iter_updater",)
        for source, target in list((document.mapping(path) or {}).items()):
            if not isinstance(source, str) or not isinstance(target, str):
                continue
            parts = target.split(".")
            job = self._first.get((parts[0], parts[1])) if len(parts) > 2 else None
            if job is not None and ".".join(parts[2:]) in (job.document.mapping((*job.path, "input")) or {}):
                document.drop(path, source, "the job's `input` set the same key, and won there; here this would win")
                continue
            new_target, new_source = self.setting_key(target), self.context_key(source)[0]
            if new_target != target:
                document.set(path, source, new_target, "the name of this key here")
            if new_source != source:
                document.rename(path, source, new_source, "the name of this result here")

    def migrate_sweep(self, sweep: Document) -> None:
        """Change the metrics and parameters of a sweep file."""
        metric = sweep.value.get("metric")
        for path in [
            ("metric",),
            *(("metric", index) for index in range(len(metric) if isinstance(metric, list) else 0)),
        ]:
            name = (sweep.mapping(path) or {}).get("name")
            if isinstance(name, str):
                new = self._metric(name, sweep, (*path, "name"))
                if new != name:
                    sweep.set(path, "name", new, "a metric is a watched value or a result here")
        for name in list(sweep.mapping(("parameters",)) or {}):
            new = self.setting_key(str(name))
            if new != name:
                sweep.rename(("parameters",), name, new, "the name of this key here")

    def _metric(self, name: str, sweep: Document, path: KeyPath) -> str:
        if "." in name:
            return self.context_key(name)[0] if name.count(".") > 1 else name
        job = next((job for job in self.jobs if job.old_name == name), None)
        if job is None or job.table is None:
            return name
        number = next(iter(job.table.numbers), 0)
        if not job.values.get("hook", "").startswith("Evaluate"):
            sweep.note(path, f"{name} names all metrics of a job: name one of them here, `{name}.<metric>`")
            return name
        outputs = job.values.get("output")
        outputs = [outputs] if isinstance(outputs, str) else outputs
        result = outputs[number] if isinstance(outputs, list) and number < len(outputs) else f"res_{number + 1}"
        return ".".join([*self._new_name(job), *_with_part(str(result), job.table.numbers.get(number))])


def _output(job: OldJob, parts: Sequence[str]) -> list[str] | None:
    """The name of a result here, with the path in it; None if the job has no such result."""
    result = job.new_output(parts[0])
    if result is None:
        return None
    name, part = result
    rest = list(parts[1:])
    return [*_with_part(name, None if rest[:1] == [part] else part), *rest]


def _with_part(name: str, part: str | None) -> list[str]:
    return [name] if part is None else [name, part]
