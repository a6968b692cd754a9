from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from data_juicer_sandbox.components.train import training_args
from data_juicer_sandbox.components.train.dpo import PreferenceTrainer
from data_juicer_sandbox.components.train.grpo import RewardTrainer
from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer
from data_juicer_sandbox.components.train.modelscope import ModelScopeTrainer
from data_juicer_sandbox.components.train.sft import SupervisedTrainer
from data_juicer_sandbox.components.train.training_args import DECIDED, argument_names
from data_juicer_sandbox.errors import ConfigError, JobError

TRAINERS = {
    "huggingface": (HuggingFaceTrainer, {}),
    "trl_sft": (SupervisedTrainer, {"model": "m"}),
    "trl_dpo": (PreferenceTrainer, {"model": "m"}),
    "trl_grpo": (RewardTrainer, {"model": "m", "reward": "my_pkg.my_mod.reward"}),
}
CLASSES = ["TrainingArguments", "SFTConfig", "DPOConfig", "GRPOConfig"]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_arguments_that_the_component_decides_are_refused_before_the_run(trainer):
    trainer_class, needed = TRAINERS[trainer]
    refused = DECIDED | trainer_class.decided_args
    assert {"max_steps", "num_train_epochs", "per_device_train_batch_size", "seed"} <= refused
    for key in refused:
        with pytest.raises(ConfigError, match=f"training_args cannot set {key} "):
            trainer_class("a.jsonl", training_args={key: 3}, **needed)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_unknown_arguments_are_refused_before_the_run(trainer):
    pytest.importorskip("trl")
    trainer_class, needed = TRAINERS[trainer]
    with pytest.raises(ConfigError, match=r"has no argument 'optimm' \(did you mean 'optim'\?"):
        trainer_class("a.jsonl", training_args={"optimm": "sgd"}, **needed)
    trainer_class("a.jsonl", training_args={"optim": "sgd"}, **needed)


@pytest.mark.parametrize("name", CLASSES)
def test_the_names_read_from_the_source_are_those_of_the_class(name):
    trl, transformers = pytest.importorskip("trl"), pytest.importorskip("transformers")
    config_class = getattr(transformers, name, None) or getattr(trl, name)
    assert argument_names(name) == set(inspect.signature(config_class).parameters)


def test_checking_the_names_imports_no_library():
    code = (
        "import sys\n"
        "from data_juicer_sandbox.components.train.huggingface import HuggingFaceTrainer\n"
        "HuggingFaceTrainer('a.jsonl', training_args={'optim': 'sgd'})\n"
        "print({'torch', 'transformers', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("trainer", TRAINERS)
def test_all_arguments_that_a_trainer_sets_are_refused(trainer, tmp_path):
    pytest.importorskip("trl")
    trainer_class, needed = TRAINERS[trainer]
    component = trainer_class("a.jsonl", **needed)
    passed = {}

    class Arguments(component.config_class()):
        def __init__(self, **arguments):
            passed.update(arguments)
            super().__init__(**arguments)

    training_args.arguments(Arguments, component, 1, tmp_path, **component.fixed_arguments())
    overridable = {*training_args.OVERRIDABLE, "gradient_checkpointing"}
    assert passed.keys() - overridable <= DECIDED | trainer_class.decided_args


def test_an_invalid_value_is_found_before_the_data_is_prepared(job, quiet, corpus, tiny, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(HuggingFaceTrainer, "prepare_data", lambda *_: pytest.fail("data was prepared"))
    trainer = HuggingFaceTrainer(corpus, **tiny, training_args={"optim": "no_such_optimizer"})
    with pytest.raises(JobError, match=r"TrainingArguments rejects its arguments: .*no_such_optimizer"):
        trainer.run(job)


@pytest.mark.parametrize(
    "training_args",
    [{"hub_token": "hf_abc"}, {"push_to_hub_token": "x"}, {"accelerator_config": {"api_key": "x"}}],
)
def test_credentials_are_refused_before_they_are_pickled_into_checkpoints(training_args):
    with pytest.raises(ConfigError, match=r"training_args cannot set .*training_args\.bin") as raised:
        HuggingFaceTrainer("a.jsonl", training_args=training_args)
    assert "set the environment variable HF_TOKEN instead" in str(raised.value)


def test_arguments_that_only_look_like_credentials_are_accepted():
    training_args = {"hub_token": None, "include_num_input_tokens_seen": True, "eos_token": "<|end|>"}
    SupervisedTrainer("a.jsonl", "m", training_args=training_args)


@pytest.mark.parametrize("key", ["seed", "max_epochs", "train_dataset", "work_dir"])
def test_a_modelscope_trainer_refuses_the_arguments_that_it_sets(key):
    with pytest.raises(ConfigError, match=f"trainer_params cannot set {key}"):
        ModelScopeTrainer("nlp-base-trainer", "m", "a.jsonl", "out", trainer_params={key: 1})


def test_a_training_that_stops_early_is_an_error(job, corpus, tiny, monkeypatch):
    """What is recorded is what was done, even if something ends the training before its budget is spent."""
    pytest.importorskip("torch")
    from transformers import TrainerCallback

    from data_juicer_sandbox.components.train.checkpoints import Checkpoints

    class Stopper(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step >= 3

    monkeypatch.setattr(Checkpoints, "marker", lambda self: Stopper())
    with pytest.raises(JobError, match="was trained for 3 steps, not for the 32 of its budget"):
        HuggingFaceTrainer(corpus, **tiny).run(job)
    assert not (job.folder / "corpus_seed42").exists()
