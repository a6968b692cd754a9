"""`run_component`: run one component from Python, without a config and a work directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from data_juicer_sandbox.components.base import Component, JobRun, NullJob, Role, Written
from data_juicer_sandbox.config.loader import plain_value
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.engine.process_state import preserved_process
from data_juicer_sandbox.engine.session import only_run_of_process
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES, import_class
from data_juicer_sandbox.files import guarded_by
from data_juicer_sandbox.output_guard import OutputGuard, OutputLedger
from data_juicer_sandbox.plain_json import texts
from data_juicer_sandbox.secrets import remember_all
from data_juicer_sandbox.signatures import build, parameters
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.terminal.silent_view import SilentView
from data_juicer_sandbox.terminal.view import View
from data_juicer_sandbox.types import LibraryObject
from data_juicer_sandbox.validation.outputs import check_output, is_remote
from data_juicer_sandbox.workflow.planned_job import recipe_paths

_NAME = "component"


def run_component(
    component: str | type[object], /, *, factory: str | None = None, view: View | None = None, **values: object
) -> LibraryObject:
    """Run one component and return what it returns: one output, or a tuple of several.

    The arguments are checked and converted like the `extra_configs` of a job. An output file that exists is replaced
    if an earlier call wrote it; a file of somebody else is renamed to `previous_<name>_<date>`, and an output that is
    also an input is refused, as in a run.

    Args:
        component: its type (`data_pool_construction`), a dotted path (`my_package.MyComponent`), or a class.
        factory: the factory of the type, if several have it: `huggingface` is a trainer, an inference and a probe.
        view: shows the progress; None shows nothing.
        values: the component's parameters; paths may be `Path` objects.

    Returns:
        the component's result. Paths in it that lie in the component's temporary folder stay there.

    Raises:
        ConfigError: the type is unknown or ambiguous, or the values do not fit; names all that do not.
        JobError: the component failed for a reason that the caller can change.

    Example:
        >>> import data_juicer_sandbox as dj
        >>> dj.run_component("inline_rows", rows=["short", "a longer text"], key="text", export_path="rows.jsonl")
        'rows.jsonl'
        >>> sampled = dj.run_component(
        ...     "data_pool_downsampling", dataset_path="rows.jsonl", target_num_samples=1, export_path="sampled"
        ... )
        >>> dj.run_component("inline_rows", rows="many", key="text", export_path="rows.jsonl")
        Traceback (most recent call last):
            ...
        data_juicer_sandbox.errors.ConfigError: parameter 'rows': ...
    """
    cls = component if isinstance(component, type) else _find(component, factory)
    if not issubclass(cls, Component):
        raise ConfigError(f"{cls.__name__} is not a component", hint="derive the class from `Component`")
    values = {name: plain_value(value) for name, value in values.items()}
    remember_all(values)
    instance = build(cls, values)
    folder = Path(tempfile.mkdtemp(prefix="dj_sandbox_"))
    result: object = None
    try:
        with only_run_of_process(), preserved_process():
            logs.setup(folder / logs.FILE, debug=False)
            try:
                guard = _guard(cls, values, folder)
                job = JobRun(_NAME, _NAME, folder / _NAME, NullJob(), view or SilentView())
                job.folder.mkdir()
                with guarded_by(guard):
                    try:
                        result = instance.run(job)
                    except BaseException:
                        guard.settle(completed=False)
                        raise
                    guard.settle()
            finally:
                logs.close()
    finally:
        if not _names_path_in(folder, result):
            shutil.rmtree(folder, ignore_errors=True)
    return result


def _find(name: str, factory: str | None) -> type[Component]:
    if factory is not None:
        if factory not in FACTORIES:
            raise ConfigError(f"unknown factory {factory!r}", hint=suggest(factory, FACTORIES))
        return FACTORIES[factory].find(name)
    owners = [owner for owner in FACTORIES.values() if name in owner.types()]
    classes = {owner.find(name) for owner in owners}
    if len(classes) == 1:
        return classes.pop()
    if classes:
        choices = ", ".join(owner.name for owner in owners)
        raise ConfigError(f"several factories have a component {name!r}", hint=f"set `factory` to one of {choices}")
    if "." in name or ":" in name:
        return import_class(name)
    type_names = {type_name for owner in FACTORIES.values() for type_name in owner.types()}
    raise ConfigError(f"unknown component {name!r}", hint=suggest(name, type_names))


def _guard(cls: type[object], values: Mapping[str, object], folder: Path) -> OutputGuard:
    """The guard of the outputs; what earlier calls wrote is recorded in the user's cache folder.

    Raises:
        JobError: an output must not be written.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "data_juicer_sandbox"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home folder: files of earlier calls are renamed instead
        cache = folder
    declared = parameters(cls)[0]
    inputs = [
        path
        for name, value in values.items()
        if name in declared and declared[name].role in (Role.INPUT, Role.MODEL)
        for path in texts(value)
    ]
    recipe = values.get("dj_configs")
    recipe = recipe if isinstance(recipe, Mapping) else {}
    inputs += [path for _, path in recipe_paths(recipe, Role.INPUT)]
    guard = OutputGuard(cache, _NAME, inputs, OutputLedger(cache), folder)
    for _, path in recipe_paths(recipe, Role.OUTPUT):
        if not is_remote(path) and "{" not in path:  # not a pattern that Data-Juicer fills in
            check_output(guard, path, Written.FILE)
    for name, value in values.items():
        if name in declared and declared[name].role is Role.OUTPUT:
            for path in texts(value):
                check_output(guard, path, declared[name].written, claim=True)
    return guard


def _names_path_in(folder: Path, result: object) -> bool:
    """Whether a result contains a path in a folder; also true for a result that is nested too deeply to search."""
    try:
        return any(text.startswith(str(folder)) for text in texts(plain_value(result)))
    except ConfigError:
        return True
