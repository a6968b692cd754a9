from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import digest

pytest.importorskip("torch", reason="needs the extra `train`")

TINY = {
    "max_tokens": 4000,
    "vocab_size": 400,
    "n_layer": 2,
    "n_embd": 32,
    "n_head": 2,
    "block_size": 32,
    "batch_size": 4,
    "threads": 1,
}


def test_a_model_folder_is_plain_transformers_and_tells_its_making(job, quiet, corpus):
    (folder,) = HuggingFaceTrainer(corpus, **TINY).run(job)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert Path(folder) == job.folder / "corpus_seed42"
    names = {file.name for file in Path(folder).iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "training.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pth"))}
    assert sorted(job.folder.iterdir()) == [Path(folder)]

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) == 400
    assert (model.config.n_layer, model.config.n_embd, model.config.n_positions) == (2, 32, 32)

    told = json.loads((Path(folder) / "training.json").read_text())
    assert (told["dataset"], told["dataset_path"], told["seed"], told["rows"]) == ("corpus", corpus, 42, 200)
    assert told["steps"] == 32  # 4,000 tokens, 128 a step
    assert told["epochs"] == 4000 / told["dataset_tokens"]
    assert told["parameters"]["max_tokens"] == 4000

    losses = [values["corpus_seed42"]["loss"] for _, values in quiet.values]
    assert [step for step, _ in quiet.values] == list(range(1, 33))
    assert losses[-1] == told["final_loss"]
    assert sum(losses[-5:]) < sum(losses[:5]) - 1  # it learns


def test_one_model_for_each_data_set_and_seed_in_order(job, quiet, corpus, jsonl, docstrings):
    other = jsonl("other/corpus.jsonl", [{"text": text} for text in docstrings[200:260]])
    settings = {**TINY, "max_tokens": 256}
    models = HuggingFaceTrainer([corpus, other], str(job.folder / "out"), seeds=[1, 2], **settings).run(job)
    parent = Path(corpus).parent.name
    wanted = [f"{parent}_corpus_seed1", f"{parent}_corpus_seed2", "other_corpus_seed1", "other_corpus_seed2"]
    assert [Path(model).name for model in models] == wanted
    assert len({digest(Path(model) / "model.safetensors") for model in models}) == 4
    assert digest(Path(models[0]) / "tokenizer.json") == digest(Path(models[1]) / "tokenizer.json")
    assert digest(Path(models[0]) / "tokenizer.json") == digest(Path(models[2]) / "tokenizer.json")
    assert {key for _, values in quiet.values for key in values} == set(wanted)


def tokenizers(models):
    return [digest(Path(model) / "tokenizer.json") for model in models]


def test_the_tokenizer_of_several_data_sets_is_trained_on_all_of_them_or_on_each(job, other_job, jsonl):
    paths = [jsonl(f"{name}.jsonl", [{"text": f"{name} " * 50}] * 9) for name in ("sheep", "goats")]
    settings = {**TINY, "max_tokens": 128}
    shared = HuggingFaceTrainer(paths, **settings).run(job)
    each = HuggingFaceTrainer(paths, tokenizer_per_dataset=True, **settings).run(other_job)
    vocabulary = json.loads((Path(shared[0]) / "tokenizer.json").read_text())["model"]["vocab"]
    assert {"sheep", "goats"} <= set(vocabulary)
    assert tokenizers(shared) == [digest(job.folder / "tokenizer" / "tokenizer.json")] * 2
    assert len(set(tokenizers(each))) == 2
    alone = HuggingFaceTrainer(paths[0], str(job.folder / "alone"), **settings).run(job)
    assert tokenizers(alone) == tokenizers(each)[:1]
    assert digest(Path(alone[0]) / "model.safetensors") == digest(Path(each[0]) / "model.safetensors")


def test_a_shared_tokenizer_makes_a_model_depend_on_all_data_sets_but_not_on_their_order(job, jsonl):
    first, second = (jsonl(f"{name}.jsonl", [{"text": f"{name} " * 50}] * 9) for name in ("sheep", "goats"))
    settings = {**TINY, "max_tokens": 128}
    models = HuggingFaceTrainer([first, second], **settings).run(job)
    made = [Path(model, "training.json").stat().st_ino for model in models]
    again = HuggingFaceTrainer([second, first], **settings).run(job)
    assert [Path(model, "training.json").stat().st_ino for model in reversed(again)] == made
    with Path(second).open("a") as stream:
        stream.write('{"text": "oxen oxen oxen oxen"}\n')
    models = HuggingFaceTrainer([first, second], **settings).run(job)
    assert Path(models[0], "training.json").stat().st_ino != made[0]  # its own data is unchanged, its tokenizer is not
    per_dataset = HuggingFaceTrainer([first, second], tokenizer_per_dataset=True, **settings).run(job)
    assert len(set(tokenizers(per_dataset))) == 2


def test_a_complete_model_is_trained_again_only_if_the_job_is_to_be_redone(job, jsonl):
    path, settings = jsonl("sheep.jsonl", [{"text": "sheep " * 50}] * 9), {**TINY, "max_tokens": 128}
    (model,) = HuggingFaceTrainer(path, **settings).run(job)
    made = Path(model, "training.json").stat().st_ino
    HuggingFaceTrainer(path, **settings).run(job)
    assert Path(model, "training.json").stat().st_ino == made
    HuggingFaceTrainer(path, **settings).run(replace(job, redo=True))
    assert Path(model, "training.json").stat().st_ino != made


SCRIPT = """
import json, pathlib, sys
from data_juicer_sandbox.components.base import JobRun, NullJob
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
corpus, folder, settings = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
folder.mkdir()
HuggingFaceTrainer(corpus, **settings).run(JobRun("p", "n", folder, NullJob(), NullJob()))
print("done")
"""


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_no_network_is_asked(job, corpus, tmp_path):
    (here,) = HuggingFaceTrainer(corpus, **TINY).run(job)
    no_network = (
        "import os, socket\n"
        "def refuse(*_, **__): os._exit(9)\n"  # an exception might be taken for a network that is down
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", no_network + SCRIPT, corpus, str(tmp_path / "there"), json.dumps(TINY)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"  # nothing else is printed
    assert digest(tmp_path / "there" / "corpus_seed42") == digest(here)


def test_a_finished_model_is_kept_only_for_the_same_data_and_parameters(job, quiet, corpus):
    settings = {**TINY, "max_tokens": 256}
    (folder,) = HuggingFaceTrainer(corpus, seeds=[7], **settings).run(job)
    weights = Path(folder) / "model.safetensors"
    first, made = digest(weights), weights.stat().st_ino
    watched = len(quiet.values)

    models = HuggingFaceTrainer(corpus, seeds=[7, 8], **settings).run(job)  # 7 was done before the job was killed
    assert weights.stat().st_ino == made
    assert Path(models[1]).is_dir()
    step, values = quiet.values[watched]
    assert (step, list(values["corpus_seed7"])) == (2, ["loss"])

    HuggingFaceTrainer(corpus, seeds=[7], **{**settings, "learning_rate": 1e-3}).run(job)
    assert digest(weights) != first
    HuggingFaceTrainer(corpus, seeds=[7], **settings).run(job)
    assert digest(weights) == first
    with Path(corpus).open("a") as stream:
        stream.write('{"text": "one more document"}\n')
    HuggingFaceTrainer(corpus, seeds=[7], **settings).run(job)
    assert digest(weights) != first


def test_a_shared_tokenizer(job, corpus, tmp_path):
    settings = {**TINY, "max_tokens": 256}
    (first,) = HuggingFaceTrainer(corpus, str(tmp_path / "a"), **settings).run(job)
    for given in (first, f"{first}/tokenizer.json"):
        (second,) = HuggingFaceTrainer(corpus, str(tmp_path / "b"), tokenizer_path=given, **settings).run(job)
        assert digest(Path(second) / "model.safetensors") == digest(Path(first) / "model.safetensors")
        assert json.loads((Path(second) / "training.json").read_text())["parameters"]["tokenizer_path"]["path"] == given


def test_a_training_that_breaks_down_says_so_and_leaves_nothing(job, corpus):
    with pytest.raises(JobError, match=r"corpus_seed42 diverged: its loss is nan.*lower learning_rate"):
        HuggingFaceTrainer(corpus, **{**TINY, "learning_rate": 1e30, "warmup_ratio": 0.0}).run(job)
    assert list(job.folder.iterdir()) == []


def test_missing_data(job):
    with pytest.raises(JobError, match=r"no data set at nowhere.jsonl"):
        HuggingFaceTrainer("nowhere.jsonl").run(job)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_embd": 30, "n_head": 4}, "n_embd 30 is not a multiple of n_head 4"),
        ({"vocab_size": 256}, "no room for the 256 bytes"),
        ({"block_size": 1}, "no token to predict"),
        ({"seeds": [1, 1]}, "distinct numbers"),
        ({"seeds": []}, "one or more"),
        ({"warmup_ratio": 2.0}, "between 0 and 1"),
    ],
)
def test_wrong_parameters_are_found_before_the_run(wrong, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFaceTrainer("a.jsonl", **wrong)


@pytest.mark.gpu
def test_training_on_a_gpu_is_in_bfloat16_and_repeatable(job, corpus, tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    folders = [
        HuggingFaceTrainer(corpus, str(tmp_path / name), **{**TINY, "max_tokens": 40_000}).run(job)[0] for name in "ab"
    ]
    told = json.loads((Path(folders[0]) / "training.json").read_text())
    assert (told["device"], told["precision"]) == ("cuda", "bfloat16")
    assert told["final_loss"] < 5
    assert digest(folders[0]) == digest(folders[1])
