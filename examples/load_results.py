"""Read the results of a run with `dj.load_results`: its jobs as a DataFrame, a comparison, and the best of it.

This works for a run that has ended, has failed or is running now. Run examples/run_experiment.py first.

Usage: python examples/load_results.py [WORK_DIR]
"""

from __future__ import annotations

import sys

import pandas as pd

import data_juicer_sandbox as dj


def main(work_dir: str) -> None:
    """Print the jobs of a run, the accuracies of its evaluated data sets, and the best of them."""
    results = dj.load_results(work_dir)
    print(results.jobs[["job", "hook", "status", "seconds"]].to_string(index=False))
    comparison = pd.DataFrame(results["anonymous.score.results"]).sort_values("accuracy", ascending=False)
    print(comparison.to_string(index=False))
    best = comparison.iloc[0]
    print(f"best: {best['dataset']} with accuracy {best['accuracy']:.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "outputs/run_experiment/run")
