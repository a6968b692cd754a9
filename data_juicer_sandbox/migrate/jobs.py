"""The jobs of a config of the original: where they are, what their results are called there and here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from data_juicer_sandbox.config.schema import ANONYMOUS, Phase
from data_juicer_sandbox.config.yaml_source import KeyPath
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.migrate.document import Document
from data_juicer_sandbox.migrate.tables import EXTRA_OUTPUTS, UNNAMED, ComponentTable, factory_of, table_of
from data_juicer_sandbox.types import ConfigValues, JsonValue


@dataclass
class OldJob:
    """A job, which may change while it is migrated.

    Args:
        pipeline, phase: where it runs.
        document, path: the file that it is written in, and its path there.
        reference: where the main config names that file; None if the job is written in the main config.
    """

    pipeline: str
    phase: Phase
    document: Document
    path: KeyPath
    reference: KeyPath | None = None
    old_name: str = ""
    """Its name in keys of the original."""
    old_outputs: tuple[str, ...] | None = None
    """The names of its results there; None: 0, 1, ..."""
    extra: Document | None = None
    recipe: Document | None = None
    """The files of `extra_configs` and `dj_configs`, if they are files."""

    def __post_init__(self) -> None:
        self.old_name = UNNAMED if "meta_name" not in self.values else str(self.values["meta_name"])
        names = self.values.get("output")
        names = [names] if isinstance(names, str) else names
        self.old_outputs = tuple(map(str, names)) if isinstance(names, list) else None

    @property
    def values(self) -> ConfigValues:
        """The job."""
        return self.document.mapping(self.path) or {}

    @property
    def new_name(self) -> str:
        """Its name here, by which an analyzed data set is called; by default made from phase, position and hook."""
        name = self.values.get("meta_name")
        index = (self.reference or self.path)[-1]
        default = f"{self.phase.value}_{int(index) + 1}_{str(self.values.get('hook')).rpartition('.')[2]}"
        return name if isinstance(name, str) else default

    @property
    def type_name(self) -> JsonValue:
        """The type of its component."""
        local = self.values.get("local")
        value = local.get("extra_configs.type") if isinstance(local, dict) else None
        document, path = self.config("extra_configs")
        return value or (document.mapping(path) or {}).get("type")

    @property
    def table(self) -> ComponentTable | None:
        """What differs in its component."""
        return table_of(self.values.get("hook"), self.type_name)

    @property
    def exists(self) -> bool:
        """Whether this version has its component."""
        factory, name = factory_of(self.values.get("hook")), self.type_name
        return factory is None or (isinstance(name, str) and ("." in name or name in FACTORIES[factory].types()))

    def config(self, name: str) -> tuple[Document, KeyPath]:
        """The document that holds `dj_configs` or `extra_configs`, and its path there."""
        document = self.extra if name == "extra_configs" else self.recipe
        return (document, ()) if document is not None else (self.document, (*self.path, name))

    def new_output(self, name: str) -> tuple[str, str | None] | None:
        """The name here of a result by its name there, and the key in it of what was a number there; None if the job
        names its results, and none of them so.
        """
        if self.old_outputs is not None:
            index = self.old_outputs.index(name) if name in self.old_outputs else None
            new_name = name
        else:
            is_number = name.isascii() and name.isdecimal() and len(name) < 4
            index = int(name) if is_number else None
            new_name = f"res_{int(name) + 1}" if is_number else name
        if index is None:
            return None if self.old_outputs is not None else (name, None)
        numbers = self.table.numbers if self.table is not None and self.exists else {}
        return new_name, numbers.get(index)

    @property
    def extra_outputs(self) -> tuple[str, ...]:
        """Results that its component has here, and not there."""
        key = (factory_of(self.values.get("hook")) or "", self.type_name)
        return EXTRA_OUTPUTS.get(key, ()) if isinstance(key[1], str) else ()


def job_lists(document: Document) -> Iterator[tuple[str, Phase, KeyPath]]:
    """Pipeline, phase and path of every list of jobs in a config, in the order in which they run."""
    pipelines = document.value.get("pipelines")
    if pipelines is None:
        for phase in Phase:
            yield ANONYMOUS, phase, (phase.key,)
        return
    bodies: list[tuple[str, KeyPath]] = []
    if isinstance(pipelines, dict):
        bodies = [(str(name), ("pipelines", name)) for name in pipelines]
    elif isinstance(pipelines, list):
        for index, entry in enumerate(pipelines):
            if isinstance(entry, dict):
                bodies += [(str(name), ("pipelines", index, name)) for name in entry]
    for name, path in bodies:
        for phase in Phase:
            yield name, phase, (*path, phase.key)
