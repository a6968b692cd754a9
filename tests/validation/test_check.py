"""Every static error at once, with file, line and the nearest right name."""

import subprocess
import sys
from pathlib import Path

import pytest

from data_juicer_sandbox.config.loader import load_or_raise
from data_juicer_sandbox.validation import validate


@pytest.fixture
def problems(config_file):
    def call(value):
        return [str(problem) for problem in validate(load_or_raise(str(config_file(value)))).problems]

    return call


def probe(**keys):
    return {"hook": "GeneralProbeHook", "extra_configs": {"type": "toy_lab.steps.Give"}, **keys}


def make(**extra):
    type_name = "toy_lab.steps.MakeRows"
    return {
        "hook": "GeneralDataExecutorHook",
        "extra_configs": {"type": type_name, "export_path": "o/a.jsonl", **extra},
    }


def scale(path, **keys):
    extra = {"type": "toy_lab.steps.ScaleRows", "dataset_path": path, "export_path": "o/b.jsonl"}
    return {"hook": "GeneralDataExecutorHook", "extra_configs": extra, **keys}


def test_a_good_config_has_no_problems(problems):
    jobs = [
        {**make(rows=3), "meta_name": "m", "output": "path"},
        scale("o/a.jsonl", input={"extra_configs.factor": "m.path"}),
    ]
    assert problems({"execution_job_configs": jobs}) == []


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (probe(hook="GeneralProbHook"), "unknown hook 'GeneralProbHook' (did you mean 'GeneralProbeHook'?"),
        (probe(hook="toy_lab.steps.Give"), "is not a hook"),
        (probe(hook="no.such.Hook"), "cannot import 'no.such.Hook'"),
        (probe(extra_configs={"type": "toy_lab.steps.Gave"}), "cannot import 'toy_lab.steps.Gave'"),
        (probe(extra_configs=None), "`type` is missing"),
        (probe(extra_configs={"type": 3}), "`type` is a name, not 3"),
        (probe(extra_configs={"type": "pathlib.Path"}), "pathlib.Path is not a component (a class derived from"),
        (
            {"hook": "EvaluateDataHook", "extra_configs": {"type": "acuracy", "dataset_path": "*.jsonl"}},
            "unknown type 'acuracy' for DataEvaluatorFactory (did you mean 'accuracy'? known: accuracy, ",
        ),
        (make(row=3), "unknown parameter 'row' (did you mean 'rows'? known: delay, export_path, rows, seed)"),
        (make(rows="many"), "parameter 'rows': expected int, got 'many'"),
        (make(rows=True), "parameter 'rows'"),
        (make(rows=1.5), "parameter 'rows'"),
        (make(delay=[1]), "parameter 'delay'"),
        (
            probe(hook="GeneralDataExecutorHook", extra_configs={"type": "toy_lab.steps.MakeRows"}),
            "'export_path' is missing",
        ),
        (scale("none.jsonl"), "`extra_configs.dataset_path` names 'none.jsonl', which does not exist"),
        ({**make(), "output": ["a", "b"]}, "has 2 output names, but 1 output(s): path"),
        (probe(input={"extra_configs.value": "-1.x"}), "reads '-1.x', but no job comes before it"),
        (
            probe(input={"extra_configs.value": "later.res_1"}),
            "reads 'later.res_1', which is not an output of an earlier job",
        ),
        (
            probe(dj_configs="none.yaml"),
            "`dj_configs` names 'none.yaml', which does not exist and which no earlier job writes",
        ),
        ({"hook": "ProcessDataHook"}, "needs a recipe: `dj_configs` is missing"),
    ],
)
def test_one_fault_one_message(problems, job, said):
    found = problems({"execution_job_configs": [job, probe(meta_name="later")]})
    assert len(found) == 1, found
    assert said in found[0]
    assert "sandbox.yaml:" in found[0]


def test_ten_mistakes_are_ten_lines(dj_sandbox):
    path = Path(__file__).with_name("ten_mistakes.yaml")
    made = dj_sandbox("validate", "--config", str(path), cwd=path.parent.parent.parent)
    assert made.returncode == 2
    first, *lines = made.stderr.splitlines()
    assert first == "dj-sandbox: 10 errors in the config:"
    found = [(int(line.split(".yaml:")[1].partition(":")[0]), line) for line in lines]
    text = path.read_text().splitlines()
    for number, wrong, right in (
        (3, "experimnt_name", "'experiment_name'"),
        (7, "ProbeViaAnalizerHook", "'ProbeViaAnalyzerHook'"),
        (15, "text_lenght_filter", "`text_length_filter`"),
        (16, "min_nun", "`min_num`"),
        (17, "k: three", "expected float, got 'three'"),
        (21, "nowhere.jsonl", "which does not exist"),
        (22, "[data, stats]", "1 output(s)"),
        (27, "data.proces.data", "'data.process.data'"),
        (28, "hugingface", "'huggingface'"),
        (31, "train", "already used on line 26"),
    ):
        assert wrong in text[number - 1]
        assert [line for at, line in found if at == number and right in line], (number, lines)


def test_references_are_judged_by_name_output_and_order(problems):
    jobs = [
        probe(meta_name="first", output="a"),
        make() | {"meta_name": "made"},
        probe(meta_name="x", input={"extra_configs.value": "first.b"}),
        probe(meta_name="y", input={"extra_configs.value": "made.res_2"}),
        probe(meta_name="z", input={"extra_configs.value": "other.first.a"}),
        probe(meta_name="w", input={"extra_configs.value": "anonymous.first.a.deeper.0"}),
        probe(meta_name="v", input={"extra_configs.value": "-1.res_7"}),  # `w` puts out nobody knows how many
    ]
    found = problems({"execution_job_configs": jobs})
    assert len(found) == 3
    assert "job 'anonymous.first' has no output 'b' (outputs: a)" in found[0]
    assert "job 'anonymous.made' has no output 'res_2' (did you mean 'res_1'?" in found[1]
    assert "'other.first.a', which is not an output of an earlier job" in found[2]


def test_what_input_and_local_set_is_not_judged(problems):
    job = scale("<placeholder>", local={"extra_configs.factor": "text"}, input={"extra_configs.dataset_path": "m.path"})
    job["extra_configs"]["factor"] = "<placeholder>"
    whole = probe(input={"dj_configs": "m.path", "extra_configs": "m.path"}, dj_configs="<placeholder>")
    assert problems({"execution_job_configs": [{**make(), "meta_name": "m", "output": "path"}, job, whole]}) == []


def test_files_that_an_earlier_job_makes_need_not_be_there(problems):
    jobs = [make(), scale("o/a.jsonl"), {**scale("./o/b.jsonl"), "dj_configs": None}]
    jobs[2]["extra_configs"]["export_path"] = "o/c.jsonl"
    assert problems({"execution_job_configs": jobs}) == []
    assert len(problems({"execution_job_configs": jobs[::-1]})) == 2


def test_a_fault_in_a_config_file_is_placed_there(problems, config_file):
    config_file("type: toy_lab.steps.MakeRows\nexport_path: o/x.jsonl\nrwos: 3\n", "extra.yaml")
    (found,) = problems({"execution_job_configs": [make() | {"extra_configs": "extra.yaml"}]})
    assert found.startswith("extra.yaml:3: ")


def test_an_unknown_variable_in_a_config_file(problems, config_file):
    config_file("type: toy_lab.steps.Give\nvalue: ${wrk_dir}\n", "extra.yaml")
    (found,) = problems({"probe_job_configs": [probe(extra_configs="extra.yaml")]})
    assert "unknown variable ${wrk_dir} (did you mean 'work_dir'?" in found


def test_targets_name_jobs_and_outputs(problems):
    value = {
        "probe_job_configs": [make() | {"meta_name": "m", "output": "path"}],
        "iter_targets": ["anonymous.m.path >= 1", "anonymous.m.pth >= 1", "anonymous.n.path >= 1"],
        "iter_updater": {
            "anonymous.m.path": "anonymous.m.extra_configs.rows",
            "anonymous.m.x": "anonymous.q.extra_configs.r",
        },
    }
    found = problems(value)
    assert len(found) == 4
    assert "has no output 'pth' (did you mean 'path'?" in "\n".join(found)
    assert "this job does not exist (did you mean 'anonymous.m'?" in "\n".join(found)


@pytest.mark.parametrize(("key", "value"), [("max_iter_num", 0), ("patience", 2), ("watchers", ["wanbd"])])
def test_top_level_keys(problems, key, value):
    (found,) = problems({key: value, "probe_job_configs": []})
    assert "sandbox.yaml:1: " in found


def test_nothing_heavy_is_imported(config_file, support_path):
    """`validate`, `plan`, `list` and an empty run leave the libraries that take seconds alone."""
    path = config_file(
        {
            "work_dir": "o",
            "execution_job_configs": [
                make(),
                {
                    "hook": "ProcessDataHook",
                    "dj_configs": {"process": [{"text_length_filter": {}}], "dataset_path": "o/a.jsonl"},
                },
            ],
        }
    )
    empty = config_file({"work_dir": "o", "pipelines": {"p": {}}}, "empty.yaml")
    heavy = "pandas numpy torch ray data_juicer datasets transformers wandb pyarrow matplotlib"
    for arguments in (
        ["validate", "--config", str(path)],
        ["plan", "--config", str(path)],
        ["list"],
        ["--config", str(empty)],
    ):
        code = (
            "import sys; from data_juicer_sandbox.cli.main import main; code = main(sys.argv[2:]);"
            "loaded = [name for name in sys.argv[1].split() if name in sys.modules];"
            "sys.exit(f'{code} {loaded}' if code or loaded else 0)"
        )
        made = subprocess.run(
            [sys.executable, "-c", code, heavy, *arguments],
            capture_output=True, text=True, check=False, env={"PYTHONPATH": support_path, "PATH": ""}, cwd=path.parent,
        )  # fmt: skip
        assert made.returncode == 0, (arguments, made.stderr)
