"""`run.json`: what ran in a work directory, when, with which versions, on which machine, and how it ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import xxhash
from loguru import logger

import data_juicer_sandbox
from data_juicer_sandbox.components.processes.hardware import cores, visible_gpus
from data_juicer_sandbox.config.schema import SandboxConfig
from data_juicer_sandbox.context.infos import ContextInfos
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import move_aside, open_regular, replacing
from data_juicer_sandbox.installation import checkout
from data_juicer_sandbox.plain_json import flatten, loads
from data_juicer_sandbox.secrets import mask, mask_text, shorten
from data_juicer_sandbox.types import JsonValue
from data_juicer_sandbox.workflow.fingerprints import content_of
from data_juicer_sandbox.workflow.planned_job import PlannedJob

FILE = "run.json"
MAX_RUNS = 100
"""Earlier runs of the work directory that the file keeps."""
RUNNING, DONE, FAILED, INTERRUPTED, KILLED = "running", "done", "failed", "interrupted", "killed"
PACKAGES = (
    "py-data-juicer", "torch", "transformers", "datasets", "tokenizers", "safetensors", "accelerate", "peft", "trl",
    "vllm", "modelscope", "openai", "lm-eval", "evalscope", "optuna", "ray", "wandb", "pandas", "pyarrow", "numpy",
    "msgspec", "pyyaml", "zstandard",
)  # fmt: skip
"""The packages whose versions are recorded, if they are installed."""
_GIT_SECONDS = 0.005
"""Seconds that the end of a run waits for git, which has had the whole run to answer."""
_LONGEST = 2_000
"""Characters of an error, and of an argument of the command line."""


@contextmanager
def recorded_run(
    config: SandboxConfig, planned_jobs: Sequence[PlannedJob], context: ContextInfos, forced: Collection[str] = ()
) -> Iterator[None]:
    """Write `run.json` when the block starts, and again when it ends. A file that cannot be written fails no run.

    Args:
        config: the config of the run.
        planned_jobs: its jobs.
        context: the records of its jobs.
        forced: the ids of the jobs to redo.
    """
    path = Path(config.work_dir) / FILE
    entry = {**_start(config, planned_jobs, forced), "jobs": {}, "runs": earlier_runs(path)}
    git = _start_git()
    _write(path, entry)
    try:
        yield
    except BaseException as error:
        _write(path, {**entry, **_end(entry, context, git, error)})
        raise
    _write(path, {**entry, **_end(entry, context, git, None)})


def earlier_runs(path: Path) -> list[JsonValue]:
    """The entries of the runs that a `run.json` contains, oldest first, without the digests of their inputs.

    Another file of this name, such as one of the user's, gets a dated name.
    """
    try:
        with open_regular(path) as stream:
            last = loads(stream.read())
        runs = last.pop("runs")
        is_own = isinstance(last["version"], int) and isinstance(last["command"], list) and isinstance(runs, list)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_own = False
    if not is_own:
        try:
            logger.warning("{} was not written by a run; it was renamed to {}", path, move_aside(path))
        except OSError as error:
            logger.warning("{} is damaged: {}", path, error)
        return []
    last.pop("jobs", None)
    if last.get("status") == RUNNING:  # this run has the lock of the work directory, so that one has ended
        last["status"] = KILLED
    return [*runs, last][-MAX_RUNS:]


def _start(config: SandboxConfig, planned_jobs: Sequence[PlannedJob], forced: Collection[str]) -> dict[str, JsonValue]:
    system = os.uname()
    folder = checkout()
    return {
        "version": 1,
        "status": RUNNING,
        "exit_code": None,
        "error": None,
        "started": time.time(),
        "ended": None,
        "command": [shorten(mask_text(str(argument)), _LONGEST, "...") for argument in mask(sys.argv)],
        "folder": str(Path.cwd()),
        "config": {"file": config.source.file, "digest": _digest(planned_jobs)},
        "resume": config.resume,
        "forced": sorted(forced),
        "seeds": _seeds(planned_jobs),
        "program": {
            "version": data_juicer_sandbox.__version__,
            "commit": None if folder is None else _commit(folder),
            "changed": None,
        },
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": _versions(),
        "host": system.nodename,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }


def _end(
    entry: Mapping[str, JsonValue],
    context: ContextInfos,
    git: subprocess.Popen[str] | None,
    error: BaseException | None,
) -> dict[str, JsonValue]:
    status, exit_code = DONE, 0
    if isinstance(error, KeyboardInterrupt):
        status, exit_code = INTERRUPTED, 130
    elif error is not None:
        status, exit_code = FAILED, error.exit_code if isinstance(error, SandboxError) else 1
    jobs = {
        f"{pipeline}.{record.meta_name}": {
            "inputs": {path: content_of(stamp) for path, stamp in record.provenance.inputs.items()}
        }
        for pipeline, record in context.records()
        if record.provenance.inputs
    }
    return {
        "status": status,
        "exit_code": exit_code,
        "error": None if error is None else shorten(mask_text(str(error)), _LONGEST, "...") or type(error).__name__,
        "ended": time.time(),
        "program": {**entry["program"], "changed": _is_changed(git)},
        "jobs": jobs,
    }


def _write(path: Path, content: Mapping[str, JsonValue]) -> None:
    try:
        with replacing(path) as part:
            part.touch(mode=0o600)
            text = json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, SandboxError) as error:
        logger.warning("{} could not be written: {}", path, error)


def _digest(planned_jobs: Sequence[PlannedJob]) -> str:
    """The digest of the jobs with their configs from all files, variables filled in, secrets masked."""
    jobs = []
    for planned_job in planned_jobs:
        job = planned_job.job
        settings = [dict(job.input), job.output, dict(job.local), dict(job.updates)]
        configs = [config.value or config.missing for config in (planned_job.recipe, planned_job.extra)]
        jobs.append([job.id, job.hook, *settings, *configs])
    return str(xxhash.xxh3_128_hexdigest(json.dumps(mask(jobs), sort_keys=True, default=str).encode()))


def _seeds(planned_jobs: Sequence[PlannedJob]) -> dict[str, JsonValue]:
    """The random seeds that the configs set, by dotted key."""
    seeds = {}
    for planned_job in planned_jobs:
        configs = {"dj_configs": planned_job.recipe.value, "extra_configs": planned_job.extra.value}
        for key, value in flatten({planned_job.job.label: configs}):
            if any(part == "seeds" or part == "seed" or part.endswith("_seed") for part in key.split(".")):
                seeds[key] = value
    return seeds


def _versions() -> dict[str, str]:
    """The versions of the packages, by the names of their folders: `importlib.metadata` takes 40 times as long."""
    versions: dict[str, str] = {}
    for folder in sys.path:
        with suppress(OSError):
            for entry in os.scandir(folder or "."):
                if entry.name.endswith((".dist-info", ".egg-info")):
                    name, _, version = entry.name.rpartition(".")[0].partition("-")
                    versions.setdefault(name.lower().replace("_", "-").replace(".", "-"), version)
    return {name: versions[name] for name in PACKAGES if name in versions}


def _gpus() -> list[str]:
    """The models of the GPUs that NVIDIA's driver lists; their numbers if it lists none."""
    models = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            lines = file.read_text(errors="replace").splitlines()
            models += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return models or [f"GPU {name}" for name in visible_gpus()]


def _commit(folder: Path) -> str | None:
    """The commit of a clone, read from its files; None if they have another form."""
    try:
        git = folder / ".git"
        if git.is_file():  # a further working tree of a clone
            git = folder / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        common = git / (git / "commondir").read_text().strip() if (git / "commondir").is_file() else git
        if (common / name).is_file():
            return (common / name).read_text().strip()
        packed = (common / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
    except (OSError, ValueError, IndexError):
        return None


def _start_git() -> subprocess.Popen[str] | None:
    """Ask git whether files of the clone were changed; the answer is read when the run ends."""
    folder, program = checkout(), shutil.which("git")
    if folder is None or program is None or not (folder / ".git").exists():
        return None
    command = [program, "--no-optional-locks", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return None


def _is_changed(git: subprocess.Popen[str] | None) -> bool | None:
    """Whether files of the clone were changed; None if git has not answered."""
    if git is None:
        return None
    try:
        output, _ = git.communicate(timeout=_GIT_SECONDS)
    except (subprocess.TimeoutExpired, ValueError, OSError):
        git.kill()
        git.communicate()
        return None
    return bool(output.strip()) if git.returncode == 0 else None
