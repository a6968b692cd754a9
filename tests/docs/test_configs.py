"""Shipped configs: each is good as it stands, and says what it shows, needs, takes, and how to run it."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shipped_config_is_good_and_starts_with_what_it_is(path, dj_sandbox):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for word in ("Shows:", "Needs:", "Takes:", "Run:"):
        assert any(line.startswith(f"# {word}") for line in head), word
    if {"pipelines", "execution_job_configs"} & set(yaml.safe_load(path.read_text())):
        assert f"dj-sandbox --config {path.relative_to(ROOT)}" in "\n".join(head)
        made = dj_sandbox("validate", "--config", str(path))
        assert made.returncode == 0, made.stderr
