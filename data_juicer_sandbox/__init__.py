"""Data-Juicer Sandbox: find out, cheaply, which training data makes which model better.

The names below are imported when they are first used; `import data_juicer_sandbox` itself imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_juicer_sandbox.api import Plan, Sandbox
    from data_juicer_sandbox.component_run import run_component
    from data_juicer_sandbox.components.base import Component, JobRun
    from data_juicer_sandbox.engine.runner import JobFailed, JobsFailed
    from data_juicer_sandbox.errors import ConfigError, ConfigErrors, JobError, SandboxError
    from data_juicer_sandbox.results import Results, load_results

__version__ = "0.1.0"

_MODULES = {
    "Sandbox": "api",
    "Plan": "api",
    "run_component": "component_run",
    "Results": "results",
    "load_results": "results",
    "Component": "components.base",
    "JobRun": "components.base",
    "JobFailed": "engine.runner",
    "JobsFailed": "engine.runner",
    "ConfigError": "errors",
    "ConfigErrors": "errors",
    "JobError": "errors",
    "SandboxError": "errors",
}

__all__ = [
    "Component",
    "ConfigError",
    "ConfigErrors",
    "JobError",
    "JobFailed",
    "JobRun",
    "JobsFailed",
    "Plan",
    "Results",
    "Sandbox",
    "SandboxError",
    "__version__",
    "load_results",
    "run_component",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
