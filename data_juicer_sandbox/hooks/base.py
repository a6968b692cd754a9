"""What a hook is: it takes a resolved job, has its component built, runs it, and names nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.config.schema import Phase
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.factories import FACTORIES, import_class
from data_juicer_sandbox.signatures import build, parameters

if TYPE_CHECKING:
    from data_juicer_sandbox.workflow.resolve import ResolvedJob


class Hook:
    """Carries out a job.

    Attributes:
        phases: where it usually stands.
        factory: the factory that knows its components by `type`.
        component: the one component it works through, where there is no choice, as `module:Class`.
        reads_probe: whether it reads what the probe of the same `meta_name` watched.
        runs_recipe: whether the data set that the recipe names is read.
        writes_export: whether the recipe's `export_path` is written, where the recipe is run.
        from_recipe: parameters of the component that the hook gives where the job has a recipe.
    """

    phases: ClassVar[tuple[Phase, ...]] = ()
    factory: ClassVar[str | None] = None
    component: ClassVar[str | None] = None
    reads_probe: ClassVar[bool] = False
    runs_recipe: ClassVar[bool] = True
    writes_export: ClassVar[bool] = True
    from_recipe: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def component_class(cls, extra_configs: dict[str, Any] | None) -> type[Any]:
        """The class that will do the work.

        Raises:
            ConfigError: the `type` is unknown, or missing.
        """
        if cls.factory is not None:
            return FACTORIES[cls.factory].find((extra_configs or {}).get("type"))
        if cls.component is None:
            raise ConfigError(f"hook {cls.__name__} has neither factory nor component")
        return import_class(cls.component)

    @classmethod
    def takes_recipe(cls, component: type[Any]) -> bool:
        """Whether a job of this hook with this component reads its `dj_configs`."""
        return "dj_configs" in parameters(component)[0]

    @classmethod
    def outputs(cls, component: type[Any]) -> tuple[str, ...] | None:
        """What the hook puts out with this component, where that is known before the run."""
        declared: tuple[str, ...] | None = getattr(component, "outputs", None)
        return declared

    @classmethod
    def build(cls, resolved: ResolvedJob) -> Any:
        """Make the component of a resolved job.

        Raises:
            ConfigError: its configs do not fit it.
        """
        component = cls.component_class(resolved.extra_configs)
        return build(component, arguments(component, resolved.dj_configs, resolved.extra_configs))

    def run(self, resolved: ResolvedJob, job: JobRun) -> Any:
        """Build the component and run it."""
        return self.build(resolved).run(job)


def arguments(component: type[Any], recipe: dict[str, Any] | None, extra_configs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a component: `extra_configs` without `type`, and the recipe where it takes one."""
    known, _ = parameters(component)
    given = {name: value for name, value in extra_configs.items() if name != "type" or "type" in known}
    if "dj_configs" in known and recipe is not None:
        given["dj_configs"] = recipe
    return given
