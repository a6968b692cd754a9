"""The command of a trial on a cluster: `python -m data_juicer_sandbox.search.trial_worker FOLDER` runs it.

The folder lies in the trial's own folder:

    task.pkl       the config, the values of the parameters, the records of the shared jobs (mode 0600)
    reports.jsonl  the intermediate values, for the pruner
    prune          the run has created it: the trial ends at its next intermediate value
    log.txt        what the process writes to its standard streams
    result.pkl     written last
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from data_juicer_sandbox.code_policy import code_policy
from data_juicer_sandbox.config.loader import load_source
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.config.yaml_source import Source
from data_juicer_sandbox.context.infos import JobRecord
from data_juicer_sandbox.engine.job_runner import cause
from data_juicer_sandbox.errors import ConfigErrors
from data_juicer_sandbox.files import open_append
from data_juicer_sandbox.interruption import EXIT_CODE, interruptible
from data_juicer_sandbox.parallel.tasks import RESULT, TASK, TaskError, digest_of, read_plain, write_plain
from data_juicer_sandbox.search.controller import FAILED, TrialResult, TrialSpec
from data_juicer_sandbox.search.executors import worker_trials
from data_juicer_sandbox.terminal import logs
from data_juicer_sandbox.types import LibraryObject
from data_juicer_sandbox.watchers.base import to_json
from data_juicer_sandbox.watchers.local import CONFIG_FILE

REPORTS, PRUNE = "reports.jsonl", "prune"


@dataclass(frozen=True)
class TrialTask:
    """A trial that is to run in another process.

    Args:
        spec: its number and values.
        file: the path of the config, for messages and relative paths.
        content: what the config says, flags included.
        shared: pipeline and plain record of the jobs that all trials share.
        trust_checkpoint: whether checkpoints of earlier versions may be read.
        untrusted: whether the config is somebody else's.
        cwd: the working folder.
        path: the module path.
    """

    spec: TrialSpec
    file: str
    content: dict[str, LibraryObject]
    shared: Sequence[tuple[str, LibraryObject]]
    trust_checkpoint: bool
    untrusted: bool
    cwd: str
    path: tuple[str, ...]

    @classmethod
    def of(
        cls,
        spec: TrialSpec,
        config: SandboxConfig,
        shared: Sequence[tuple[str, JobRecord]],
        *,
        trust: bool,
        untrusted: bool,
    ) -> TrialTask:
        """The task of a trial of this run."""
        records = [(pipeline, record.plain()) for pipeline, record in shared]
        path = tuple(entry or os.curdir for entry in sys.path)
        content = dict(config.content)
        return cls(spec, config.source.file, content, records, trust, untrusted, str(Path.cwd()), path)

    def write(self, folder: Path) -> bool:
        """Write the task into its folder, unless the folder has its result.

        Returns:
            whether it is to be run.
        """
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content = {**values, "spec": {**asdict(self.spec), "again": False}}
        key = digest_of(content)
        if (read_plain(folder / TASK) or {}).get("key") == key:  # a process of an earlier run may still be running it
            return read_result(folder) is None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in (RESULT, REPORTS, PRUNE):
            (folder / name).unlink(missing_ok=True)
        write_plain(folder / TASK, {"key": key, "task": content})
        return True

    @classmethod
    def read(cls, folder: Path) -> tuple[TrialTask, str]:
        """The task of a folder, and the digest of all that it says.

        Raises:
            TaskError: there is none.
        """
        content = read_plain(folder / TASK)
        if content is None:
            raise TaskError(f"{folder} holds no trial")
        task = content["task"]
        return cls(**{**task, "spec": TrialSpec(**task["spec"])}), content["key"]


def read_result(folder: Path) -> TrialResult | None:
    """The result of the trial; None if it has not ended. One that belongs to another trial is ignored."""
    content, task = read_plain(folder / RESULT), read_plain(folder / TASK)
    if content is None or task is None or content["key"] != task["key"]:
        return None
    return TrialResult(**content["result"])


def run_trial(folder: Path) -> None:
    """Run the trial of a folder and write its result.

    Raises:
        KeyboardInterrupt: it was interrupted; the next run continues it.
    """
    task, key = TrialTask.read(folder)
    os.chdir(task.cwd)
    sys.path[:0] = [entry for entry in task.path if entry not in sys.path]
    logs.setup(folder.parent / logs.FILE, debug=False, file_only=True)
    try:
        with code_policy(untrusted=task.untrusted), open_append(folder / REPORTS) as reports:

            def report(step: int, value: float) -> bool:
                reports.write(json.dumps({"step": step, "value": to_json(value)}).encode() + b"\n")
                return (folder / PRUNE).exists()

            config, errors = load_source(Source(task.file, task.content), {}, {})
            if config is None or errors:
                raise ConfigErrors(errors)
            if config.sweep is None:
                raise TaskError("the config names no search")
            trials = worker_trials(config, config.sweep, task.shared, task.trust_checkpoint)
            trials.run_context = replace(trials.run_context, log=folder.parent / logs.FILE)
            # The run has prepared the folder. If it holds a config, an earlier process has begun the trial.
            result = trials.run(replace(task.spec, again=(folder.parent / CONFIG_FILE).exists()), report)
    except Exception as error:
        result = TrialResult(FAILED, error=cause(error))
    finally:
        logs.close()
    write_plain(folder / RESULT, {"key": key, "result": asdict(result)})


def main() -> int:
    """Run the trial of the folder that the command line names."""
    try:
        with interruptible():
            run_trial(Path(sys.argv[1]))
    except KeyboardInterrupt:
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
