"""The program of `light_constructor`: imports a class and calls its constructor in a process of its own.

It is run as a script and imports only the standard library before it begins, so that every import of the class shows.
It reads a pickled request from its standard input and prints a JSON object.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any

WORK = (
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect", "socket.getaddrinfo",
    "socket.bind", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.link", "shutil.rmtree",
)  # fmt: skip
"""Audit events of work that no constructor does."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


class Recorder:
    """Records the files that are opened and the other work, while `active`.

    Args:
        readable: a folder whose files must not be read.
        writable: a folder in which everything is allowed.
    """

    def __init__(self, readable: str, writable: str | None):
        self.readable, self.writable = Path(readable), None if writable is None else Path(writable)
        self.active = False
        self.events: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit event of the interpreter."""
        if not self.active or (event != "open" and event not in WORK):
            return
        first = arguments[0] if arguments else ""
        name = os.fsdecode(first) if isinstance(first, (str, bytes, os.PathLike)) else ""
        if "__pycache__" in name or name == os.devnull:
            return
        path = Path(os.path.realpath(name)) if name else Path(os.sep)
        on_disk = not event.startswith(("socket.", "subprocess."))
        if self.writable is not None and on_disk and path.is_relative_to(self.writable):
            return
        if event != "open":
            self.events.append(f"{event} {name}".strip())
        elif name and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            self.events.append(f"writes {name}")
        elif name and path.is_relative_to(self.readable):
            self.events.append(f"reads {name}")


def load(module: str, file: str | None, name: str) -> Any:
    """The class; a module that cannot be imported by its name, as one of a test, is loaded from its file."""
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        if file is None:
            raise
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
    for part in name.split("."):
        loaded = getattr(loaded, part)
    return loaded


def main() -> None:
    """Answer one request."""
    request = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    sys.path[:] = request["path"]
    os.chdir(request["folder"])
    recorder = Recorder(os.path.realpath(request["folder"]), request.get("writable"))
    sys.addaudithook(recorder)
    answer: dict[str, object] = {}
    try:
        cls = load(request["module"], request["file"], request["name"])
        answer["imported"] = sorted(sys.modules)
        if "values" in request:
            from data_juicer_sandbox.signatures import build, check

            check(cls, request["values"])  # imports what the check of the types needs
            make = lambda: build(cls, request["values"])  # noqa: E731
        elif "run" in request:
            from data_juicer_sandbox.watchers.base import RunInfo

            run = RunInfo(work_dir=Path(request["run"]), project="p", experiment="e", config={"a": 1}, resume=True)
            make = lambda: cls(run)  # noqa: E731
        else:
            make = lambda: None  # noqa: E731
        before = set(sys.modules)
        started = time.process_time()
        recorder.active = True
        built = make()
        recorder.active = False
        answer["seconds"] = time.process_time() - started
        answer["constructed"] = sorted(set(sys.modules) - before)
        answer["events"] = list(dict.fromkeys(recorder.events))
        del built
    except BaseException as error:
        recorder.active = False
        answer["error"] = f"{type(error).__name__}: {error}"
    sys.stdout.flush()
    print("\n" + json.dumps(answer), flush=True)  # noqa: T201  # the answer
    os._exit(0)  # a thread of the class must not keep the process


if __name__ == "__main__":
    main()
