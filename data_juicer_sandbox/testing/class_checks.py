"""Checks of a component's class: its constructor, and what it declares about its metrics and results."""

from __future__ import annotations

import inspect
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from data_juicer_sandbox.components.base import Component
from data_juicer_sandbox.components.metric_keys import as_glob, expand, intersect, literal_glob
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.signatures import argument_texts, check, own_argument_texts, parameters
from data_juicer_sandbox.testing.reporting import Check, report
from data_juicer_sandbox.types import JsonValue

HEAVY = (
    "accelerate", "bitsandbytes", "data_juicer", "datasets", "deepspeed", "diffusers", "evalscope", "jax", "lm_eval",
    "matplotlib", "modelscope", "nltk", "openai", "optuna", "peft", "pandas", "pyarrow", "pyspark", "ray", "scipy",
    "sentence_transformers", "sklearn", "spacy", "tensorflow", "tokenizers", "torch", "torchvision", "transformers",
    "trl", "vllm", "wandb",
)  # fmt: skip
"""Libraries that neither the import of a component's module nor its constructor may import."""
MAX_SECONDS = 1.0
"""Seconds of processor time that a constructor may take."""
_TIMEOUT = 120


def check_component_class(
    cls: type[object],
    values: Mapping[str, object] | None = None,
    *,
    folder: Path | str = ".",
    skip: Collection[str] = (),
) -> None:
    """Check a component class without running it: its parameters, its docstring, its constructor.

    Args:
        cls: the class.
        values: parameters for its constructor; None: the constructor is not called.
        folder: the folder that relative paths in `values` refer to.
        skip: names of checks that are not run.

    Raises:
        AssertionError: a check failed; lists all that did.
    """
    report(f"{cls.__module__}.{cls.__qualname__}", class_checks(cls, values, Path(folder)), skip)


def class_checks(cls: type[object], values: Mapping[str, object] | None, folder: Path) -> dict[str, Check]:
    """The checks of a class by name."""
    return {
        "derives_from_component": lambda: derives_from_component(cls),
        "typed_parameters": lambda: typed_parameters(cls),
        "documented_parameters": lambda: documented_parameters(cls),
        "fitting_defaults": lambda: fitting_defaults(cls),
        "named_outputs": lambda: named_outputs(cls),
        "light_constructor": lambda: light_constructor(cls, values, folder),
    }


def derives_from_component(cls: type[object]) -> Iterator[str]:
    """The class derives from `Component`, and has all of its methods."""
    if not issubclass(cls, Component):
        yield "it does not derive from data_juicer_sandbox.components.base.Component"
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        yield f"it does not define {', '.join(missing)}"


def typed_parameters(cls: type[object]) -> Iterator[str]:
    """Every parameter of the constructor has a type, and can be set from a config."""
    parameters(cls)  # raises if an annotation cannot be evaluated
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            yield f"a config cannot set {name!r}: it has no name of its own; use ordinary parameters"
        elif parameter.annotation is parameter.empty:
            yield f"{name!r} has no type annotation, so a config's value of any type is accepted"


def documented_parameters(cls: type[object]) -> Iterator[str]:
    """The docstring describes the class and every parameter, and no other."""
    text = inspect.cleandoc(cls.__doc__ or "")
    if not text or text.startswith("Args:"):
        yield "the class has no docstring with a first sentence; it is what the reference page and `list` show"
    documented = argument_texts(cls)
    declared, open_ended = parameters(cls)
    for name in declared:
        if not documented.get(name):
            yield f"the section `Args` of the docstring does not describe {name!r}"
    for name in own_argument_texts(cls):
        if name.lstrip("*") not in declared and not open_ended:
            yield f"the section `Args` of the docstring describes {name!r}, which is not a parameter"


def fitting_defaults(cls: type[object]) -> Iterator[str]:
    """Every default is a value that a config could hold for its parameter."""
    for name, parameter in parameters(cls)[0].items():
        if not parameter.required and parameter.default is not None:
            problems = [problem for problem in check(cls, {name: parameter.default}) if problem.name == name]
            for problem in problems:
                yield f"the default of {problem.what}"


def named_outputs(cls: type[object]) -> Iterator[str]:
    """`outputs` is None, or a tuple of distinct names."""
    outputs = getattr(cls, "outputs", None)
    if outputs is None:
        return
    if not isinstance(outputs, tuple):
        yield f"`outputs` is a {type(outputs).__name__}; write a tuple of names, as ('rows',)"
    elif not all(isinstance(name, str) and name.isidentifier() for name in outputs):
        yield f"`outputs` has an item that is not a name: {outputs!r}"
    elif len(set(outputs)) < len(outputs):
        yield f"`outputs` has a name twice: {', '.join(outputs)}"


def light_constructor(cls: type[object], values: Mapping[str, object] | None, folder: Path) -> Iterator[str]:
    """The module and the constructor import no heavy library, and the constructor does no work."""
    request = {} if values is None else {"values": dict(values)}
    yield from _constructor_problems(cls, request, folder)


def light_tracker_constructor(cls: type[object]) -> Iterator[str]:
    """The same for a tracker, whose constructor may write below its work directory."""
    with tempfile.TemporaryDirectory(prefix="dj_sandbox_") as temporary:
        work_dir = Path(temporary).resolve()
        yield from _constructor_problems(cls, {"run": str(work_dir), "writable": str(work_dir)}, work_dir)


def _constructor_problems(cls: type[object], request: Mapping[str, object], folder: Path) -> Iterator[str]:
    if "<locals>" in cls.__qualname__:
        yield "the class is defined inside a function, so no config can name it; define it at the module's top level"
        return
    answer = _ask(cls, request, folder)
    if "error" in answer:
        yield f"in a new process it cannot be made: {answer['error']}"
        return
    if heavy := _heavy(answer["imported"]):
        yield f"its module imports {heavy}; import them in `run`"
    if heavy := _heavy(answer["constructed"]):
        yield f"the constructor imports {heavy}; import them in `run`"
    for event in answer["events"]:
        yield f"the constructor does work: {event}"
    if answer["seconds"] > MAX_SECONDS:
        yield f"the constructor takes {answer['seconds']:.1f} s"


def _heavy(modules: list[str]) -> str:
    return ", ".join(sorted({name.partition(".")[0] for name in modules}.intersection(HEAVY)))


def _ask(cls: type[object], request: Mapping[str, object], folder: Path) -> dict[str, JsonValue]:
    """The answer of `constructor_probe` in a new process."""
    try:
        file = inspect.getfile(cls)
    except (TypeError, OSError):
        file = None
    whole = {
        "path": [str(Path(entry).absolute()) for entry in sys.path],  # an empty one is the current folder
        "module": cls.__module__,
        "file": file,
        "name": cls.__qualname__,
        "folder": str(folder.absolute()),
        **request,
    }
    command = [sys.executable, str(Path(__file__).with_name("constructor_probe.py"))]
    done = subprocess.run(command, input=pickle.dumps(whole), capture_output=True, timeout=_TIMEOUT, check=False)
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        answer = {"error": done.stderr.decode(errors="replace").strip()[-500:] or f"it ended with {done.returncode}"}
    return dict(answer)


def undeclared_metrics(
    cls: type[object], values: Mapping[str, object] | None, reported: Mapping[str, bool]
) -> Iterator[str]:
    """Reported metrics that the class does not declare; none if it declares nothing.

    Args:
        cls: the component.
        values: its parameters; None if they are not known.
        reported: for each key whether it was reported with a step.
    """
    declared = getattr(cls, "metrics", None)
    if declared is None:
        return
    defaults = {name: parameter.default for name, parameter in parameters(cls)[0].items()}
    keys = list(expand(declared, {**defaults, **(values or {})}, lambda name: values is None))
    for key, has_step in reported.items():
        matching = [metric for metric, name in keys if intersect(literal_glob(key), as_glob(name))]
        if not matching:
            yield f"it reports {key!r}, which `metrics` does not declare"
        elif has_step and not any(metric.per_step for metric in matching):
            yield f"it reports {key!r} with a step, which `metrics` declares without `per_step`"


def undeclared_numbers(cls: type[object], result: object) -> Iterator[str]:
    """Numbers in the result of a component that its `numbers` does not declare."""
    outputs, numbers = getattr(cls, "outputs", None), getattr(cls, "numbers", {})
    for name in sorted(set(numbers) - set(outputs or ())):
        yield f"`numbers` names {name!r}, which is not an output"
    results = result if isinstance(result, tuple) else (result,)
    for name, value in zip(outputs or (), results, strict=False):
        if name not in numbers:
            continue
        for key, item in flatten({name: value}):
            if isinstance(item, bool) or not isinstance(item, int | float):
                continue
            part = key.removeprefix(name).removeprefix(".")
            if not any(intersect(literal_glob(part), as_glob(declared)) for declared in numbers[name]):
                yield f"the output {name!r} holds a number {part!r}, which `numbers` does not declare"
