"""What a job costs does not grow with the number of jobs: counted, not timed."""

import json
from pathlib import Path

from data_juicer_sandbox.output_guard import OutputLedger


def test_the_ledger_of_written_files_is_read_once_a_run(go, monkeypatch):
    """Each job looks whether the run wrote its output before; reading all lines each time took most of a long run."""
    jobs = [
        {
            "hook": "GeneralDataExecutorHook",
            "meta_name": f"j{n}",
            "extra_configs": {"type": "toy_lab.steps.MakeRows", "rows": 1, "export_path": f"{n}.jsonl"},
        }
        for n in range(12)
    ]
    opened = []
    monkeypatch.setattr(OutputLedger, "__init__", counting(OutputLedger.__init__, opened))
    assert go({"work_dir": "out", "execution_job_configs": jobs}) == 0
    before = len(jobs)  # validation has one for each job, which it does not read
    assert len(opened) == before + 1
    lines = [json.loads(line) for line in Path("out/written_files.jsonl").read_text().split("\n") if line]
    assert [Path(line["path"]).name for line in lines] == [f"{n}.jsonl" for n in range(12)]


def counting(function, calls):
    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call
