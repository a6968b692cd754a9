"""Writes the demo's config with a small corpus and small models, so that CI runs the same jobs in a minute."""

import sys
from pathlib import Path

import yaml

config = yaml.safe_load(Path("configs/demo/sandbox.yaml").read_text())
config["work_dir"] = "outputs/ci"
jobs = {
    job["meta_name"]: job
    for pipeline in config["pipelines"].values()
    for phase in pipeline.values()
    for job in phase
    if "extra_configs" in job
}
jobs["build"]["extra_configs"]["size"] = 1500
jobs["train"]["extra_configs"].update(max_tokens=20_000, n_layer=2, n_embd=64, seeds=[1])
jobs["heldout"]["extra_configs"]["max_rows"] = 10
Path(sys.argv[1]).write_text(yaml.safe_dump(config, sort_keys=False))
