"""The k-sigma chain (probe, refine, process, probe) through `dj-sandbox`, against the same calls of py-data-juicer.

Both sides draw the figures of Data-Juicer, so that they do the same work; the third row is the sandbox with its
defaults, without figures.
Each run is a process of its own that imports Data-Juicer once; the sides take turns.

python benchmarks/k_sigma_chain.py [ROUNDS [ROWS [BASE]]]

BASE is the folder of another version of the sandbox, which is measured with its defaults as well.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

import yaml
from timing import ROOT, SANDBOX, measured

PROCESS = [
    {"text_length_filter": {"min_len": 10}},
    {"words_num_filter": {"min_num": 1}},
    {"alphanumeric_filter": {"min_ratio": 0.05}},
    {"special_characters_filter": {"max_ratio": 0.9}},
    {"average_line_length_filter": {"min_len": 1}},
]
GOAL = 1.15
SIDES = {
    "direct": "py-data-juicer, called directly",
    "sandbox": "the sandbox, with figures",
    "bare": "the sandbox with its defaults",
    "base": "the sandbox of BASE with its defaults",
}

DIRECT = """
import json, sys
from data_juicer.config import init_configs
from data_juicer.core import Analyzer, DefaultExecutor
from data_juicer.tools.hpo.execute_hpo_3sigma import modify_recipe_k_sigma

def config(name, **change):
    recipe = {**json.load(open("direct.json")), "ds_cache_dir": "direct/cache", **change}
    json.dump(recipe, open(name, "w"))
    return init_configs(["--config", name], load_configs_only=True)

probe = config("before.json", export_path="direct/before.jsonl", export_original_dataset=True)
analyzer = Analyzer(probe)
analyzer.run()
modify_recipe_k_sigma(probe, analyzer.overall_result, None, 3)
process = [{name: {key: args[key] for key in args if key.startswith(("min_", "max_"))}
            for name, args in entry.items()} for entry in probe.process]
whole = ("text_length_filter", "words_num_filter", "average_line_length_filter")
for entry in process:  # it writes floats where an OP wants whole numbers, and then its own check refuses them
    for name, args in entry.items():
        bounds = {key: args[key] for key in args if not key.endswith("_closed_interval")}
        entry[name] = {key: int(value) for key, value in bounds.items()} if name in whole else bounds
DefaultExecutor(config("refined.json", export_path="direct/kept.jsonl", process=process)).run()
after = {"dataset_path": "direct/kept.jsonl", "export_path": "direct/after.jsonl", "export_original_dataset": True}
Analyzer(config("after.json", **after)).run()
"""


def write_rows(path: Path, rows: int) -> None:
    rng = random.Random(7)
    words = ["alpha", "beta", "gamma", "the", "of", "data", "(x+1)", "42", "return", "model", "--", "été"]
    with path.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            lines = [" ".join(rng.choices(words, k=rng.randint(1, 25))) for _ in range(rng.randint(1, 8))]
            stream.write(json.dumps({"text": "\n".join(lines), "id": number}, ensure_ascii=False) + "\n")


def sandbox(name: str, *, plots: bool) -> dict[str, object]:
    """The chain as a config."""

    def probe(meta_name: str, **job: object) -> dict[str, object]:
        extra = {"extra_configs": {"plots": True}} if plots else {}
        return {"hook": "ProbeViaAnalyzerHook", "meta_name": meta_name, "dj_configs": f"{name}.json", **extra, **job}

    return {
        "work_dir": name,
        "probe_job_configs": [probe("before", output="rows")],
        "refine_recipe_job_configs": [
            {
                "hook": "RefineRecipeViaKSigmaHook",
                "meta_name": "refine",
                "output": "recipe",
                "dj_configs": f"{name}.json",
                "extra_configs": {"probe": "before"},
            }
        ],
        "execution_job_configs": [
            {
                "hook": "ProcessDataHook",
                "meta_name": "process",
                "output": "kept",
                "dj_configs": f"{name}.json",
                "input": {"dj_configs": "refine.recipe"},
            }
        ],
        "evaluation_job_configs": [probe("after", output="rows", input={"dj_configs.dataset_path": "process.kept"})],
    }


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 3
    rows = int(sys.argv[2]) if sys.argv[2:] else 20_000
    base = Path(sys.argv[3]).resolve() if sys.argv[3:] else None
    times: dict[str, list[float]] = {side: [] for side in SIDES if side != "base" or base}
    peaks: dict[str, list[float]] = {side: [] for side in times}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        for side in times:
            recipe = {"dataset_path": "rows.jsonl", "np": 2, "process": PROCESS, "export_path": f"{side}/kept.jsonl"}
            (folder / f"{side}.json").write_text(json.dumps(recipe))
            (folder / f"{side}.yaml").write_text(
                yaml.safe_dump(sandbox(side, plots=side == "sandbox"), sort_keys=False)
            )
        # A cache that is left over would do its work for it.
        (folder / "direct.py").write_text("import shutil; shutil.rmtree('direct', ignore_errors=True)\n" + DIRECT)
        for number in range(rounds + 1):  # a first round on few rows: it reads the libraries from the disk
            write_rows(folder / "rows.jsonl", rows if number else 200)
            for side, kept in times.items():
                command = [sys.executable, "direct.py"] if side == "direct" else [*SANDBOX, "--config", f"{side}.yaml"]
                took, peak = measured(command, folder, base if base and side == "base" else ROOT)
                if number:
                    kept.append(took)
                    peaks[side].append(peak)
                    print(f"{side} {took:.1f} s {peak:.0f} MB", file=sys.stderr, flush=True)
        same_rows(folder / "direct/kept.jsonl", folder / "sandbox/kept.jsonl")
    direct = statistics.median(times["direct"])
    print(f"| k-sigma chain on {rows:,} rows, median of {rounds} | seconds | ratio | goal | peak MB |")
    print("|---|---|---|---|---|")
    for side, kept in times.items():
        median, peak = statistics.median(kept), statistics.median(peaks[side])
        goal = "" if side == "direct" else GOAL
        print(f"| {SIDES[side]} | {median:.1f} | {median / direct:.2f} | {goal} | {peak:.0f} |")


def same_rows(direct: Path, ours: Path) -> None:
    """Both sides did the same work: bounds that are rounded inward or outward may differ in a row or two."""
    counts = [sum(1 for _ in path.open("rb")) for path in (direct, ours)]
    if abs(counts[0] - counts[1]) > counts[0] // 500 + 2:
        sys.exit(f"the two sides kept {counts[0]} and {counts[1]} rows")


if __name__ == "__main__":
    main()
