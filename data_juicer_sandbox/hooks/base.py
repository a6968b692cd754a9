"""`Hook`: builds the component of a resolved job and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.metric_keys import MetricKey
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES, import_class
from data_juicer_sandbox.signatures import build, parameters
from data_juicer_sandbox.types import ConfigValues

if TYPE_CHECKING:
    from data_juicer_sandbox.workflow.resolve import ResolvedJob


class Hook:
    """Runs a job.

    Attributes:
        phases: the phases in which it is usually used.
        factory: the factory that finds its component by `type`.
        component: its only component as `module:Class`, if it has no factory.
        reads_probe: whether it reads the metrics of the probe with the same `meta_name`.
        runs_recipe: whether it reads the data set of the recipe.
        writes_export: whether it writes the recipe's `export_path` when it runs the recipe.
        from_recipe: parameters of the component that the hook sets if the job has a recipe.
    """

    phases: ClassVar[tuple[Phase, ...]] = ()
    factory: ClassVar[str | None] = None
    component: ClassVar[str | None] = None
    reads_probe: ClassVar[bool] = False
    runs_recipe: ClassVar[bool] = True
    writes_export: ClassVar[bool] = True
    from_recipe: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def component_class(cls, extra_configs: ConfigValues | None) -> type[Component]:
        """The component class of a job.

        Raises:
            ConfigError: the `type` is unknown, or missing.
        """
        if cls.factory is not None:
            return FACTORIES[cls.factory].find((extra_configs or {}).get("type"))
        if cls.component is None:
            raise ConfigError(f"hook {cls.__name__} has neither factory nor component")
        return import_class(cls.component)

    @classmethod
    def takes_recipe(cls, component: type[object]) -> bool:
        """Whether a job of this hook with this component reads its `dj_configs`."""
        return "dj_configs" in parameters(component)[0]

    @classmethod
    def outputs(cls, component: type[object]) -> tuple[str, ...] | None:
        """The outputs of the hook with this component; None if they are not known before the run."""
        declared: tuple[str, ...] | None = getattr(component, "outputs", None)
        return declared

    @classmethod
    def metrics(cls, component: type[object]) -> tuple[MetricKey, ...] | None:
        """What a job of this hook with this component reports; None if it is not known before the run."""
        if cls.run is not Hook.run:  # it may report more than its component does
            return None
        declared: tuple[MetricKey, ...] | None = getattr(component, "metrics", None)
        return declared

    @classmethod
    def build(cls, resolved: ResolvedJob) -> Component:
        """Build the component of a resolved job.

        Raises:
            ConfigError: the configs do not match its parameters.
        """
        component = resolved.component or cls.component_class(resolved.extra_configs)
        return build(component, arguments(component, resolved.dj_configs, resolved.extra_configs))

    def run(self, resolved: ResolvedJob, job: JobRun) -> object:
        """Build the component and run it."""
        return self.build(resolved).run(job)


def arguments(
    component: type[object], recipe: dict[str, object] | None, extra_configs: dict[str, object]
) -> ConfigValues:
    """The keyword arguments of a component: `extra_configs` without `type`, and the recipe if it accepts one."""
    accepted_names, _ = parameters(component)
    keyword_arguments = {
        name: value for name, value in extra_configs.items() if name != "type" or "type" in accepted_names
    }
    if "dj_configs" in accepted_names and recipe is not None:
        keyword_arguments["dj_configs"] = recipe
    return keyword_arguments
