"""The docs are true: pages from the code are up to date, examples run, links lead somewhere, names exist."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from data_juicer_sandbox.cli.main import COMMANDS
from data_juicer_sandbox.components.base import Component
from data_juicer_sandbox.config import distributions, sweep
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.hooks import HOOKS
from data_juicer_sandbox.testing.components import component_checks
from data_juicer_sandbox.testing.observation import Bench

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
README, GUIDE, DEVELOPER = ROOT / "README.md", ROOT / "docs/user_guide.md", ROOT / "docs/developer_guide.md"


def blocks(page, language):
    """The fenced blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def save_named(page, language, folder):
    """Save the blocks that begin with their file's name."""
    for block in blocks(page, language):
        if name := re.match(r"# (\S+\.yaml)\n", block):
            (folder / name[1]).write_text(block)


def write_texts(path, count=60):
    rows = ({"text": f"Text number {n}. " + "All work and no play. " * (n % 7 + 1)} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_reference_pages_are_up_to_date():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == [], "python docs/generate.py"


def test_the_feature_table_names_what_there_is():
    known = {*HOOKS, *COMMANDS, *(name for factory in FACTORIES.values() for name in factory.types())}
    rows = re.findall(r"^\| .* \| (.*) \|$", README.read_text(), re.MULTILINE)[2:]
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(names) > 10
    assert set(names) <= known
    assert {name for factory in FACTORIES.values() for name in factory.builtin if name != "data_juicer"} <= set(names)


@pytest.mark.slow
def test_the_example_of_the_readme_runs(tmp_path, dj_sandbox):
    save_named(README, "yaml", tmp_path)
    command = re.search(r'`python -c "(.*?)"`', README.read_text())[1]
    made = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, text=True, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    done = dj_sandbox("--config", "sandbox.yaml", timeout=600)
    assert done.returncode == 0, done.stderr
    context = json.loads((tmp_path / "outputs/two_data_sets/context_infos.json").read_text())
    summary = next(job for job in context["iterations"][0]["anonymous"] if job["meta_name"] == "score")["summary"]
    assert [row["n"] for row in summary] == [3, 3]
    for row in summary:  # the table of the README names the same data sets
        assert re.match(r"(clean|docs)_\d+$", row["train_dataset"])
    assert len(re.findall(r"^(?:clean|docs) +docs_heldout ", README.read_text(), re.MULTILINE)) == 2
    assert re.search(r"95% interval \S+ to \S+, 3 seeds; the difference ", done.stderr.splitlines()[-1])


def test_the_example_of_the_readme_is_valid(tmp_path, dj_sandbox):
    save_named(README, "yaml", tmp_path)
    for name in ("docs.jsonl", "docs_heldout.jsonl"):
        write_texts(tmp_path / name)
    done = dj_sandbox("validate", "--config", "sandbox.yaml")
    assert done.returncode == 0, done.stderr
    assert "4 job(s)" in done.stdout


def test_the_example_of_jobs_side_by_side_runs_as_its_plan_says(tmp_path, dj_sandbox):
    page = ROOT / "docs/parallel.md"
    save_named(page, "yaml", tmp_path)
    plan = next(block for block in blocks(page, "text") if "would run" in block)
    done = dj_sandbox("plan", "side_by_side.yaml")
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    assert lines[:-1] == plan.splitlines(), done.stderr
    done = dj_sandbox("side_by_side.yaml")
    assert done.returncode == 0, done.stderr
    values = re.findall(r"^(lines|characters) +(\d+)", done.stderr, re.MULTILINE)
    assert values == [("lines", "3"), ("characters", "50")]


def test_the_example_of_the_user_guide_runs(tmp_path, dj_sandbox):
    (tmp_path / "x.yaml").write_text(blocks(GUIDE, "yaml")[0])
    for name in ("strict", "loose"):
        (tmp_path / f"{name}.jsonl").write_text('{"predicted": "a", "label": "a"}\n')
    done = dj_sandbox("--config", "x.yaml")
    assert done.returncode == 0, done.stderr
    context = json.loads((tmp_path / "outputs/two_cuts/context_infos.json").read_text())
    assert context["iterations"][0]["loose"][0]["best"]["accuracy"] == 1


def test_the_component_of_the_developer_guide_runs(tmp_path, dj_sandbox):
    code, _ = blocks(DEVELOPER, "python")
    (tmp_path / "my_parts.py").write_text(code)
    body = code[code.index("outputs =") :].strip().splitlines()
    assert len([line for line in body if line.strip()]) <= 10
    save_named(DEVELOPER, "yaml", tmp_path)
    write_texts(tmp_path / "docs.jsonl")
    here = {"PYTHONPATH": str(tmp_path)}
    listed = dj_sandbox("list", "my_parts.LongestText", env=here)
    assert "the field that holds the text." in listed.stdout
    done = dj_sandbox("--config", "sandbox.yaml", env=here)
    assert done.returncode == 0, done.stderr
    longest = max(len(json.loads(line)["text"]) for line in (tmp_path / "docs.jsonl").open())
    context = json.loads((tmp_path / "outputs/hello_world/context_infos.json").read_text())
    assert context["iterations"][0]["anonymous"][0]["characters"] == longest


@pytest.mark.slow
def test_the_test_of_the_developer_guide_passes(tmp_path):
    for name, code in zip(("my_parts", "test_my_parts"), blocks(DEVELOPER, "python"), strict=True):
        (tmp_path / f"{name}.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_my_parts.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_developer_guide_names_every_check_of_a_component(tmp_path):
    names = set(component_checks(Bench(Component, {}, tmp_path, tmp_path, {}), True, "GeneralProbeHook"))
    rows = re.findall(r"^\| (`.*`) \| .* \|$", DEVELOPER.read_text(), re.MULTILINE)
    assert names <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_nothing_names_a_folder_of_one_machine():
    for page in PAGES:
        assert not re.search(r"/(home|root|work|Users)/", page.read_text()), page


def test_the_page_of_the_search_names_every_key_and_distribution():
    page = (ROOT / "docs/search.md").read_text()
    wanted = {*sweep.KNOWN, *distributions.SHAPES} - {*sweep.FOR_WANDB, "name", "description", "metrics"}
    assert {word for word in wanted if not re.search(rf"\b{word}\b", page)} <= {"categorical_w_probabilities"}
