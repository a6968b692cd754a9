"""What many tests use: configs written to files, and `dj-sandbox` run in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

settings.register_profile("sandbox", deadline=None)  # no test asserts a time, this way neither
settings.load_profile("sandbox")
os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports a library that reads it
# Processes that tests start use compiled modules, as an installed package does; each would compile 130 modules itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# `nohup` and background commands of a shell ignore these signals; the processes that tests interrupt would inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
SUPPORT = Path(__file__).parent / "support"
sys.path.insert(0, str(SUPPORT))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's shell reaches a test; no test reaches W&B or a hub; the environment is active."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in list(os.environ):
        if name.startswith(("DJ_SANDBOX_", "WANDB_")) or name in ("OPENAI_API_KEY", "HF_TOKEN"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _declared_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """No built-in component reports a metric that it does not declare."""
    import reported_metrics

    reported_metrics.check_all_reports(monkeypatch)


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a config, a mapping or a text, into a folder that is the current one from then on."""
    monkeypatch.chdir(tmp_path)

    def write(value: Any, name: str = "sandbox.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False))
        return path

    return write


@pytest.fixture
def dj_sandbox(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `dj-sandbox` in a process of its own, in the test's folder."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "data_juicer_sandbox.cli.main", *arguments],
            cwd=options.pop("cwd", tmp_path),
            env={**os.environ, "PYTHONPATH": str(SUPPORT), **options.pop("env", {})},
            text=True,
            capture_output=True,
            timeout=options.pop("timeout", 120),
            check=False,
            **options,
        )

    return call


@pytest.fixture
def support_path() -> str:
    """The folder of the toy components, for PYTHONPATH."""
    return str(SUPPORT)
