"""What is masked, and what must not be."""

import pytest

from data_juicer_sandbox import secrets
from data_juicer_sandbox.secrets import is_secret, mask, mask_text, remember

KEY = "sk-" + "a1B2" * 6


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "OPENAI_API_KEY",
        "x-api-key",
        "token",
        "hf_token",
        "HF_TOKEN",
        "mycorp_token",
        "client_secret",
        "password",
        "Authorization",
        "aws_secret_access_key",
        "access_key_id",
        "extra_configs.model_params.api_key",
        "wandbApiKey",
        "private_key",
    ],
)
def test_names_of_secrets(name):
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "tokenizer",
        "token_num",
        "eos_token",
        "pad_token",
        "image_token",
        "num_tokens",
        "tokens_per_step",
        "special_token_ids",
        "key",
        "text_key",
        "stats_keys",
        "ranking_keys",
        "infer_res_key",
        "api_key_env",
        "author",
        "token_type",
        "password_file",
    ],
)
def test_names_of_no_secrets(name):
    assert not is_secret(name)


def test_mask_goes_deep_and_leaves_the_original():
    given = {"a": [{"api_key": "12345678"}, ("x", {"password": 7})], "max_tokens": 5, "note": f"use {KEY}, say"}
    assert mask(given) == {
        "a": [{"api_key": "***"}, ("x", {"password": "***"})],
        "max_tokens": 5,
        "note": "use ***, say",
    }
    assert given["a"][0] == {"api_key": "12345678"}


@pytest.mark.parametrize("value", [None, True, "", 5, "<|user|>", "[PAD]"])
def test_a_token_that_is_no_credential_is_shown(value):
    assert mask({"my_token": value}) == {"my_token": value}


@pytest.mark.parametrize(
    "text", [KEY, "hf_" + "Zz" * 12, "AKIA" + "A1" * 8, "ghp_" + "a" * 30, "Bearer abcdefgh12345678", "//me:pw@host"]
)
def test_strings_that_look_like_keys(text):
    text = text.replace("//", "mysql://")
    assert "***" in mask(text)
    assert "pw@" not in mask(text)


@pytest.mark.parametrize("text", ["task-" + "a1B2" * 6, "a basic understanding of things", "sk-learn", "/a/b/hf_x.txt"])
def test_ordinary_strings_stay(text):
    assert mask(text) == mask_text(text) == text


def test_a_flag_hides_the_word_after_it():
    assert mask(["run", "--api-key", "abc", "--token=abcdefgh", "--max-tokens", "3"]) == [
        "run", "--api-key", "***", "--token=***", "--max-tokens", "3",
    ]  # fmt: skip


def test_text():
    said = mask_text(
        "WARNING: api_key=abc, --secret-key xyz max_tokens=12 'password': 'q w' token: foo OPENAI_API_KEY=z"
    )
    assert (
        said == "WARNING: api_key=***, --secret-key *** max_tokens=12 'password': '*** w' token: foo OPENAI_API_KEY=***"
    )


def test_a_masked_secret_is_known_in_every_text_after():
    mask({"api_key": "correct horse battery"})
    assert mask_text("401: key <correct horse battery> is wrong") == "401: key <***> is wrong"
    remember("short")
    assert mask_text("short words stay") == "short words stay"


def test_environment(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_API_KEY", "nothing-like-a-key")
    secrets.remember_environment()
    assert mask(["nothing-like-a-key"]) == ["***"]


def test_the_current_folder_is_no_password(monkeypatch):
    monkeypatch.setenv("PWD", "/home/somebody/lab")
    monkeypatch.setenv("OLDPWD", "/home/somebody/old")
    secrets.remember_environment()
    said = "in /home/somebody/lab and /home/somebody/old"
    assert secrets.mask_text(said) == said
