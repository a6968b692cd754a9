"""Values that YAML's own readers trip over: read, or one error with its line."""

from __future__ import annotations

import json

import pytest

from data_juicer_sandbox.cli.main import main
from data_juicer_sandbox.config.limits import LARGE_KEY, MAX_VALUES
from data_juicer_sandbox.config.loader import load_or_raise
from data_juicer_sandbox.config.yaml_source import parse
from data_juicer_sandbox.errors import ConfigError

REFUSED = {
    "!!bool maybe": "it is not a valid bool",
    "!!bool [x]": "expected a scalar",
    "!!int ''": "it is not a valid int",
    "!!int x": "invalid literal",
    "!!int {=: x}": "cannot be read as a value",
    "!!float x": "could not convert",
    "!!float ''": "it is not a valid float",
    "!!timestamp ''": "it is not a valid timestamp",
    "!!timestamp x": "it is not a valid timestamp",
    "!!set {x}": "is not a supported type",
    "!!binary eA==": "is not a supported type",
    "!!omap [x: 1]": "is not a supported type",
    "!!pairs [x: 1]": "is not a supported type",
    "!!map x": "expected a mapping",
    "!!python/name:os.system x": "could not determine a constructor",
    "!own x": "could not determine a constructor",
    "0x_": "cannot be read as a value",
    "2001-12-14t21:59:43-25:99": "cannot be read as a value",
    "0x" + "f" * 5_000: "more than 4,000 digits",
    "0" + "7" * 5_000: "more than 4,000 digits",
    "0b" + "1" * 5_000: "more than 4,000 digits",
    "1" + ":1" * 100_000: "more than 4,000 digits",
    "1" + ":1" * 3_000 + ".5": "more than 4,000 digits",
    "-" + "9" * 4_100: "more than 4,000 digits",
    "!!int '" + "9" * 5_000 + "'": "more than 4,000 digits",
    "&a [*a]": "an anchor contains itself",
    "&a {<<: *a}": "an anchor contains itself",
    "&a {? *a : 1}": "an anchor contains itself",
    "&a !!str {=: *a}": "an anchor contains itself",
    f"{{{LARGE_KEY}: 1}}": "a key is an integer of more than 18 digits",
    f"{{{-LARGE_KEY}: 1}}": "a key is an integer of more than 18 digits",
    "\0": "control characters are not allowed",
    "é😀\x07": "control characters are not allowed",
    "'\ud800'": "half of a surrogate pair",
}


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value[:30]))
def test_what_is_no_value_is_an_error_with_its_line(value):
    with pytest.raises(ConfigError) as caught:
        parse(f"first: ü\n\nodd: {value}\n", "f.yaml")
    assert (caught.value.where.file, caught.value.where.line) == ("f.yaml", 3)
    assert REFUSED[value] in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("=", "="),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("!!bool yes", True),
        ("!!null x", None),
        ("0x1F", 31),
        ("190:20:30", 685230),
        ("1_000", 1000),
        ("12ab" * 3_000, "12ab" * 3_000),
        ("'" + "9" * 5_000 + "'", "9" * 5_000),
        (f"{{{LARGE_KEY - 1}: 1, '{LARGE_KEY}': 2}}", {LARGE_KEY - 1: 1, str(LARGE_KEY): 2}),
        ("[&a [1, 2], *a, *a]", [[1, 2]] * 3),
    ],
)
def test_what_is_a_value_is_read(text, value):
    assert parse(f"odd: {text}\n", "f.yaml").value == {"odd": value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a " + "x" * 1_000_000 + "\nb: [" + "*a," * 90_000 + "]", "more than 16 MiB of text"),
        ("- 1\n" * (MAX_VALUES + 1), f"more than {MAX_VALUES:,} values"),
        ("[" + "1," * MAX_VALUES + "1]", f"more than {MAX_VALUES:,} values"),
    ],
    ids=["a long text aliased", "many in YAML", "many in JSON"],
)
def test_what_is_too_much_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse(text, "f.yaml")


def probe(**keys):
    job = {"hook": "GeneralProbeHook", "meta_name": "j", "extra_configs": {"type": "toy_lab.steps.Give"}}
    return {"work_dir": "out", "probe_job_configs": [{**job, **keys}]}


def extra(**values):
    return probe(extra_configs={"type": "toy_lab.steps.Give", **values})


def recipe(process):
    dj_configs = {"dataset_path": "sandbox.json", "process": process}
    return {"work_dir": "out", "execution_job_configs": [{"hook": "ProcessDataHook", "dj_configs": dj_configs}]}


MANY = range(100_000)
CONFIGS = {
    "unknown keys": ({f"kay{n}": 1 for n in MANY}, "200 or more errors"),
    "unknown job keys": (probe(**{f"hok{n}": 1 for n in MANY}), "200 or more errors"),
    "unknown parameters": (extra(**{f"valu{n}": 1 for n in MANY}), "200 or more errors"),
    "unknown OPs": (recipe([{f"text_length_filtr{n}": None} for n in range(20_000)]), "200 or more errors"),
    "a chain": ({"project_name": "x" * 200, **extra(value=["${project_name}" * 1000] * 1000)}, "more than 64 MiB"),
    "a chain of names": ({"project_name": "x" * 10**6, "experiment_name": "${project_name}" * 10**5}, "than 64 MiB"),
    "a long project": ({"project_name": "x" * 300}, "longer than 255 bytes"),
    "a long work_dir": ({"work_dir": "x/" * 3_000}, "longer than 3,500 bytes"),
    "a long job name": (probe(meta_name="x" * 201), "`meta_name` is longer than 200 bytes"),
    "a long pipeline name": ({"pipelines": {"é" * 101: {}}}, "a pipeline's name is longer than 200 bytes"),
    "a long hook": (probe(hook="x" * 10**6), "`hook` is longer"),
    "a long type": (extra(type="x" * 10**6), "unknown type"),
    "a long sweep": ({"hpo_config": "x" * 10**5}, "'hpo_config' cannot name"),
    "a long job file": ({"probe_job_configs": ["x" * 10**5]}, "longer than 255 bytes"),
    "a long recipe": (probe(dj_configs="x" * 10**5), "`dj_configs` cannot name a file"),
    "a long output": (
        extra(type="toy_lab.steps.MakeRows", export_path="x" * 5_000),
        "`extra_configs.export_path`: a name in it is longer than 255 bytes",
    ),
    "a relative type": (extra(type="..x"), "it is not a dotted path"),
    "a type of blanks": (extra(type="a b.c"), "it is not a dotted path"),
    "an empty OP": (recipe([{}]), "an entry of `process` must be one OP"),
    "no OP": (recipe([None]), "an entry of `process` must be one OP"),
    "a number as OP": (recipe([3]), "an entry of `process` must be one OP"),
    "a number as parameters": (recipe([{"text_length_filter": 3}]), "must be a mapping, not 3"),
    "null for a parameter": (extra(type="toy_lab.steps.MakeRows", export_path=None), "expected str, got null"),
    "a number as mapping": (probe(extra_configs=3), "`extra_configs` must be a mapping"),
    "a number as watcher": ({"watchers": [3]}, "a watcher is a name, not 3"),
    "a mapping as watcher": ({"watchers": [{}]}, "a watcher is a name, not {}"),
    "brackets for a list": (extra(type="toy_odd.Takes", names="[" * 50_000), "nested more than 100 levels"),
    "aliases for a list": (extra(type="toy_odd.Takes", names="&a [" + "*a," * 9 + "]"), "an anchor contains itself"),
    "digits for a number": (extra(type="toy_odd.Takes", number="1" + ":1" * 10**5), "more than 4,000 digits"),
    "a tag for a number": (extra(type="toy_odd.Takes", number="!!int ''"), "expected int, got"),
    "a large float": (extra(type="toy_odd.Takes", ratio=10**400), "expected float, got"),
    "a long text for a number": (extra(type="toy_odd.Takes", number="- 1\n" * 500_000), "2,000,000 characters"),
}
MODULE = """
from data_juicer_sandbox.components.base import Component

class Takes(Component):
    def __init__(self, names: list[str] = (), number: int = 1, ratio: float = 1.0): ...
    def run(self, job): ...
"""


@pytest.mark.parametrize("name", CONFIGS)
def test_an_odd_config_is_one_short_error(name, config_file, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy_odd.py").write_text(MODULE)
    config, message = CONFIGS[name]
    assert main(["validate", "--config", str(config_file(json.dumps(config), "sandbox.json"))]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert f"{tmp_path}/sandbox.json:1: " in errors
    if "or more" not in message:
        assert len(errors) < 4_000


ODD_MODULES = {
    "ends the program": "import sys; sys.exit(3)",
    "divides by zero": "1 / 0",
    "raises what is no Exception": "raise BaseException('x')",
    "is no Python": "def (",
    "has no end": "def f(): f()\nf()",
    "names a type that is not there": MODULE.replace("int = 1", "'Nope' = 1"),
    "has a constructor that raises": MODULE.replace(": ...\n    def run", ": {}[1]\n    def run"),
}


@pytest.mark.parametrize("number", range(len(ODD_MODULES)), ids=list(ODD_MODULES))
def test_a_module_of_a_user_that_breaks_is_one_error(number, config_file, tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"toy_breaks{number}.py").write_text(list(ODD_MODULES.values())[number])
    path = config_file(json.dumps(extra(type=f"toy_breaks{number}.Takes")), "sandbox.json")
    assert main(["validate", "--config", str(path)]) == 2
    errors = capsys.readouterr().err
    assert "1 error in the config" in errors
    assert "sandbox.json:1: job 'anonymous.j': " in errors


def test_a_printed_config_finds_its_sweep_from_anywhere(config_file, tmp_path, capsys, monkeypatch):
    config_file("metric: j.x\nparameters: {j.extra_configs.value: {values: [1, 2]}}\n", "configs/sweep.yaml")
    path = config_file({**probe(output="x"), "hpo_config": "sweep.yaml"}, "configs/sandbox.yaml")
    assert main(["--config", str(path), "--print_config"]) == 0
    printed = config_file(capsys.readouterr().out, "elsewhere/printed.yaml")
    monkeypatch.chdir(tmp_path / "elsewhere")
    first, second = load_or_raise(str(path)), load_or_raise(str(printed))
    assert first.sweep is not None
    assert second.sweep == first.sweep


@pytest.mark.parametrize(
    "spec",
    [
        {"min": 0, "max": 10**400},
        {"mu": 10**400},
        {"mu": 1e308, "distribution": "log_normal"},
        {"min": 0, "max": 1, "q": 10**400},
        {"min": 0, "max": 1e300, "q": 5e-324},
        {"min": 0, "max": 1, "distribution": [1]},
        {"min": 0, "max": 1, "distribution": {}},
    ],
    ids=range(7),
)
def test_an_odd_distribution_is_one_error(spec, config_file, capsys):
    sweep = {"metric": "j.x", "max_trials": 2, "parameters": {"j.extra_configs.value": spec}}
    config_file(json.dumps(sweep), "sweep.json")
    path = config_file({**probe(output="x"), "hpo_config": "sweep.json"})
    assert main(["validate", "--config", str(path)]) == 2
    errors = capsys.readouterr().err
    assert "1 error in the config" in errors
    assert "sweep.json:1: parameter 'j.extra_configs.value'" in errors
