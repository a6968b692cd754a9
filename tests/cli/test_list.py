"""`dj-sandbox list`: what it shows is what the code has."""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from data_juicer_sandbox.cli import list as command
from data_juicer_sandbox.cli.describe import describe, describe_component, describe_hook
from data_juicer_sandbox.components.base import Component
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.hooks.base import Hook
from data_juicer_sandbox.signatures import parameters

ROOT = Path(__file__).parents[2]
TYPES = [(factory, name) for factory in FACTORIES.values() for name in factory.builtin]


def show(capsys, name=None):
    code = command.run(argparse.Namespace(name=name))
    return code, capsys.readouterr()


def test_all_hooks_and_components(capsys):
    code, said = show(capsys)
    assert code == 0
    words = said.out.split()
    for name in [*HOOKS, *FACTORIES, *(name for _, name in TYPES)]:
        assert name in words, name


@pytest.mark.parametrize(("factory", "name"), TYPES, ids=[f"{f.name}-{n}" for f, n in TYPES])
def test_every_parameter_is_documented(factory, name):
    described = describe_component(factory, name)
    assert described.summary
    assert [p.name for p in described.parameters] == list(parameters(factory.find(name))[0])
    assert [p.name for p in described.parameters if not p.text] == []


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented(name):
    described = describe_hook(name)
    assert described.summary
    assert described.facts["phases"]
    assert [p.name for p in described.parameters if not p.text] == []


def test_one_component_with_types_and_defaults(capsys):
    code, said = show(capsys, "accuracy")
    assert code == 0
    assert "EvaluateDataHook" in said.out
    for name, parameter in parameters(FACTORIES["DataEvaluatorFactory"].find("accuracy"))[0].items():
        assert f"    {name}: " in said.out
        line = next(line for line in said.out.splitlines() if line.startswith(f"    {name}: "))
        assert line.endswith("required") or not parameter.required


def test_a_long_answer_is_short_unless_all_is_asked_for(capsys):
    _, short = show(capsys, "huggingface")
    assert len(short.out.splitlines()) <= 60
    assert "max_tokens=null" in short.out
    assert command.run(argparse.Namespace(name="huggingface", all=True)) == 0
    full = capsys.readouterr().out
    assert len(full.splitlines()) > 200
    for name in ("ModelInferEvaluatorFactory", "ModelTrainExecutorFactory", "ModelInferExecutorFactory"):
        assert name in short.out
        assert name in full


def test_a_name_in_two_factories_shows_both(capsys):
    _, said = show(capsys, "command")
    assert "ModelTrainExecutorFactory" in said.out
    assert "ModelEvaluatorFactory" in said.out


def test_a_factory_a_hook_and_a_dotted_path(capsys):
    assert "perplexity" in show(capsys, "ModelEvaluatorFactory")[1].out
    assert "phases:" in show(capsys, "TrainModelHook")[1].out
    target = TYPES[0][0].find(TYPES[0][1])
    assert TYPES[0][1] not in show(capsys, "argparse.ArgumentParser")[1].out
    assert target.__doc__.split("\n")[0] in show(capsys, f"{target.__module__}.{target.__qualname__}")[1].out


def test_a_broken_plugin_hides_nothing(capsys, monkeypatch):
    monkeypatch.setitem(FACTORIES["GeneralProbeFactory"].builtin, "broken", "no.such:Thing")
    monkeypatch.setitem(HOOKS, "BrokenHook", "no.such:Hook")
    code, said = show(capsys)
    assert code == 0
    assert said.out.count("cannot import") == 2
    assert "accuracy" in said.out


def test_unknown(capsys):
    code, said = show(capsys, "acuracy")
    assert code == 2
    assert "did you mean 'accuracy'?" in said.err


def test_heavy_libraries_stay_out():
    code = (
        "import sys\nfrom data_juicer_sandbox.cli.main import main\nmain(['list'])\nmain(['list', 'huggingface'])\n"
        "heavy = {'torch', 'pandas', 'numpy', 'ray', 'datasets', 'transformers', 'data_juicer', 'wandb'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Silent(Component):
    def run(self, job):
        return 1


class TextPhases(Hook):
    """A hook of a plug-in."""

    phases = ("evaluation",)
    factory = "GeneralProbeFactory"


class BrokenPhases(Hook):
    """A hook whose description fails."""

    phases = 3
    factory = "NoFactory"


def test_a_class_without_docstring_does_not_borrow_that_of_the_base():
    assert describe("silent", Silent).summary == "(no docstring)"


def test_hooks_of_plug_ins_do_not_end_the_list(capsys, monkeypatch):
    names = {cls.__name__: f"{__name__}:{cls.__name__}" for cls in (TextPhases, BrokenPhases)}
    monkeypatch.setattr("data_juicer_sandbox.plugins._entry_points", lambda group: names if group == "hooks" else {})
    code, said = show(capsys)
    assert code == 0
    assert "[evaluation] A hook of a plug-in." in said.out
    assert "cannot be described: KeyError: 'NoFactory'" in " ".join(said.out.split())


def test_installed_plug_ins_do_not_change_the_reference_pages(monkeypatch):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    before = generate.pages()
    monkeypatch.setattr(
        "data_juicer_sandbox.plugins._entry_points", lambda group: {"extra_type": "lab_extras:CountRows"}
    )
    assert generate.pages() == before
