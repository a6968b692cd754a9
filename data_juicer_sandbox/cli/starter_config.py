"""The config that `dj-sandbox init` writes: single-filter experiments on a data set of the user's."""

from __future__ import annotations

import json
from dataclasses import dataclass

from data_juicer_sandbox.config.interpolation import escape

SEEDS = (1, 2, 3)
_FILTERS = ("text_length_filter", "special_characters_filter")
_POOLS = 2 * len(_FILTERS) + 1
_TOKENS_PER_SECOND = 3_000
"""Of a small model on one core of a shared machine."""
_MIN_TOKENS, _MAX_TOKENS = 2_000, 300_000
_HELDOUT_TOKENS = 20_000


@dataclass(frozen=True)
class StarterConfig:
    """A config to start from.

    Args:
        data: path of the data set.
        heldout: path of the held-out texts.
        text_field: the field that holds the texts.
        rows: number of rows.
        tokens: the approximate number of tokens of the data set.
        heldout_tokens: the approximate number of tokens of a held-out text.
        name: the project's name.
        file: the path of the config.
    """

    data: str
    heldout: str
    text_field: str
    rows: int
    tokens: int
    heldout_tokens: int
    name: str
    file: str

    @property
    def max_tokens(self) -> int:
        """The budget of each model: what one pool has, within limits."""
        tokens = min(max(self.tokens // 2, _MIN_TOKENS), _MAX_TOKENS)
        return int(f"{tokens:.1e}".partition("e")[0].replace(".", "")) * 10 ** (len(str(tokens)) - 2)

    @property
    def minutes(self) -> int:
        """The approximate duration of the training and scoring."""
        tokens = self.max_tokens + self.max_rows * self.heldout_tokens
        return max(1, round(len(SEEDS) * _POOLS * tokens / _TOKENS_PER_SECOND / 60))

    @property
    def max_rows(self) -> int:
        """The number of held-out texts to score."""
        return max(10, _HELDOUT_TOKENS // max(1, self.heldout_tokens))

    def text(self) -> str:
        """The file's content."""
        data, heldout, text_field, name = (
            json.dumps(escape(value), ensure_ascii=False)
            for value in (self.data, self.heldout, self.text_field, self.name)
        )
        shown_data, n_models = json.dumps(self.data, ensure_ascii=False)[1:-1], len(SEEDS) * _POOLS
        is_large = self.tokens > 400_000
        vocab_size, width = (2000, 128) if is_large else (600, 64)
        return f"""# Which texts of {shown_data} does a language model learn most from?
#
# Two filters measure each row; each divides the rows into a low and a high half; a control pool of the same size is
# drawn at random. {len(SEEDS)} small models are trained from scratch on each pool with the same number of tokens, and
# scored on held-out texts. The run ends with a ranking of the pools against the control, with 95% intervals.
#
# Takes:  about {self.minutes} minutes on 2 cores ({n_models} models). Relative paths start at the current folder.
# Check:  dj-sandbox validate {self.file}
# Run:    dj-sandbox {self.file}
# To continue after a stop: --resume true. To try another value: --set vars.max_tokens=50000

project_name: {name}
work_dir: ./outputs/${{project_name}}

vars:
  data: {data} # {self.rows:,} rows, about {self.tokens:,} tokens
  heldout: {heldout} # no model is trained on these
  text_field: {text_field}
  seeds: {list(SEEDS)} # of the weights and the order of the rows; more seeds give narrower intervals
  max_tokens: {self.max_tokens} # budget of each model; more tokens give a clearer answer and take longer

pipelines:
  pools:
    probe_job_configs:
      - hook: ProbeViaAnalyzerHook # 1. compute the stats of each row
        meta_name: stats
        output: analyzed
        dj_configs:
          dataset_path: ${{vars.data}}
          export_path: ${{work_dir}}/stats/data.jsonl
          text_keys: ${{vars.text_field}}
          process: # other OPs: https://github.com/datajuicer/data-juicer (docs/Operators.md)
            - {_FILTERS[0]}: # stat text_len: characters
            - {_FILTERS[1]}: # stat special_char_ratio: share of symbols
    execution_job_configs:
      - hook: DataPoolManipulationHook # 2. two pools per stat, and the control
        meta_name: construct
        input: {{extra_configs.dataset_path: stats.analyzed}}
        output: pools
        extra_configs:
          type: data_pool_construction
          export_path: ${{work_dir}}/pools
          split_ratios: [1/2] # [1/3, 2/3] for low, middle, high
          remainder: drop # all pools have the same number of rows
          with_control: true

  models:
    execution_job_configs:
      - hook: TrainModelHook # 3. one model per pool and seed
        meta_name: train
        input: {{extra_configs.dataset_path: pools.construct.pools}}
        output: models
        extra_configs:
          type: huggingface # method: lora, with a `model`, fine-tunes a real model instead
          export_path: ${{work_dir}}/models
          text_key: ${{vars.text_field}}
          seeds: ${{vars.seeds}}
          max_tokens: ${{vars.max_tokens}}
          vocab_size: {vocab_size}
          n_layer: 2
          n_embd: {width}
    evaluation_job_configs:
      - hook: EvaluateModelHook # 4. bits per byte of the held-out texts: less is better
        meta_name: score
        input: {{extra_configs.model: train.models}}
        output: [scores, summary]
        extra_configs:
          type: huggingface_perplexity
          dataset_path: ${{vars.heldout}}
          text_key: ${{vars.text_field}}
          max_rows: {self.max_rows} # about {self.max_rows * self.heldout_tokens:,} tokens

  ranking:
    probe_job_configs:
      - hook: GeneralProbeHook # 5. order the pools by their change against the control
        meta_name: rank
        input:
          extra_configs.dataset_path: pools.construct.pools
          extra_configs.metrics: models.score.scores
        output: best_first
        extra_configs:
          type: data_pool_ranking
          match_key: train_dataset
          ranking_keys: bits_per_byte
          descending: false # fewer bits per byte are better
          baseline: control
"""
