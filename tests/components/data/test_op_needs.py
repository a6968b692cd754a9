"""OPs that need a package or a download are known before the run."""

from __future__ import annotations

import pytest

from data_juicer_sandbox.api import Sandbox
from data_juicer_sandbox.components.data import op_needs
from data_juicer_sandbox.components.data.catalogue import catalogue
from data_juicer_sandbox.components.data.op_needs import needs


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """No package of any OP is installed, and no model downloaded."""
    monkeypatch.setattr(op_needs, "_is_installed", lambda module: False)
    monkeypatch.setenv("DATA_JUICER_MODELS_CACHE", str(tmp_path / "models"))


def messages(name, arguments=None):
    return [need.message for need in needs(name, arguments)]


def test_a_package_and_a_model_are_named(tmp_path):
    package, model = needs("language_id_score_filter", {"lang": "en"})
    assert package.message == "`language_id_score_filter` needs the package 'fasttext-predict', which is not installed"
    assert package.hint == "pip install fasttext-predict"
    assert "downloads the model lid.176.bin" in model.message
    (tmp_path / "models").mkdir()
    (tmp_path / "models/lid.176.bin").touch()
    assert len(messages("language_id_score_filter")) == 1


def test_a_model_of_a_language():
    texts = messages("perplexity_filter", {"lang": "zh"})
    assert "`perplexity_filter` needs the package 'kenlm', which is not installed" in texts
    assert any("zh.arpa.bin" in text for text in texts)


def test_parameters_decide_what_is_needed():
    assert messages("words_num_filter", {"tokenization": False}) == messages("words_num_filter") == []
    assert any("en.sp.model" in text for text in messages("words_num_filter", {"tokenization": True}))


def test_a_model_of_the_hub(tmp_path):
    assert "uses the model 'EleutherAI/pythia-6.9b-deduped'" in messages("token_num_filter")[-1]
    assert "uses the model 'org/other'" in messages("token_num_filter", {"hf_tokenizer": "org/other"})[-1]
    assert not any("hub" in text for text in messages("token_num_filter", {"hf_tokenizer": str(tmp_path)}))


def test_plain_filters_need_nothing_and_no_op_is_a_problem():
    for name in ("text_length_filter", "special_characters_filter", "alphanumeric_filter", "document_deduplicator"):
        assert messages(name) == []
    assert messages("no_such_op") == []
    assert sum(bool(messages(name)) for name in catalogue().names) > 50


def test_validate_warns_with_the_line(config_file, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    config = config_file(
        "work_dir: out\nexecution_job_configs:\n- hook: ProcessDataHook\n  meta_name: p\n  dj_configs:\n"
        "    dataset_path: rows.jsonl\n    export_path: out/x.jsonl\n    process:\n"
        "    - text_length_filter: {min_len: 1}\n    - language_id_score_filter: {lang: en}\n"
    )
    warnings = Sandbox(str(config)).validate()
    assert len(warnings) == 2
    assert all("sandbox.yaml:10: job 'anonymous.p': `language_id_score_filter`" in warning for warning in warnings)
