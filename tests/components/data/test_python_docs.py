from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from loguru import logger

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data import python_docs
from data_juicer_sandbox.components.data.python_docs import PythonDocsCorpus, read_documents, source_files
from data_juicer_sandbox.components.io import read_rows
from data_juicer_sandbox.errors import JobError


def texts(path: str) -> list[str]:
    return [" ".join(row["text"].split()) for row in read_rows(path)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("whole")
    quiet = NullJob()
    corpus, heldout = PythonDocsCorpus(str(folder / "corpus.jsonl")).run(JobRun("p", "n", folder, quiet, quiet))
    return corpus, heldout


def test_enough_documents(whole: tuple[str, str]) -> None:
    corpus, heldout = whole
    assert Path(heldout).name == "corpus_heldout.jsonl"
    rows = list(read_rows(corpus))
    assert len(rows) >= 5000
    assert set(rows[0]) == {"text", "meta"}
    assert set(rows[0]["meta"]) == {"module", "name", "kind"}
    kinds = Counter(row["meta"]["kind"] for row in rows)
    assert set(kinds) == {"module", "class", "function", "comment"}
    assert min(kinds.values()) > 100
    modules = {row["meta"]["module"] for row in rows}
    assert {"argparse", "json.decoder", "json"} <= modules
    assert not any({"test", "tests", "idle_test", "site-packages"} & set(module.split(".")) for module in modules)
    assert any("\n" not in row["text"] for row in rows)  # one-liners stay in
    assert any(">>>" in row["text"] for row in rows)  # so does code


def test_held_out_is_clean_prose_and_apart(whole: tuple[str, str]) -> None:
    corpus, heldout = whole
    rows = list(read_rows(heldout))
    assert {row["meta"]["kind"] for row in rows} == {"help"}
    assert len(rows) > 50
    held = texts(heldout)
    assert len(set(held)) == len(held)
    assert not set(held) & set(texts(corpus))


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a part of the library only."""
    chosen = ("argparse.py", "ast.py", "json/__init__.py", "json/decoder.py", "textwrap.py", "statistics.py")

    def some(root: Path) -> list[Path]:
        return [root / name for name in sorted(chosen)]

    monkeypatch.setattr(python_docs, "source_files", some)


def test_the_same_bytes_twice_and_a_draw(job: JobRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)

    def run(name: str, **values: object) -> tuple[bytes, bytes]:
        corpus, heldout = PythonDocsCorpus(str(tmp_path / name), **values).run(job)  # type: ignore[arg-type]
        return Path(corpus).read_bytes(), Path(heldout).read_bytes()

    assert run("a.jsonl", size=100, seed=3) == run("b.jsonl", size=100, seed=3)
    assert run("c.jsonl", size=100, seed=4)[0] != run("a.jsonl", size=100, seed=3)[0]
    every = run("d.jsonl")[0].splitlines()
    drawn = run("a.jsonl", size=100)[0].splitlines()
    assert len(drawn) == 100
    rest = iter(every)
    assert all(line in rest for line in drawn)  # the draw keeps the order


def test_a_random_share_held_out(job: JobRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    component = PythonDocsCorpus(str(tmp_path / "c.jsonl"), heldout="share", heldout_share=0.2)
    corpus, heldout = component.run(job)
    held, rest = texts(heldout), texts(corpus)
    assert len(set(held)) == len(held)
    assert not set(held) & set(rest)
    assert len(held) == pytest.approx(0.2 * len(set(held) | set(rest)), abs=1)


def test_more_than_there_are(job: JobRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: NullJob) -> None:
    small(monkeypatch)
    messages: list[str] = []
    sink = logger.add(messages.append, level="WARNING", format="{message}")
    PythonDocsCorpus(str(tmp_path / "c.jsonl"), size=10**6).run(job)
    logger.remove(sink)
    assert quiet.values[-1][1]["documents"] == quiet.values[-1][1]["available"]
    assert any("all are used" in message for message in messages)


def test_order_does_not_hang_on_the_file_system(tmp_path: Path) -> None:
    for name in ("b/z.py", "b/a.py", "a.py", "b.py", "test/t.py", "c/tests/t.py", "site-packages/s.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    found = [file.relative_to(tmp_path).as_posix() for file in source_files(tmp_path)]
    assert found == ["a.py", "b.py", "b/a.py", "b/z.py"]


def test_what_is_read_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pkg/__init__.py"
    file.parent.mkdir()
    source = [
        '"""Module."""',
        *("# one", "#   two", "# three"),
        *("class A:", '    """Class."""', "    async def f(self):", '        """Func."""'),
        *("        def inner():", '            """Inner."""'),
        *("if True:", "    def g():", '        """In a block."""'),
        "# short",
    ]
    file.write_text("\n".join(source) + "\n")
    rows = [(row["text"], *row["meta"].values()) for row in read_documents(file, tmp_path)]
    assert rows == [
        ("Module.", "pkg", "", "module"),
        ("one\n  two\nthree", "pkg", "", "comment"),
        ("Class.", "pkg", "A", "class"),
        ("Func.", "pkg", "A.f", "function"),
        ("Inner.", "pkg", "A.f.inner", "function"),
        ("In a block.", "pkg", "g", "function"),
    ]
    (tmp_path / "bad.py").write_text("def (:\n")
    assert list(read_documents(tmp_path / "bad.py", tmp_path)) == []


def test_without_sources(job: JobRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_docs.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(JobError, match="no Python sources"):
        PythonDocsCorpus(str(tmp_path / "c.jsonl")).run(job)
