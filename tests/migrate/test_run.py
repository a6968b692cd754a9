"""A config of the original with paths written by hand runs after `migrate`: the files have the names in the config."""

from __future__ import annotations

import json
from pathlib import Path

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.cli.main import main

OLD = """\
project_name: pools
work_dir: ./outputs/pools
probe_job_configs:
  - hook: ProbeViaAnalyzerHook
    meta_name: analyze
    dj_configs:
      dataset_path: texts.jsonl
      export_path: ./outputs/pools/analysed.jsonl
      export_original_dataset: true
      process:
        - text_length_filter: {min_len: 1}
execution_job_configs:
  - hook: DataPoolManipulationHook
    meta_name: cut
    extra_configs:
      type: data_pool_construction
      dataset_path: ./outputs/pools/iter_1/analysed.jsonl
      export_path: ./outputs/pools/cut
      split_ratios: [1/2]
      seed: 3
  - hook: DataPoolManipulationHook
    meta_name: merge
    extra_configs:
      type: data_pool_merging
      dataset_path:
        - ./outputs/pools/cut/iter_1/text_len/analysed_text_len_1.jsonl
        - not_there.jsonl
      export_path: ./outputs/pools/merged.jsonl
  - hook: DataPoolManipulationHook
    meta_name: sample
    input: {extra_configs.dataset_path: anonymous.merge.0}
    extra_configs:
      type: data_pool_downsampling
      dataset_path: <placeholder>
      export_path: ./outputs/pools/sampled
      target_num_samples: 3
"""


def test_it_runs(config_file, tmp_path):
    config_file(OLD, "old.yaml")
    rows = [{"text": "word " * number} for number in range(1, 11)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["migrate", "old.yaml", "-o", "new.yaml"]) == 0
    results = Sandbox("new.yaml").run()
    merged = [
        json.loads(line)["text"]
        for path in results["anonymous.merge.res_1"]
        for line in Path(path).read_text().splitlines()
    ]
    assert merged == [row["text"] for row in rows[5:]]
    assert len(Path(results["anonymous.sample.res_1"][0]).read_text().splitlines()) == 3
