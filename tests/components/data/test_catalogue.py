from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_juicer_sandbox.components.data import catalogue as module
from data_juicer_sandbox.components.data.catalogue import Catalogue, catalogue
from data_juicer_sandbox.components.data.catalogue_build import build


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder; the catalogue in memory is forgotten before and after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    catalogue.cache_clear()
    yield tmp_path / "data_juicer_sandbox"
    catalogue.cache_clear()


def test_made_once_then_loaded_and_without_data_juicer(cache: Path) -> None:
    code = (
        "import sys\n"
        "from data_juicer_sandbox.components.data.catalogue import catalogue\n"
        "catalogue()\n"
        "heavy = {'data_juicer', 'pandas', 'numpy', 'datasets', 'ray', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print('data_juicer_sandbox.components.data.catalogue_build' in sys.modules)\n"
    )

    def built() -> bool:
        made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return made.stdout == "True\n"

    assert built()
    (file,) = cache.iterdir()
    assert file.name.startswith("catalogue-1.")
    written = file.stat().st_mtime_ns
    assert not built()
    assert file.stat().st_mtime_ns == written


def test_damaged_is_made_again(cache: Path) -> None:
    names = catalogue().names
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for broken in (whole[:1000], b'{"ops": {}}', b"\xff\xfe"):
        file.write_bytes(broken)
        catalogue.cache_clear()
        assert catalogue().names == names
        assert file.read_bytes() == whole


def test_stale_is_made_again(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "data_juicer"
    real = Path(module._package())
    for folder in ("ops/filter", "config", "utils"):
        (package / folder).mkdir(parents=True)
    for name in (
        "__init__.py",
        "ops/base_op.py",
        "ops/filter/text_length_filter.py",
        "config/config.py",
        "utils/constant.py",
    ):
        (package / name).write_bytes((real / name).read_bytes())
    monkeypatch.setattr(module, "_package", lambda: package)
    assert catalogue().names == ("text_length_filter",)
    changed = package / "ops/filter/text_length_filter.py"
    changed.write_text(changed.read_text().replace('"text_length_filter"', '"length_filter"'))
    catalogue.cache_clear()
    assert catalogue().names == ("length_filter",)


def test_works_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "no_folder"))
    catalogue.cache_clear()
    assert "text_length_filter" in catalogue().names
    catalogue.cache_clear()


def test_what_an_op_is() -> None:
    op = catalogue().find("alphanumeric_filter")
    assert op is not None
    assert op.category == "filter"
    assert op.doc.startswith("Filter to keep samples with an alphabet/numeric ratio")
    assert set(op.stats) == {"alnum_ratio", "alpha_token_ratio"}
    assert {(bound.param, bound.side, bound.stat, bound.when) for bound in op.bounds} == {
        ("min_ratio", "min", "alpha_token_ratio", ("tokenization", True)),
        ("max_ratio", "max", "alpha_token_ratio", ("tokenization", True)),
        ("min_ratio", "min", "alnum_ratio", ("tokenization", False)),
        ("max_ratio", "max", "alnum_ratio", ("tokenization", False)),
    }
    ratio = op.params["min_ratio"]
    assert (ratio.annotation, ratio.default, ratio.numeric, ratio.integer) == ("float", 0.25, True, False)
    assert "text_key" in op.params
    assert "reversed_range" in op.params
    mapper = catalogue().find("clean_email_mapper")
    assert mapper is not None
    assert mapper.category == "mapper"
    assert not mapper.bounds
    assert catalogue().find("no_such_filter") is None


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("image_shape_filter", {"min_width": "image_width", "max_width": "image_width", "min_height": "image_height",
                                "max_height": "image_height"}),
        ("image_aspect_ratio_filter", {"min_ratio": "aspect_ratios", "max_ratio": "aspect_ratios"}),
        ("language_id_score_filter", {"min_score": "lang_score"}),
        ("llm_quality_score_filter", {"min_score": "llm_quality_score", "max_score": "llm_quality_score"}),
        ("video_motion_score_raft_filter", {"min_score": "video_motion_score", "max_score": "video_motion_score"}),
        ("character_repetition_filter", {"min_ratio": "char_rep_ratio", "max_ratio": "char_rep_ratio"}),
        ("words_num_filter", {"min_num": "num_words", "max_num": "num_words"}),
        ("image_subplot_filter", {}),
        ("suffix_filter", {}),
    ],
)  # fmt: skip
def test_bounds_are_read_from_the_source(name: str, bounds: dict[str, str]) -> None:
    op = catalogue().find(name)
    assert op is not None
    assert {bound.param: bound.stat for bound in op.bounds} == bounds


def test_plain_enough_for_json() -> None:
    data = build(module._package())
    assert json.loads(json.dumps(data)) == data
    assert Catalogue(data).names == catalogue().names


@pytest.mark.slow
def test_the_same_ops_and_parameters_as_data_juicer_itself() -> None:
    """Imports every OP, some of which need packages that are not here."""
    code = (
        "import json\n"
        "from data_juicer_sandbox.components.data import isolation\n"
        "from data_juicer.utils.lazy_loader import LazyLoader\n"
        "LazyLoader._install_package = staticmethod(isolation.refuse_install)\n"
        "from data_juicer.ops import OPERATORS\n"
        "from data_juicer.core.preflight import _get_valid_params\n"
        "from data_juicer.config.config import build_base_parser\n"
        "params = {}\n"
        "for name, cls in OPERATORS.modules.items():\n"
        "    params[name] = sorted(_get_valid_params(cls))\n"
        "keys = sorted(action.dest for action in build_base_parser()._actions)\n"
        "print('RESULT' + json.dumps([params, keys]))\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    params, keys = json.loads(made.stdout.split("RESULT")[1])
    known = catalogue()
    assert sorted(known.names) == sorted(params)
    ours = {name: sorted(op.params) for name in params if (op := known.find(name))}
    assert {name: set(ours[name]) ^ set(names) for name, names in params.items() if ours[name] != names} == {}
    assert set(keys) - {"help"} == set(known.keys) - {"help"}
