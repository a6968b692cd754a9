"""Hints for errors in a config that has names of the original."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from data_juicer_sandbox.migrate.tables import COMPONENTS, ENVIRONMENT_KEYS, EXTRA_OUTPUTS, GRADER, factory_of, table_of

_VALUE_ERRORS = (f"neither {GRADER} nor", "' is not a URL", "top_k: -1 ", "model_params.max_retries")
_ITERATION = re.compile(r"(?:^|/)iter_\d+(?:/|$)")


@dataclass(frozen=True)
class OriginalNames:
    """What the original called things in one job.

    Args:
        hook: the job's hook.
        type_name: the type of its component.
        file: the config file.
    """

    hook: str
    type_name: object
    file: str

    def _hint(self, text: str) -> str:
        return f"{text}; `dj-sandbox migrate {shlex.quote(self.file)}` rewrites a config of the original"

    def for_type(self) -> str | None:
        """The hint for an unknown type that the original had."""
        if (factory_of(self.hook), str(self.type_name)) not in COMPONENTS:
            return None
        return self._hint("a component of the original that this version does not have yet")

    def for_parameter(self, name: str) -> str | None:
        """The hint for an unknown parameter that the original had."""
        table = table_of(self.hook, self.type_name)
        if table is None:
            return None
        if name in table.renamed:
            return self._hint(f"{table.renamed[name]!r} is its name here")
        if name in table.removed:
            return self._hint(table.removed[name])
        if name in ENVIRONMENT_KEYS:
            return self._hint("the component needs no environment of its own")
        return self._hint(f"here it is a part of {table.rest!r}") if table.rest else None

    def for_value(self, error: str) -> str | None:
        """The hint for a value that was right in the original."""
        return self._hint("its meaning is another here") if any(map(error.__contains__, _VALUE_ERRORS)) else None

    def for_outputs(self, count: int) -> str | None:
        """The hint for a number of output names that was right in the original."""
        table = table_of(self.hook, self.type_name)
        extra = EXTRA_OUTPUTS.get((factory_of(self.hook) or "", str(self.type_name)))
        return self._hint("the original had fewer") if table and extra and count == table.outputs else None

    def for_reference(self, key: str) -> str | None:
        """The hint for a result that the original called 0, 1, ..."""
        if not any(part.isdecimal() for part in key.split(".")[1:]):
            return None
        return self._hint("results without names are res_1, res_2, ..., not 0, 1, ...")

    def for_path(self, path: str) -> str | None:
        """The hint for a path with the folder of an iteration."""
        if not _ITERATION.search(path):
            return None
        return self._hint("a single pass has no folder iter_<n>")
