"""Tiny random models whose predictions are far from uniform, so that a slip shows in the figures."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra `train`")
pytest.importorskip("transformers", reason="needs the extra `train`")

CONTEXT = 24


@pytest.fixture(scope="session")
def causal(tmp_path_factory, docstrings):
    """A causal model: its folder, itself, its tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    tokenizer = train_tokenizer(docstrings[:50], 300)
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=300, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return _saved(GPT2LMHeadModel(config), tokenizer, tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory, docstrings):
    """A maker of classifiers with so many labels: folder, model, tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from data_juicer_sandbox.components.train.methods import train_tokenizer

    def make(**options):
        tokenizer = train_tokenizer(docstrings[:50], 300)
        tokenizer.pad_token = tokenizer.eos_token
        torch.manual_seed(4)
        config = BertConfig(
            vocab_size=300,
            max_position_embeddings=CONTEXT,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            pad_token_id=tokenizer.pad_token_id,
            **options,
        )
        return _saved(BertForSequenceClassification(config), tokenizer, tmp_path_factory.mktemp("classifier"))

    return make


def _saved(model, tokenizer, folder):
    for weights in model.parameters():
        weights.data *= 8
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder), model, tokenizer
