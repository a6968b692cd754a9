"""Data-Juicer's published classifiers: their location in the cache, and their download."""

from __future__ import annotations

import os
import shutil
import urllib.request
import zipfile
from pathlib import Path

from loguru import logger

from data_juicer_sandbox.components.base import JobRun
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.files import replacing

LINKS = "https://dail-wlcb.oss-cn-wulanchabu.aliyuncs.com/data_juicer/models/"
TOKENIZERS = {"gpt3": None, "chinese": "zh.sp.model", "code": "code.sp.model"}
"""The published classifiers and their sentencepiece tokenizers; `gpt3` includes its tokenizer."""
CHUNK = 1 << 20
TIMEOUT = 60.0
"""Timeout of the connection in seconds."""


def cache() -> Path:
    """Data-Juicer's cache of models, from its environment variables."""
    home = os.environ.get("DATA_JUICER_CACHE_HOME") or Path(os.environ.get("CACHE_HOME", "~/.cache")) / "data_juicer"
    return Path(os.environ.get("DATA_JUICER_MODELS_CACHE") or Path(home) / "models").expanduser()


def classifier(job: JobRun, name: str) -> tuple[Path, Path | None]:
    """The folder of a published classifier, and its tokenizer's file; missing ones are downloaded.

    Raises:
        JobError: the download failed.
    """
    folder, tokenizer = cache() / f"{name}_quality_model", TOKENIZERS[name]
    if not folder.is_dir():
        with replacing(folder, shared=True, folder=True) as part:
            part.mkdir(parents=True)
            packed = part / "packed.zip"
            _download(job, f"{folder.name}.zip", packed)
            _unpack(packed, folder.name, part)
    file = None if tokenizer is None else cache() / tokenizer
    if tokenizer is not None and file is not None and not file.is_file():
        with replacing(file, shared=True) as part:
            _download(job, tokenizer, part)
    return folder, file


def _download(job: JobRun, name: str, target: Path) -> None:
    logger.info("downloading {}{}", LINKS, name)
    try:
        with (
            urllib.request.urlopen(LINKS + name, timeout=TIMEOUT) as answer,  # noqa: S310  # a fixed address
            target.open("wb") as file,
            job.progress.task(f"downloading {name}", total=int(answer.headers["Content-Length"] or 0) or None) as task,
        ):
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                task.advance(len(chunk))
    except OSError as error:
        raise JobError(
            f"{LINKS}{name} cannot be downloaded: {error}",
            hint=f"put it, unpacked, into {cache()}, or set `model` to the folder of another classifier",
        ) from error


def _unpack(packed: Path, name: str, folder: Path) -> None:
    """Unpack the archive's folder `name` into `folder`."""
    try:
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise JobError(f"the download of {name} is not a zip archive: {error}") from error
    packed.unlink()
    inner = folder / name
    if not inner.is_dir():
        raise JobError(f"the downloaded archive does not contain {name}")
    for part in inner.iterdir():
        shutil.move(part, folder / part.name)
    inner.rmdir()
