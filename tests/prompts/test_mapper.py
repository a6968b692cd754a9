"""Prompts written by Data-Juicer's own mapper, as docs/prompts.md shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("openai", reason="pip install -e '.[api]'")
from rule_server import RuleServer

PAGE = Path(__file__).parents[2] / "docs" / "prompts.md"


def rule(prompt, body):
    """Writes the last prompt that it was shown in capitals, told apart by their number."""
    shown = re.findall(r"^Prompt: (.*)$", prompt, re.MULTILINE)
    return [f"Here it is.\nPrompt: {shown[-1].upper()}!\n"]


@pytest.mark.slow
def test_the_mapper_of_the_page(config_file, dj_sandbox, rows):
    block = next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "optimize" in text)
    seeds = ["Answer in digits.", "Say how many."]
    make = {
        "hook": "GeneralDataExecutorHook",
        "meta_name": "start",
        "output": "prompts",
        "extra_configs": {"type": "inline_rows", "key": "prompt", "rows": seeds, "export_path": "seeds.jsonl"},
    }
    with RuleServer(rule) as server:
        jobs = yaml.safe_load(block.replace("http://localhost:8000/v1", server.url))
        path = config_file({"work_dir": "out", "execution_job_configs": [make, *jobs]})
        made = dj_sandbox("--config", str(path), timeout=600)
    assert made.returncode == 0, made.stderr
    found = [row["prompt"] for row in rows("out/candidates/clean.jsonl")]
    written = [one for one in found if one not in seeds]
    assert len(found) - len(written) == len(seeds) < len(written)
    assert {one.rstrip("!") for one in written} == {seed.upper() for seed in seeds}
    assert all("Prompt: " in prompt for prompt in server.asked)
