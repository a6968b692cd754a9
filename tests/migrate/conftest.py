"""Configs of the original, and what a test does with them: migrate, validate, migrate again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.config.loader import load
from data_juicer_sandbox.migrate.migration import Migration, migrate
from data_juicer_sandbox.validation import validate

ORIGINALS = Path(__file__).parent / "originals"


def problems(path: str) -> list[str]:
    """What `validate` says about a config."""
    config, found = load(path)
    if config is not None:
        found = [*found, *validate(config).problems]
    return [str(problem) for problem in found]


def lasting(path: str) -> list[str]:
    """The same without missing inputs and components of later versions."""
    return [text for text in problems(path) if "which does not exist" not in text and "unknown type" not in text]


@pytest.fixture
def migrated(config_file: Callable[..., Path]) -> Callable[..., tuple[dict, Migration, str]]:
    """Migrate a config (a text or a mapping): the new values, the migration and the new text. It is idempotent."""

    def run(config: object, **files: object) -> tuple[dict, Migration, str]:
        for name, content in files.items():
            config_file(content, f"{name}.yaml")
        config_file(config, "old.yaml")
        migration = migrate("old.yaml")
        assert main(["migrate", "old.yaml", "--force"]) == 0
        path = migration.files[-1].path if migration.files else "old.yaml"
        text = Path(path).read_text()
        again = migrate(path)
        assert [str(change) for change in again.changes] == []
        return yaml.safe_load(text), migration, text

    return run


def job(hook: str, phase: str = "execution", **values: object) -> dict:
    """A config with a single job."""
    return {f"{phase}_job_configs": [{"hook": hook, **values}]}


def only_job(config: dict) -> dict:
    """The job of such a config."""
    return next(jobs[0] for key, jobs in config.items() if key.endswith("_job_configs"))
