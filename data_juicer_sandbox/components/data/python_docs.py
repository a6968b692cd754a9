"""A corpus that is available on every machine: the documentation in the Python standard library."""

from __future__ import annotations

import ast
import io
import random
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun, OutputFile
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.number_types import OpenUnitInterval, PositiveInt
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.types import Row

_SKIPPED_FOLDERS = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idle_test",
    "lib-dynload",
    "__pycache__",
    "pydoc_data",
}
_MIN_COMMENT_LINES = 3
_Documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class PythonDocsCorpus(Component):
    """Build a corpus from the standard library of the running Python interpreter.

    The documents are the docstrings of modules, classes and functions (kinds `module`, `class`, `function`) and longer
    blocks of comments (`comment`), read from the source files; no module is imported. They are noisy on purpose: code,
    tables, one-liners and duplicates are kept. Tests and installed packages are excluded. By default, Python's help
    topics (`pydoc_data.topics`, kind `help`), clean prose about the language, are the held-out documents.

    Rows are `{"text", "meta": {"module", "name", "kind"}}`, ordered by module and position. Held-out texts are unique
    and do not occur in the corpus. The documents depend on the Python version.

    Args:
        export_path: the corpus, a `.jsonl` file.
        heldout_path: the held-out documents; `<name of export_path>_heldout.jsonl` next to it by default.
        size: number of documents in the corpus, drawn at random; all by default, or if there are fewer. The held-out
            documents are not counted.
        heldout: what is held out: `topics`, the help topics; `share`, a random share of all documents including the
            topics.
        heldout_share: that share, between 0 and 1.
        seed: seed of the draws.
    """

    outputs = ("corpus", "heldout")
    metrics = metric_keys("documents", "heldout_documents", "available")
    numbers = number_keys(corpus=(), heldout=())

    def __init__(
        self,
        export_path: OutputFile,
        heldout_path: OutputFile | None = None,
        size: PositiveInt | None = None,
        heldout: Literal["topics", "share"] = "topics",
        heldout_share: OpenUnitInterval = 0.1,
        seed: int = 42,
    ):
        path = Path(export_path)
        if path.suffix != ".jsonl":
            raise ConfigError(f"export_path {export_path!r} is not a .jsonl file")
        self.export_path = export_path
        self.heldout_path = heldout_path or str(path.with_name(f"{path.stem}_heldout.jsonl"))
        self.size = size
        self.heldout = heldout
        self.heldout_share = heldout_share
        self.seed = seed

    def run(self, job: JobRun) -> tuple[str, str]:
        """Write the corpus and the held-out documents.

        Returns:
            The paths of the corpus and of the held-out documents.

        Raises:
            JobError: the standard library's sources are missing, as in some minimal installations.
        """
        root = Path(sysconfig.get_paths()["stdlib"])
        files = source_files(root)
        if not files:
            raise JobError(f"no Python sources in {root}", hint="install Python's full standard library")
        documents: list[Row] = []
        with job.progress.task("reading the standard library", total=len(files)) as task:
            for file in files:
                documents.extend(read_documents(file, root))
                task.advance(1)
        corpus, heldout = self._split(documents, list(read_topics(root)))
        corpus = self._draw(corpus)
        write_rows(self.heldout_path, heldout)
        write_rows(self.export_path, corpus)
        job.watcher.watch({"documents": len(corpus), "heldout_documents": len(heldout), "available": len(documents)})
        return self.export_path, self.heldout_path

    def _split(self, documents: list[Row], topics: list[Row]) -> tuple[list[Row], list[Row]]:
        if self.heldout == "topics":
            candidates, rest = topics, documents
        else:
            candidates, rest = [*documents, *topics], [*documents, *topics]
        unique: dict[str, Row] = {}
        for row in candidates:
            unique.setdefault(_normalized(row), row)
        if self.heldout == "share":
            count = round(self.heldout_share * len(unique))
            selected = set(random.Random(self.seed).sample(sorted(unique), count))
            unique = {key: row for key, row in unique.items() if key in selected}
        if not unique:
            raise JobError("no held-out documents: this Python has no help topics", hint="set heldout: share")
        return [row for row in rest if _normalized(row) not in unique], list(unique.values())

    def _draw(self, documents: list[Row]) -> list[Row]:
        if self.size is None or self.size >= len(documents):
            if self.size is not None and self.size > len(documents):
                logger.warning("size is {}, but this Python has {} documents: all are used", self.size, len(documents))
            return documents
        indices = sorted(random.Random(self.seed).sample(range(len(documents)), self.size))
        return [documents[index] for index in indices]


def source_files(root: Path) -> list[Path]:
    """The standard library's source files without tests, sorted by path."""
    files = [
        file
        for entry in sorted(root.iterdir())
        if entry.name not in _SKIPPED_FOLDERS
        for file in ([entry] if entry.suffix == ".py" else sorted(entry.rglob("*.py")) if entry.is_dir() else [])
        if not _SKIPPED_FOLDERS.intersection(file.relative_to(root).parts)
    ]
    return sorted(files, key=lambda file: file.relative_to(root).as_posix())


def read_documents(file: Path, root: Path) -> Iterator[Row]:
    """Yield the documents of a source file in their order; none if the file cannot be parsed."""
    relative = file.relative_to(root).with_suffix("")
    module = ".".join(relative.parts).removesuffix(".__init__")
    try:
        with tokenize.open(file) as stream:
            text = stream.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes
            tree = ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        logger.debug("{} is skipped: {}", file, error)
        return
    documents = [(0, doc, "", "module")] if (doc := ast.get_docstring(tree)) else []
    documents += _docstrings(tree, "")
    documents += _comments(text)
    for _, doc, name, category in sorted(documents, key=lambda document: document[0]):
        if doc.strip():
            yield _row(doc, module, name, category)


def _docstrings(node: ast.AST, prefix: str) -> list[tuple[int, str, str, str]]:
    """Line, text, name and category of all docstrings in a node."""
    docstrings = []
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, _Documented):
            name = f"{prefix}.{child.name}".lstrip(".")
            if doc := ast.get_docstring(child):
                docstrings.append((child.lineno, doc, name, "class" if isinstance(child, ast.ClassDef) else "function"))
        if isinstance(child, ast.stmt):
            docstrings += _docstrings(child, name)
    return docstrings


def _comments(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield blocks of at least `_MIN_COMMENT_LINES` comment lines."""
    block: list[str] = []
    for number, line in enumerate([*io.StringIO(text), ""], 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            block.append(stripped.lstrip("#").removeprefix(" "))
            continue
        if len(block) >= _MIN_COMMENT_LINES:
            yield number - len(block), "\n".join(block).strip(), "", "comment"
        block = []


def read_topics(root: Path) -> Iterator[Row]:
    """Yield Python's help topics, sorted by name."""
    file = root / "pydoc_data" / "topics.py"
    if not file.is_file():
        return
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "topics":
            for name, text in sorted(ast.literal_eval(node.value).items()):
                if text.strip():
                    yield _row(text.strip(), "pydoc_data.topics", name, "help")


def _row(text: str, module: str, name: str, category: str) -> Row:
    return {"text": text, "meta": {"module": module, "name": name, "kind": category}}


def _normalized(row: Row) -> str:
    """The text with normalized whitespace."""
    return " ".join(row["text"].split())
