"""What is masked, and what must not be."""

import json
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd
import pytest

from data_juicer_sandbox import secrets
from data_juicer_sandbox.secrets import (
    MASK,
    is_secret,
    mask,
    mask_known,
    mask_text,
    remember,
    shorten,
    shown,
)

KEY = "sk-" + "a1B2" * 6


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(secrets, "_secrets", set())


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
        "Ocp-Apim-Subscription-Key",
        "x-functions-key",
        "masterKey",
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
    given = {"a": [{"api_key": "12345678"}, ("x", {"password": "7"})], "max_tokens": 5, "note": f"use {KEY}, say"}
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
        said == "WARNING: api_key=***, --secret-key *** max_tokens=12 'password': '***' token: foo OPENAI_API_KEY=***"
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


NUMBERS = {
    "auth_rate": 0.5,
    "password_strength": 3,
    "cookie_rate": 1e-3,
    "bearer_count": 12,
    "secret_share": float("inf"),
}


def test_numbers_are_no_secrets():
    values = {**NUMBERS, "auth": {"secret_lengths": [1, 2.5], "password": 7}, "api_key": True}
    assert mask({key: value for key, value in values.items() if key != "auth"}) == {**NUMBERS, "api_key": True}
    assert mask({"secret_lengths": [1, 2.5], "password": 7}) == {"secret_lengths": [1, 2.5], "password": 7}


@pytest.mark.parametrize("form", ["{}={!r}", "{}: {!r}", "{{'{}': {!r}}}", '"{}": {!r},', "--{}={!r}", "?{}={!r}"])
def test_numbers_are_no_secrets_in_texts_either(form):
    for name, number in NUMBERS.items():
        text = form.format(name, number)
        assert mask_text(text) == mask(text) == text


@pytest.mark.parametrize("name", [*NUMBERS, "password"])
def test_words_under_such_names_are_secrets(name):
    assert mask({name: "twelve"}) == {name: "***"}
    assert mask_text(f"{name}=twelve") == f"{name}=***"


@pytest.mark.parametrize("text", ["password=12345678", "password: '12345678'", "API_KEY=12345678", "?api_key=12345678"])
def test_a_secret_of_digits(text):
    assert "1234" not in mask_text(text)


HIDDEN = "Zx81-q.7_Kp2mWv"
FORMS = [
    "https://host/v1/chat?api_key={}&model=m",
    "http://host/?sig={}",
    "https://host/v1?model=m&key={}",
    "X-Api-Key: {}",
    "-HX-Api-Key: {}",
    "Authorization: Token {}",
    "Cookie: session={}; other={}",
    "Ocp-Apim-Subscription-Key: {}",
    "API_KEY={}",
    "env API_KEY={} program",
    "bash -c 'export MY_TOKEN={}; program'",
    '{{"model": "m", "api_key": "{}"}}',
    '{{"model": "m", "password": "two words, and {}"}}',
    '{{"headers": "{{\\"x-api-key\\": \\"{}\\"}}"}}',
    "api_key: {}\nmodel: m",
    "curl -H 'x-functions-key: {}' http://host",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masker", [mask_text, mask, lambda text: mask([["--header", text]])[0][1]])
def test_pairs_in_texts_and_in_the_strings_of_configs(form, masker):
    masked = masker(form.format(HIDDEN, HIDDEN))
    assert "***" in masked
    assert HIDDEN[:6] not in masked
    assert HIDDEN[-6:] not in masked


def test_a_secret_in_a_string_of_a_config_is_known_afterwards():
    mask({"argv": ["curl", "-H", f"X-Api-Key: {HIDDEN}"]})
    assert mask_text(f"curl: {HIDDEN} was refused") == "curl: *** was refused"


@pytest.mark.parametrize(
    "text",
    [
        "Give me the password: it is a game",
        "a cookie: yes",
        "the keys = a, b",
        "What is the secret: a riddle",
        "https://host/data?split=train&text_key=text",
    ],
)
def test_prose_in_a_config_stays(text):
    assert mask(text) == text


PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "aB3/+x9Q\n" * 6 + "-----END RSA PRIVATE KEY-----"
SHAPES = {
    "openai": "sk-" + "a1B2" * 12,
    "hugging face": "hf_" + "Zz9y" * 9,
    "aws": "AKIA" + "A1B2" * 4,
    "github": "ghp_" + "a1B2" * 9,
    "github, new": "github_pat_" + "a1B2" * 9,
    "gitlab": "glpat-" + "a1B2" * 5,
    "google": "AIza" + "a1B2" * 9,
    "slack": "xoxb-" + "1a2B" * 9,
    "wandb": "wandb_v1_" + "a1B2" * 9,
    "web token": "eyJ" + "a1B2" * 9 + "." + "b2C3" * 9 + "." + "d4E5" * 9,
    "known by value": "correct-horse-battery-staple",
}
"""Secrets that are known by their looks, or by their value."""
AROUND = [
    "it says: {} is wrong",
    "{}",
    "'{}'",
    "Bearer {}",
    "https://me:{}@host/v1",
    *(form.replace("{}", "{0}") for form in FORMS),
]


@pytest.mark.parametrize("name", SHAPES)
def test_no_part_of_a_secret_is_shown_wherever_a_text_is_cut(name):
    secret = SHAPES[name]
    secrets.remember(SHAPES["known by value"])
    for form in AROUND:
        text = form.format(secret)
        for limit in range(len(text) + 2):
            for cut in (
                shorten(text, limit),
                shorten(text, limit, "..."),
                shown(text, limit),
                shown([{"x": text}], limit),
            ):
                assert secret[:6] not in cut, (form, limit)
                assert len(cut) <= limit + 3


def test_no_part_of_a_private_key_is_shown():
    for limit in range(300):
        assert "aB3/" not in shorten(f"it says {PRIVATE_KEY} and more", limit)
    lines = PRIVATE_KEY.split("\n")
    for first in range(len(lines)):  # the last lines of a program's output
        assert "aB3/" not in mask_text("\n".join(["before"] * (first == 0) + lines[first:] + ["after"]))
        assert mask_text("\n".join([*lines[first:], "after"])).endswith("***\nafter")


def test_a_value_is_masked_by_its_key_and_in_depth():
    assert shown("plain word", key="api_key") == "'***'"
    assert shown({"api_key": "plain word", "n": 3}) == "{'api_key': '***', 'n': 3}"
    assert shown(["--api-key", "plain"]) == "['--api-key', '***']"
    assert shown(0.5, key="auth_rate") == "0.5"
    assert shown("x" * 100) == "'" + "x" * 59


def test_a_long_text_is_cut_first_between_two_words():
    text = ("word " * 400_000) + KEY
    assert shorten(text, 10) == "word word "
    assert shorten("x" * (1 << 21), 5) == "xxxxx"


@pytest.mark.parametrize(
    "value", [np.arange(3), np.array(["", "b"]), pd.DataFrame({"a": [1, 2]}), pd.Series([""])], ids=repr
)
def test_tables_and_arrays_are_values_too(value):
    """An `input` puts them into a config; comparing one with a text gives an array, not a truth value."""
    assert mask({"rows": value})["rows"] is value
    assert mask({"api_key": value})["api_key"] == MASK


URL_KEY = "Zq9xVt7LmP2wRk4sNb6y"


@pytest.mark.parametrize(
    ("url", "shown_url"),
    [
        (f"https://{URL_KEY}@host/x", "https://***@host/x"),
        (f"https://user:pa@{URL_KEY}@host/x", "https://user:***@host/x"),
        (f"postgres://user:{URL_KEY}/x@host/db", "postgres://user:***@host/db"),
        (f"redis://:{URL_KEY}@host:6379/0", "redis://:***@host:6379/0"),
        (f"https://host/x?X-Amz-Signature={URL_KEY}&a=b", "https://host/x?X-Amz-Signature=***&a=b"),
        (f'["https://host:80","{URL_KEY[:5]}@host"]', f'["https://host:80","{URL_KEY[:5]}@host"]'),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("http://host:8080/data@v2/x", "http://host:8080/data@v2/x"),
        ("http://[::1]:8080/data@v2", "http://[::1]:8080/data@v2"),
        ("https://host/x?sort_key=name", "https://host/x?sort_key=name"),
    ],
)
def test_urls(url, shown_url):
    assert mask_text(url) == shown_url
    assert mask([url]) == [shown_url]


def test_the_password_of_a_url_is_known_afterwards(monkeypatch):
    mask({"database": f"postgres://user:{URL_KEY}@host/db"})
    assert mask_text(f"no such user, or not {URL_KEY}") == "no such user, or not ***"
    monkeypatch.setenv("DATABASE_URL", "postgres://user:another-pass-7@host/db")
    secrets.remember_environment()
    assert mask_text("not another-pass-7") == "not ***"


ODD = "pa\"s's/w%rd+12 é"


@pytest.mark.parametrize(
    "form", [str, repr, json.dumps, quote, quote_plus, lambda text: quote(text, safe=""), lambda text: repr([text])]
)
def test_a_remembered_secret_is_known_as_texts_hold_it(form):
    remember(ODD)
    assert mask_text(f"not <{form(ODD)}>").strip("not <>[]\"'") == "***"


def test_a_secret_that_begins_with_another_is_masked_as_a_whole():
    for secret in ("correct horse", "correct horse battery", "correct horse battery staple"):
        remember(secret)
    assert mask_text("correct horse battery staple") == "***"


@pytest.mark.parametrize("name", ["AZURE_OPENAI_KEY", "GITHUB_PAT"])
def test_variables_that_end_like_keys(monkeypatch, name):
    monkeypatch.setenv(name, URL_KEY)
    monkeypatch.setenv("SORT_KEY", "timestamp")
    secrets.remember_environment()
    assert mask_text(f"{URL_KEY} of a timestamp") == "*** of a timestamp"


def test_keys_of_mappings_hold_no_secret_either():
    remember("correct horse battery")
    value = {"correct horse battery": 1, "a correct horse battery": 2, "***": 3, 5: 4}
    assert mask(value) == {"***": 1, "a ***": 2, "*** 2": 3, 5: 4}


def test_results_lose_known_secrets_only():
    mask({"api_key": "correct horse battery"})
    value = {"token": "a word", "said": ["correct horse battery", 1.5, {KEY: KEY}], "n": 3}
    assert mask_known(value) == {"token": "a word", "said": ["***", 1.5, {"***": "***"}], "n": 3}
