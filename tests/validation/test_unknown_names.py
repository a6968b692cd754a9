"""Under an unknown hook or type the rest of the job is checked too, so that one round is enough."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.errors import ConfigErrors


@pytest.fixture
def problems(config_file):
    """The errors of a config with one job."""

    def found(**job):
        with pytest.raises(ConfigErrors) as raised:
            Sandbox(str(config_file({"work_dir": "out", "execution_job_configs": [job]}))).validate()
        return [problem.what for problem in raised.value.problems]

    return found


def test_under_an_unknown_type(problems):
    extra = {"type": "inline_row", "rows": 7, "exprot_path": "x.jsonl"}
    found = problems(hook="GeneralDataExecutorHook", extra_configs=extra)
    assert any("unknown type 'inline_row'" in what for what in found)
    assert any("unknown parameter 'exprot_path'" in what for what in found)
    assert any("rows" in what and "expected" in what for what in found)


def test_under_an_unknown_hook(problems):
    extra = {"type": "inline_rowz", "rows": 7, "export_path": "x.jsonl"}
    found = problems(hook="GeneralDataExecuterHook", extra_configs=extra)
    assert any("unknown hook" in what for what in found)
    assert any("unknown type 'inline_rowz'" in what for what in found)
    assert any("rows" in what and "expected" in what for what in found)


def test_the_recipe_of_a_hook_like_no_other(problems):
    recipe = {"dataset_path": "missing.jsonl", "export_path": "x.jsonl", "process": [{"text_lenght_filter": None}]}
    found = problems(hook="Zzz", dj_configs=recipe)
    assert any("unknown hook 'Zzz'" in what for what in found)
    assert any("unknown OP `text_lenght_filter`" in what for what in found)


def test_nothing_is_taken_for_similar_that_is_a_class_of_the_user(problems):
    found = problems(hook="no_such_package.TrainModelHook", extra_configs={"type": "huggingface", "odd": 1})
    assert len(found) == 1
    found = problems(hook="TrainModelHook", extra_configs={"type": "no_such_package.huggingface", "odd": 1})
    assert len(found) == 1
