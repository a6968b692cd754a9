"""Checks that what a component reports and returns is what its `metrics` and `numbers` declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from data_juicer_sandbox.components.metric_keys import as_glob, expand, intersect, literal_glob
from data_juicer_sandbox.plain_json import flatten
from data_juicer_sandbox.signatures import parameters


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
