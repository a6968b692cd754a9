"""Which source files are the user's code, found without an import; when their digest is taken."""

import importlib
import sys

import pytest

from data_juicer_sandbox.components.data.inline_rows import InlineRows
from data_juicer_sandbox.user_code import UserCode, class_modules, code_change, modules_of, source_file

FILES = {
    "ucode_pkg/__init__.py": "from .score import by_length as score\nfrom . import deep\nboom = 1 / 0\n",
    "ucode_pkg/score.py": "from ucode_base import Base\ndef by_length(row): return len(row)\nclass Mine(Base): pass\n",
    "ucode_pkg/deep/__init__.py": "from ..score import by_length\nfrom .star import *\n",
    "ucode_pkg/deep/star.py": "def starred():\n    pass\n",
    "ucode_base.py": "class Base:\n    pass\n",
    "ucode_lazy.py": "try:\n    from json import loads as read\nexcept ImportError:\n    read = None\n",
    "ucode_loop.py": "from ucode_pool import f\n",
    "ucode_pool.py": "from ucode_loop import f\n",
    "ucode_broken.py": "def f(:\n",
    "ucode_space/inner.py": "def f():\n    pass\n",
    "rows.py": "def read():\n    pass\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Modules on the Python path; those that the test imports are forgotten after it."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("ucode_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("ucode_pkg.score.by_length", ["ucode_pkg.score"]),
        ("ucode_pkg.score:by_length", ["ucode_pkg.score"]),
        ("ucode_pkg.score", ["ucode_pkg", "ucode_pkg.score"]),  # imported there under another name
        ("ucode_pkg.deep.by_length", ["ucode_pkg.deep", "ucode_pkg.score"]),
        ("ucode_pkg.deep.starred", ["ucode_pkg.deep"]),
        ("ucode_lazy.read", ["ucode_lazy"]),
        ("ucode_loop.f", ["ucode_loop", "ucode_pool"]),
        ("ucode_broken.f", ["ucode_broken"]),
        ("ucode_space.inner.f", ["ucode_space.inner"]),
        ("rows.read", ["rows"]),
        ("rows.jsonl", []),  # a file's name, though there is a module `rows`
        ("ucode_pkg.score.nothing", []),
        ("ucode_nowhere.f", []),
        ("json.loads", []),
        ("data_juicer_sandbox.components.infer.messages.build_messages", []),
        ("build_messages", []),
        ("a sentence. another", []),
        ("../ucode_pkg.score", []),
        ("x." * 5000 + "y", []),
    ],
)
def test_the_modules_of_a_dotted_path_are_found_without_importing_them(folder, text, modules):
    assert modules_of(text) == modules
    assert not [name for name in sys.modules if name.startswith("ucode_")]


def test_a_class_counts_with_its_bases(folder):
    (folder / "ucode_pkg/__init__.py").write_text("")
    mine = importlib.import_module("ucode_pkg.score").Mine
    assert class_modules(mine) == ["ucode_pkg.score", "ucode_base"]
    assert class_modules(InlineRows) == class_modules(dict) == class_modules(None) == []


def test_code_that_is_not_imported_yet_is_read_anew_in_each_run(folder):
    def digests():
        return UserCode().digests([], {"reward": ["ucode_pkg.score.by_length"], "n": 3})

    first = digests()
    assert list(first) == ["ucode_pkg.score"]
    (folder / "ucode_pkg/score.py").write_text("def by_length(row):\n    return -len(row)\n")
    assert digests() != first


def test_code_that_is_imported_is_what_it_was_then(folder):
    """A change of its file does not reach this process, and must not be recorded as what ran."""
    importlib.import_module("ucode_lazy")
    first = UserCode().digests([], "ucode_lazy.read")
    (folder / "ucode_lazy.py").write_text("read = len\n")
    assert UserCode().digests([], "ucode_lazy.read") == first
    del sys.modules["ucode_lazy"]
    assert UserCode().digests([], "ucode_lazy.read") != first


def test_a_change_is_named_by_module_and_file(folder):
    file = source_file("ucode_lazy")
    assert file == folder / "ucode_lazy.py"
    assert code_change({"ucode_lazy": "1"}, {"ucode_lazy": "1"}) is None
    assert code_change({"ucode_lazy": "1"}, {"ucode_lazy": "2"}) == f"code of ucode_lazy ({file}) has changed"
    assert code_change({"ucode_gone": "1"}, {}) == "code of ucode_gone is gone"
