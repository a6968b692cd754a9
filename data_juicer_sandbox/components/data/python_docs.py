"""A real corpus that every machine has: the documentation in the user's own Python standard library."""

from __future__ import annotations

import ast
import io
import random
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import OpenUnitInterval, PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun, OutputFile
from data_juicer_sandbox.components.io import write_rows
from data_juicer_sandbox.errors import ConfigError, JobError

Row = dict[str, Any]
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib-dynload", "__pycache__", "pydoc_data"}
_LEAST_COMMENT_LINES = 3
_Documented = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class PythonDocsCorpus(Component):
    """Build a corpus from the Python standard library of the interpreter that runs this.

    The documents are the docstrings of modules, classes and functions (kinds `module`, `class`, `function`) and longer
    blocks of comments (`comment`), read from the source files; no module is imported. They are noisy on purpose: code,
    tables and one-liners stay in, and so do repetitions. Tests and installed packages are left out. Python's help
    topics (`pydoc_data.topics`, kind `help`), clean prose about the language, are what is held out.

    Rows are `{"text", "meta": {"module", "name", "kind"}}`, ordered by module and place. No text of the held-out side
    is in the corpus, nor twice on its own side. Which documents there are depends on the Python version.

    Args:
        export_path: the corpus, a `.jsonl` file.
        heldout_path: the held-out documents; `<name of export_path>_heldout.jsonl` beside it where it is not given.
        size: how many documents the corpus has, drawn with the seed; all there are where it is not given, or more than
            there are are asked for. The held-out side is not counted.
        heldout: what is held out: `topics`, the help topics; `share`, a random share of all documents, the topics
            among them.
        heldout_share: that share, between 0 and 1.
        seed: of the draws.
    """

    outputs = ("corpus", "heldout")

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
        """Write both sides.

        Returns:
            The paths of the corpus and of the held-out documents.

        Raises:
            JobError: the standard library's sources are not there, as on some cut-down installations.
        """
        root = Path(sysconfig.get_paths()["stdlib"])
        files = source_files(root)
        if not files:
            raise JobError(f"there are no Python sources in {root}", hint="install Python's full standard library")
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
            unique.setdefault(_same(row), row)
        if self.heldout == "share":
            count = round(self.heldout_share * len(unique))
            chosen = set(random.Random(self.seed).sample(sorted(unique), count))
            unique = {key: row for key, row in unique.items() if key in chosen}
        if not unique:
            raise JobError("nothing is left to be held out: this Python has no help topics", hint="heldout: share")
        return [row for row in rest if _same(row) not in unique], list(unique.values())

    def _draw(self, documents: list[Row]) -> list[Row]:
        if self.size is None or self.size >= len(documents):
            if self.size is not None and self.size > len(documents):
                logger.warning(
                    "{} documents are asked for, this Python has {}; all are taken", self.size, len(documents)
                )
            return documents
        chosen = sorted(random.Random(self.seed).sample(range(len(documents)), self.size))
        return [documents[index] for index in chosen]


def source_files(root: Path) -> list[Path]:
    """The standard library's source files, in the same order whatever the file system's; without tests."""
    found = [
        file
        for entry in sorted(root.iterdir())
        if entry.name not in _LEFT_OUT
        for file in ([entry] if entry.suffix == ".py" else sorted(entry.rglob("*.py")) if entry.is_dir() else [])
        if not _LEFT_OUT.intersection(file.relative_to(root).parts)
    ]
    return sorted(found, key=lambda file: file.relative_to(root).as_posix())


def read_documents(file: Path, root: Path) -> Iterator[Row]:
    """The documents of one source file, in the order they stand there; one that cannot be read has none."""
    relative = file.relative_to(root).with_suffix("")
    module = ".".join(relative.parts).removesuffix(".__init__")
    try:
        with tokenize.open(file) as stream:
            text = stream.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that this version of Python will not take one day
            tree = ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        logger.debug("{} is left out: {}", file, error)
        return
    found = [(0, doc, "", "module")] if (doc := ast.get_docstring(tree)) else []
    found += _docstrings(tree, "")
    found += _comments(text)
    for _, doc, name, kind in sorted(found, key=lambda one: one[0]):
        if doc.strip():
            yield _row(doc, module, name, kind)


def _docstrings(node: ast.AST, prefix: str) -> list[tuple[int, str, str, str]]:
    found = []
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, _Documented):
            name = f"{prefix}.{child.name}".lstrip(".")
            if doc := ast.get_docstring(child):
                found.append((child.lineno, doc, name, "class" if isinstance(child, ast.ClassDef) else "function"))
        if isinstance(child, ast.stmt):
            found += _docstrings(child, name)
    return found


def _comments(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Blocks of whole-line comments that are long enough to say something."""
    block: list[str] = []
    for number, line in enumerate([*io.StringIO(text), ""], 1):
        bare = line.strip()
        if bare.startswith("#"):
            block.append(bare.lstrip("#").removeprefix(" "))
            continue
        if len(block) >= _LEAST_COMMENT_LINES:
            yield number - len(block), "\n".join(block).strip(), "", "comment"
        block = []


def read_topics(root: Path) -> Iterator[Row]:
    """Python's help topics, by name."""
    file = root / "pydoc_data" / "topics.py"
    if not file.is_file():
        return
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "topics":
            for name, text in sorted(ast.literal_eval(node.value).items()):
                if text.strip():
                    yield _row(text.strip(), "pydoc_data.topics", name, "help")


def _row(text: str, module: str, name: str, kind: str) -> Row:
    return {"text": text, "meta": {"module": module, "name": name, "kind": kind}}


def _same(row: Row) -> str:
    """Equal for texts that differ in white space only."""
    return " ".join(row["text"].split())
