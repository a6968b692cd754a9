"""Components that need libraries."""

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.imports import libraries


class NeedsTorch(Component):
    """Declares a library, and does not use it."""

    outputs = ("v",)
    requires = libraries("train", "torch")

    def run(self, job: JobRun) -> int:
        return 1


class Confused(NeedsTorch):
    """Expects a parameter that the config does not have."""

    @classmethod
    def required_libraries(cls, values):
        return values["absent"]
