"""A config that is written is read back as the same values."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.components.refine.recipe_file import write_recipe
from data_juicer_sandbox.config.dump import dump_config
from data_juicer_sandbox.config.interpolation import escape, fill
from data_juicer_sandbox.config.limits import LARGE_KEY, MAX_DEPTH
from data_juicer_sandbox.config.loader import load_or_raise
from data_juicer_sandbox.config.yaml_source import parse, read
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.workflow.resolve import resolve

ODD = [
    "1e5", "25921e05", "1_0", "0o7", "0x1F", "0b1", "1:30", "190:20:30", "1.5", ".5", "5.", "-", "yes", "No", "on",
    "null", "~", "", " ", "=", "<<", "2024-05-06", "2024-05-06T07:08:09Z", ".inf", ".nan", "-.INF", "True", "${x}",
    "$${x}",
    "$$${x}", "${", "$${", "a: b", "- a", "# c", "a #b", "'", '"', "\\", "a\nb", "\n", "\ta", "a\t", " a", "a ", "\x85",
    "\u2028", "\u2029", "\ufeff", "\x00", "\x07", "\x7f", "\xa0", "😀", "!tag", "&a", "*a", "%", "@", "`", "[", "{",
    "|", ">", "?", ": ", "a:", "x" * 300, "k" * 2000, "1e-4", "e5", "1E5", "+1e5", "0777", "1__0", "12e03_4",
]  # fmt: skip
texts = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([-0.0, 1e300, 5e-324, 1e5, 1e16, 123456789012345680.0])
scalars = st.none() | st.booleans() | numbers | texts | st.dates().map(str)
keys = texts | st.integers(-LARGE_KEY + 1, LARGE_KEY - 1)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=15
)


@given(values)
@example({text: text for text in ODD})
@example(ODD)
def test_what_is_written_is_read_with_its_types(value):
    assert repr(parse(dump_config(value), "f.yaml").value) == repr(value)


@given(values)
@example(ODD)
def test_what_is_meant_literally_is_not_filled_in(value):
    unknown: list[str] = []
    read_back = fill(parse(dump_config(escape(value)), "f.yaml").value, {"x": "7"}, unknown.append)
    assert repr(read_back) == repr(value)
    assert unknown == []


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


UNREADABLE = {
    "an object": object(),
    "a set": {"x": {1, 2}},
    "bytes": b"x",
    "half of a surrogate pair": "\ud800",
    "a deep value": nested(MAX_DEPTH),
    "a very deep value": nested(5_000),
    "a large key": {LARGE_KEY: 1},
    "a list as key": {(1, 2): 1},
    "an integer of 4,200 digits": 10**4_200,
    "an integer of 5,000 digits": 1 << 17_000,
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_not_written(name):
    with pytest.raises(ConfigError, match="cannot be written"):
        dump_config(UNREADABLE[name])


def test_shared_values_are_written_out():
    part = {"a": 1}
    assert dump_config({"x": part, "y": part}) == "x:\n  a: 1\ny:\n  a: 1\n"
    assert dump_config({"d": date(2024, 5, 6)}) == "d: 2024-05-06\n"


@pytest.mark.parametrize("name", ["r.yaml", "r.json"])
def test_a_recipe_is_read_as_it_was_refined(tmp_path, name):
    recipe = {"process": [{"op": {"pattern": "${x}|$${y}", "text": "1e5", "n": 1e-5}}], "np": 2}
    write_recipe(tmp_path / name, recipe, ["a comment"])
    assert fill(read(tmp_path / name).value, {}, pytest.fail) == recipe


def jobs_of(path, **overrides):
    """All jobs of a config as they would be resolved."""
    config = load_or_raise(str(path), overrides)
    return [resolve(job, [], config.variables) for job in config.jobs()]


def test_a_printed_config_is_what_would_run(config_file, capsys, tmp_path):
    texts_of = {f"t{n}": text for n, text in enumerate(ODD) if "\0" not in text and "${x}" not in text}
    give = {"type": "toy_lab.steps.Give", "value": {**texts_of, "literal": "$${x}", "variable": "${work_dir}/a"}}
    job = {
        "hook": "GeneralProbeHook",
        "meta_name": "give",
        "extra_configs": give,
        "local": {"extra_configs.more": "1e5"},
    }
    path = config_file(dump_config({"project_name": "1e5", "probe_job_configs": [job]}))
    assert main(["--config", str(path), "--print_config"]) == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    first, second = jobs_of(path), jobs_of(printed)
    assert [(job.extra_configs, job.dj_configs) for job in first] == [(j.extra_configs, j.dj_configs) for j in second]
    assert load_or_raise(str(path)).work_dir == load_or_raise(str(printed)).work_dir == "./outputs/1e5"
