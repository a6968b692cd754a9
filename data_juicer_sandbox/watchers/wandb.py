"""Weights & Biases, used only if it is configured. It never prompts, and offline mode needs no account."""

from __future__ import annotations

import configparser
import json
import netrc
import os
import queue
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from loguru import logger

from data_juicer_sandbox.config.schema import ANONYMOUS
from data_juicer_sandbox.errors import WorkDirError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.imports import libraries, load
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.types import LibraryObject
from data_juicer_sandbox.watchers.base import RunInfo, Tracker

RUN_FILE = "wandb_run.json"
TIMEOUT = 60.0
"""Timeout of the server in seconds."""
MAX_QUEUED = 200_000
"""Calls that wait for W&B; beyond that, jobs wait for it."""
MANY = 20_000
"""Calls that take W&B more than a few seconds, so that the user is told what the end of the run waits for."""
Call = Callable[[LibraryObject], None]
"""Something to do with the library's run."""


def configured() -> bool:
    """Whether W&B has a key, a login or offline mode. Checks without importing wandb."""
    mode = os.environ.get("WANDB_MODE") or _settings().get("mode", "")
    if mode in ("disabled", "dryrun", "offline"):
        return mode != "disabled"
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE") or _settings().get("api_key"):
        return True
    return _in_netrc(os.environ.get("WANDB_BASE_URL") or _settings().get("base_url") or "https://api.wandb.ai")


class WandbTracker(Tracker):
    """One W&B run for a work directory: a resumed run continues it.

    A metric is named `<job>.<key>`, with the prefix `<pipeline>.` if the pipeline has a name; its axis is the job's
    step.

    W&B is imported and opened in a thread when the first job starts, and gets all values there, in their order: no job
    waits for it, only the end of the run does.
    """

    requires = libraries("wandb", "wandb")

    def __init__(self, run: RunInfo):
        super().__init__(run)
        self._file = run.work_dir / RUN_FILE
        if not run.resume:
            self._file.unlink(missing_ok=True)
        self._calls: queue.Queue[Call | None] = queue.Queue(MAX_QUEUED)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, pipeline: str, job: str, config: Mapping[str, object] | None, time: float) -> None:
        """Open the W&B run if it is not open yet, and record the job's config."""
        name = _name(pipeline, job)

        def define(run: LibraryObject) -> None:
            run.define_metric(f"{name}.step", hidden=True)
            run.define_metric(f"{name}.*", step_metric=f"{name}.step", step_sync=False)  # every row names its step
            if config is not None:
                run.config.update({name: dict(config)}, allow_val_change=True)

        self._call(define)

    def watch(self, pipeline: str, job: str, values: Mapping[str, object], step: int | None, time: float) -> None:
        """Log the values in one call; those without a step also go into the run's summary table."""
        name = _name(pipeline, job)
        row = {f"{name}.{key}": value for key, value in values.items() if value is not None}
        if step is not None:
            row[f"{name}.step"] = step
        self._call(lambda run: run.log(row))

    def close(self) -> None:
        """Finish the W&B run, after all values."""
        if self._thread is not None:
            if self._calls.qsize() > MANY:
                logger.warning(
                    "W&B still has to write {:,} sets of values; the run ends after that", self._calls.qsize()
                )
            self._calls.put(None)
            self._thread.join()
            self._thread = None
            self._raise_error()

    def _call(self, call: Call) -> None:
        """Let the thread make a call.

        Raises:
            BaseException: an earlier call failed.
        """
        self._raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(self._run_id(),), name="W&B", daemon=True)
            _guard_forks()
            self._thread.start()
        self._calls.put(call)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self, run_id: str) -> None:
        """Open the run, make all calls, and finish it; runs in the thread."""
        calls = iter(self._calls.get, None)
        try:
            with _no_fork:
                run = self._open(run_id)
            for call in calls:
                with _no_fork:
                    call(run)
            run.finish()
        except BaseException as error:  # also SystemExit; the next call in the main thread raises it
            self._error = error
            deque(calls, maxlen=0)  # so that nothing waits for space in the queue

    def _open(self, run_id: str) -> LibraryObject:
        wandb = load("wandb", extra="wandb")
        settings = wandb.Settings(
            silent=True,
            console="off",  # the sandbox writes the terminal and the log itself
            init_timeout=TIMEOUT,
            login_timeout=1,
            x_disable_meta=True,  # it would record the command line unmasked
            save_code=False,
        )
        wandb.termsetup(settings, None)  # `init` would first tell which settings files it reads
        return wandb.init(
            id=run_id,
            project=self.run.project,
            name=self.run.experiment,
            group=self.run.group,
            config=dict(self.run.config),
            dir=str(self.run.work_dir.absolute()),
            resume="allow" if not offline() else None,
            reinit="create_new",  # each trial of a search has its own run, next to that of the search
            settings=settings,
        )

    def _run_id(self) -> str:
        if self._file.is_file():
            try:
                return str(loads(self._file.read_text(encoding="utf-8"))["id"])
            except (ValueError, LookupError, TypeError) as error:
                raise WorkDirError(f"no id of a W&B run: {error}", where=str(self._file), hint="remove it") from error
        run_id = uuid.uuid4().hex[:12]
        with replacing(self._file, durable=True) as part:
            part.write_text(json.dumps({"id": run_id, "project": self.run.project}) + "\n", encoding="utf-8")
        return run_id


_no_fork = threading.RLock()
"""Is held while W&B runs in the thread. A process that is forked in the middle of an import could never import the same
module: its lock would stay locked."""


@cache
def _guard_forks() -> None:
    """Let forks of this process wait for a call of W&B that is running."""
    os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release)


def _name(pipeline: str, job: str) -> str:
    return job if pipeline == ANONYMOUS else f"{pipeline}.{job}"


def offline() -> bool:
    """Whether W&B writes files only."""
    return (os.environ.get("WANDB_MODE") or _settings().get("mode", "")) in ("offline", "dryrun")


def _settings() -> dict[str, str]:
    """The values of W&B's settings files: the user's, overridden by that of the current folder."""
    settings: dict[str, str] = {}
    user = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser() / "settings"
    for path in (user, Path(os.environ.get("WANDB_DIR") or ".") / "wandb" / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # W&B treats an unreadable file as empty, too
        settings.update(parser["default"] if parser.has_section("default") else {})
    return settings


def _in_netrc(url: str) -> bool:
    candidates = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    path = next((path for path in (Path(candidate).expanduser() for candidate in candidates) if path.is_file()), None)
    try:
        login = netrc.netrc(path).authenticators(urlsplit(url).netloc) if path else None
    except (netrc.NetrcParseError, OSError):
        return False
    return bool(login and login[2])
