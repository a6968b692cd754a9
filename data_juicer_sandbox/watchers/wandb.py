"""Weights & Biases, used only if it is configured. It never prompts, and offline mode needs no account."""

from __future__ import annotations

import configparser
import json
import netrc
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

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
    """

    requires = libraries("wandb", "wandb")

    def __init__(self, run: RunInfo):
        super().__init__(run)
        self._file = run.work_dir / RUN_FILE
        if not run.resume:
            self._file.unlink(missing_ok=True)
        self._wandb: LibraryObject = None  # the library's run, opened by the first job that starts

    def start(self, pipeline: str, job: str, config: Mapping[str, object] | None, time: float) -> None:
        """Open the W&B run if it is not open yet, and record the job's config."""
        run, name = self._open(), _name(pipeline, job)
        run.define_metric(f"{name}.step", hidden=True)
        run.define_metric(f"{name}.*", step_metric=f"{name}.step", step_sync=False)  # every row names its step
        if config is not None:
            run.config.update({name: dict(config)}, allow_val_change=True)

    def watch(self, pipeline: str, job: str, values: Mapping[str, object], step: int | None, time: float) -> None:
        """Log the values in one call; those without a step also go into the run's summary table."""
        name = _name(pipeline, job)
        step_value = {} if step is None else {f"{name}.step": step}
        self._open().log(
            {**{f"{name}.{key}": value for key, value in values.items() if value is not None}, **step_value}
        )

    def close(self) -> None:
        """Finish the W&B run."""
        if self._wandb is not None:
            self._wandb.finish()

    def _open(self) -> LibraryObject:
        if self._wandb is None:
            wandb = load("wandb", extra="wandb")
            self._wandb = wandb.init(
                id=self._run_id(),
                project=self.run.project,
                name=self.run.experiment,
                group=self.run.group,
                config=dict(self.run.config),
                dir=str(self.run.work_dir),
                resume="allow" if not offline() else None,
                reinit="create_new",  # each trial of a search has its own run, next to that of the search
                settings=wandb.Settings(
                    silent=True,
                    console="off",  # the sandbox writes the terminal and the log itself
                    init_timeout=TIMEOUT,
                    login_timeout=1,
                    x_disable_meta=True,  # it would record the command line unmasked
                    save_code=False,
                ),
            )
        return self._wandb

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
