"""`skip_bad_rows` means the same in every component: what it computes is what it computes without these rows."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.data.analyzer import DataJuicerAnalyzer
from data_juicer_sandbox.components.data.executor import DataJuicerExecutor
from data_juicer_sandbox.components.data.unfold import UnfoldLists
from data_juicer_sandbox.components.evaluate.accuracy import Accuracy
from data_juicer_sandbox.components.evaluate.mse import MeanSquaredError
from data_juicer_sandbox.components.evaluate.perplexity import HuggingFacePerplexity
from data_juicer_sandbox.components.evaluate.quality_classifier import DJTextQualityClassifier
from data_juicer_sandbox.components.infer.api import APIInference
from data_juicer_sandbox.components.infer.huggingface import HuggingFaceInference
from data_juicer_sandbox.components.infer.vllm import VLLMInference
from data_juicer_sandbox.components.io.allowance import Allowance
from data_juicer_sandbox.components.pools.downsampling import DataPoolDownsampling
from data_juicer_sandbox.components.probe.huggingface import HuggingFaceInferEvaluator
from data_juicer_sandbox.components.train.dpo import PreferenceTrainer
from data_juicer_sandbox.components.train.grpo import RewardTrainer
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.components.train.modelscope import ModelScopeTrainer
from data_juicer_sandbox.components.train.modelscope_link import _renamed
from data_juicer_sandbox.components.train.quality_classifier import TextQualityClassifier
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.factories import FACTORIES
from data_juicer_sandbox.signatures import argument_texts, parameters

pytest.importorskip("torch", reason="needs the extra `train`")

TINY = {
    "max_tokens": 640,
    "vocab_size": 300,
    "n_layer": 1,
    "n_embd": 16,
    "n_head": 2,
    "block_size": 32,
    "batch_size": 4,
}
QUICK = {"max_steps": 2, "batch_size": 4, "threads": 1}
BROKEN = '{"text": "cut off'
WITHOUT = ("data_pool_ranking", "lm_eval", "evalscope", "command", "python_docs_corpus", "inline_rows")
"""Components that read no rows, or let a program read them."""


@pytest.fixture(scope="module")
def model(tmp_path_factory, docstrings):
    folder = tmp_path_factory.mktemp("base")
    (folder / "t.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in docstrings[:60]))
    quiet = NullJob()
    settings = {**TINY, "block_size": 128, "threads": 1}
    return HuggingFaceTrainer(str(folder / "t.jsonl"), **settings).run(JobRun("p", "base", folder, quiet, quiet))[0]


def content(folder):
    """The digests of the files of a model that do not name its data set."""
    names = ("model.safetensors", "tokenizer.json", "weights.npz")
    return {
        name: hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest()
        for name in names
        if (Path(folder) / name).exists()
    }


def texts(docstrings):
    return [{"text": text[:80]} for text in docstrings[:24]], [BROKEN, '{"other": 1}', '{"text": "\\ud800"}', "[]"]


def trained(kind, *arguments, **settings):
    return lambda job, path, skip: content(kind(path, *arguments, **settings, skip_bad_rows=skip).run(job)[0])


def from_scratch(docstrings, model):
    return (*texts(docstrings), trained(HuggingFaceTrainer, **TINY, threads=1))


def evaluated_on_the_way(docstrings, model):
    def run(job, path, skip):
        good = job.folder / "good.jsonl"
        good.write_text('{"text": "some text"}\n' * 9)
        HuggingFaceTrainer(
            str(good), str(job.folder / "m"), **TINY, threads=1, eval_dataset_path=path, skip_bad_rows=skip
        ).run(job)
        return [values["good_seed42"]["eval"] for _, values in job.watcher.values if "eval" in str(values)]

    return (*texts(docstrings), run)


def side_by_side(docstrings, model):
    """In processes of their own, with one tokenizer for both data sets."""

    def run(job, path, skip):
        other = job.folder / "other.jsonl"
        other.write_text('{"text": "some text"}\n' * 9)
        trainer = HuggingFaceTrainer(
            [path, str(other)], str(job.folder / "m"), **TINY, max_parallel=2, threads=1, skip_bad_rows=skip
        )
        return [content(folder) for folder in trainer.run(job)]

    return (*texts(docstrings), run)


def on_chats(docstrings, model):
    chats = [
        {"messages": [{"role": "user", "content": f"after {n}?"}, {"role": "assistant", "content": f"{n + 1}."}]}
        for n in range(12)
    ]
    bad = [BROKEN, '{"messages": "a text"}', '{"messages": []}', '{"prompt": "other", "completion": "form"}']
    return chats, bad, trained(SupervisedTrainer, model, **QUICK)


def on_preferences(docstrings, model):
    rows = [{"prompt": f"{n} and", "chosen": " more", "rejected": " fewer"} for n in range(12)]
    return rows, [BROKEN, '{"prompt": "no answers"}', '{"chosen": 1, "rejected": "a"}'], trained(
        PreferenceTrainer, model, **QUICK
    )  # fmt: skip


def with_rewards(docstrings, model):
    rows = [{"prompt": f"def f{n}(", "letter": "e"} for n in range(12)]
    settings = {**QUICK, "num_generations": 2, "max_completion_length": 4, "reward": f"{__name__}.longest"}
    return rows, [BROKEN, '{"prompt": null}'], trained(RewardTrainer, model, **settings)


def longest(completions, **_):
    return [float(len(text)) for text in completions]


def a_classifier(docstrings, model):
    def run(job, path, skip):
        bad = job.folder / "bad.jsonl"
        bad.write_text('{"text": "buy now, cheap"}\n' * 9)
        return content(TextQualityClassifier(path, str(bad), epochs=2, held_out=0, skip_bad_rows=skip).run(job))

    return (*texts(docstrings), run)


def scored_by_a_classifier(docstrings, model):
    def run(job, path, skip):
        files = [job.folder / name for name in ("good.jsonl", "bad.jsonl")]
        for file, text in zip(files, ("a good text", "buy now"), strict=True):
            file.write_text(json.dumps({"text": text}) + "\n")
        folder = TextQualityClassifier(*map(str, files), held_out=0).run(job)
        _, _, (scored,) = DJTextQualityClassifier(path, folder, skip_bad_rows=skip).run(job)
        return Path(scored).read_text()

    return (*texts(docstrings), run)


def perplexity(docstrings, model):
    def run(job, path, skip):
        scores, _ = HuggingFacePerplexity([model, model], path, threads=1, skip_bad_rows=skip).run(job)
        return [{**score, "dataset": None} for score in scores]

    return (*texts(docstrings), run)


def accuracy(docstrings, model):
    def run(job, path, skip):
        _, best = Accuracy(path, skip_bad_rows=skip).run(job)
        return {**best, "dataset": None}

    return [{"predicted": n % 3, "label": n % 2} for n in range(9)], [BROKEN, "5"], run


def squared_error(docstrings, model):
    def run(job, path, skip):
        _, best = MeanSquaredError(path, skip_bad_rows=skip).run(job)
        return {**best, "dataset": None}

    return [{"predicted": n % 3, "label": n % 2} for n in range(9)], [BROKEN, "5"], run


def probe(docstrings, model):
    def run(job, path, skip):
        path, summary = HuggingFaceInferEvaluator(model, path, threads=1, batch_size=2, skip_bad_rows=skip).run(job)
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        return [{**row, "__feedback__": row["__feedback__"]["loss"]} for row in rows], summary["probed"]

    return (*texts(docstrings), run)


def probe_of_a_sample(docstrings, model):
    def run(job, path, skip):
        path, summary = HuggingFaceInferEvaluator(
            model, path, threads=1, data_probe_ratio=0.5, data_probe_algo="stratified", strata_key="kind",
            skip_bad_rows=skip,
        ).run(job)  # fmt: skip
        return Path(path).read_text(), summary

    rows, _ = texts(docstrings)
    return [{**row, "kind": n % 3} for n, row in enumerate(rows)], [BROKEN, "[]", "null"], run


def inference(docstrings, model):
    def run(job, path, skip):
        target = str(job.folder / "out.jsonl")
        return Path(
            HuggingFaceInference(
                model, path, target, sampling_params={"max_tokens": 3}, threads=1, skip_bad_rows=skip
            ).run(job)
        ).read_text()

    return [{"query": f"q{n}"} for n in range(9)], [BROKEN, "[]", "null"], run


def inference_of_a_server(docstrings, model):
    pytest.importorskip("openai", reason="pip install -e '.[api]'")
    from fault_server import FaultServer

    def run(job, path, skip):
        with FaultServer() as server:
            target = str(job.folder / "out.jsonl")
            settings = {"api_endpoint": server.url, "skip_bad_rows": skip, "max_rows": 7}
            return Path(APIInference("m", path, target, **settings).run(job)).read_text()

    return [{"query": f"q{n}"} for n in range(9)], [BROKEN, "[]"], run


def data_juicer(docstrings, model):
    def run(job, path, skip):
        recipe = {"dataset_path": path, "process": [{"text_length_filter": {"min_len": 1}}], "np": 1}
        files = [kind(recipe, skip_bad_rows=skip).run(job) for kind in (DataJuicerExecutor, DataJuicerAnalyzer)]
        return [Path(file).read_text() for file in files]

    return [{"text": "some"}] * 3, [BROKEN], run


def a_pool(docstrings, model):
    def run(job, path, skip):
        (pool,) = DataPoolDownsampling(path, str(job.folder / "out"), target_num_samples=2, skip_bad_rows=skip).run(job)
        return Path(pool).read_text()

    return [{"text": f"some {n}"} for n in range(3)], [BROKEN, "[]"], run


def unfolded(docstrings, model):
    def run(job, path, skip):
        target = str(job.folder / "out.jsonl")
        return Path(UnfoldLists(path, target, list_key="all", skip_bad_rows=skip).run(job)).read_text()

    return [{"all": [1, 2]}], [BROKEN], run


CASES = [
    from_scratch, evaluated_on_the_way, side_by_side, on_chats, on_preferences, with_rewards, a_classifier,
    scored_by_a_classifier, perplexity, accuracy, squared_error, probe, probe_of_a_sample, inference,
    inference_of_a_server, data_juicer, a_pool, unfolded,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_bad_rows_are_named_counted_and_make_no_difference(case, docstrings, model, tmp_path, monkeypatch, log):
    monkeypatch.chdir(tmp_path)
    rows, bad, run = case(docstrings, model)
    good = [json.dumps(row) for row in rows]
    lines = list(good)
    for number, line in enumerate(bad):  # the first row is good, since it decides the form of the others
        lines.insert(1 + 2 * number if 1 + 2 * number < len(lines) else len(lines), line)
    bad_numbers = [number for number, line in enumerate(lines, 1) if line in bad]
    folders = {}
    for name, written in (("clean", good), ("dirty", lines)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "data.jsonl").write_text("".join(line + "\n" for line in written))
    path = str(folders["dirty"] / "data.jsonl")

    def job(name):
        quiet = NullJob()
        (tmp_path / "jobs" / name).mkdir(parents=True)
        return JobRun("p", "a_job", tmp_path / "jobs" / name, quiet, quiet)

    clean, dirty = job("clean"), job("dirty")
    expected = run(clean, str(folders["clean"] / "data.jsonl"), 0)
    assert expected
    assert "bad_rows" not in clean.watcher.query("a_job")
    log.clear()
    assert run(dirty, path, len(bad)) == expected
    assert dirty.watcher.query("a_job")["bad_rows"] == len(bad)
    named = [int(match[1]) for line in log if (match := re.search(r"dirty/data\.jsonl:(\d+): .*skipped$", line))]
    assert sorted(set(named)) == bad_numbers
    assert len(named) == len(bad_numbers) or case is data_juicer  # it runs two components
    if len(bad) > 1:
        with pytest.raises(JobError, match=r"skip_bad_rows|text_key|fields") as refused:
            run(job("too many"), path, len(bad) - 1)
        assert re.search(r"dirty/data\.jsonl:\d+", str(refused.value))
    with pytest.raises(JobError) as refused:
        run(job("none"), path, 0)
    assert f"dirty/data.jsonl:{bad_numbers[0]}" in str(refused.value)


def test_every_component_that_reads_rows_has_it():
    for factory in FACTORIES.values():
        for name in factory.types():
            component = factory.find(name)
            names = parameters(component)[0]
            if name not in WITHOUT:
                assert "skip_bad_rows" in names, name
                assert "skip_bad_rows" in argument_texts(component), name
    assert "skip_bad_rows" in parameters(VLLMInference)[0]
    assert "skip_bad_rows" in parameters(ModelScopeTrainer)[0]


def test_rows_of_modelscope_trainers(tmp_path, log):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "__dj__stats__": {}}\nno JSON\n{"other": 1}\n{"text": "b"}\n')
    allowance = Allowance(2)
    assert list(_renamed(str(path), {"text": "src_txt"}, allowance)) == [{"src_txt": "a"}, {"src_txt": "b"}]
    assert allowance.skipped == 2
    assert [line.split(": ")[0].rpartition("/")[2] for line in log] == ["rows.jsonl:2", "rows.jsonl:3"]
    with pytest.raises(JobError, match=r"rows\.jsonl:2: not a JSON row.*skip_bad_rows: N tolerates N such rows"):
        list(_renamed(str(path), {}, Allowance()))


def test_labels_of_another_data_set_have_no_bad_rows():
    with pytest.raises(ConfigError, match="skip_bad_rows and label_path exclude each other"):
        Accuracy("a.jsonl", label_path="b.jsonl", skip_bad_rows=1)


def test_a_row_that_is_read_again_is_counted_once(tmp_path):
    allowance = Allowance(2)
    for _ in range(3):
        allowance.skip(tmp_path / "a.jsonl", 1, "bad")
        allowance.skip(tmp_path / "a.jsonl", 7, "bad")
    assert (allowance.skipped, allowance.remaining) == (2, 0)
    with pytest.raises(JobError, match=r"a\.jsonl:8: bad \(skip_bad_rows: 2 is exceeded\)"):
        allowance.skip(tmp_path / "a.jsonl", 8, "bad")


def test_an_interrupted_inference_is_resumed_with_the_same_rows_skipped(tmp_path, docstrings):
    pytest.importorskip("openai", reason="pip install -e '.[api]'")
    from fault_server import Fault, FaultServer

    path, quiet = tmp_path / "d.jsonl", NullJob()
    path.write_text('{"query": "q0"}\n' + BROKEN + '\n{"query": "q1"}\n[]\n{"query": "q2"}\n')
    job = JobRun("p", "a_job", tmp_path, quiet, quiet)

    def run(server):
        settings = {"api_endpoint": server.url, "retry_wait": 0.002, "max_retry_num": 0, "skip_bad_rows": 2}
        return APIInference("m", str(path), str(tmp_path / "o.jsonl"), **settings, max_failures=0).run(job)

    with FaultServer(scripted={"q2": [Fault(500)]}) as server, pytest.raises(JobError):
        run(server)
    with FaultServer() as server:
        rows = [json.loads(line) for line in Path(run(server)).read_text().splitlines()]
        assert [asked.prompt for asked in server.asked] == ["q2"]
    assert [(row["query"], row["response"]) for row in rows] == [(f"q{n}", f"answer to q{n}") for n in range(3)]
