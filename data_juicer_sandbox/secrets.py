"""Keys and passwords: '***' wherever they would be shown or stored. Imports nothing heavy, so every room may use it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

MASK = "***"
_SHORTEST = 8  # a shorter known secret would blot out ordinary words

# Tokens of a language model's vocabulary and of its input: `eos_token`, `image_token`, ... are no credentials.
_VOCABULARY = frozenset(
    re.findall(
        r"\w+",
        "additional audio begin bos cls end eod eos eot first img image last mask next num pad per prefix sep single "
        "special split start stop suffix think tool unk video vision word",
    )
)
_ALWAYS = frozenset(
    re.findall(
        r"\w+",
        "apikey accesskey authorization auth bearer cookie credential credentials passphrase passwd password pwd "
        "secret secrets secretkey",
    )
)
_BEFORE_KEY = frozenset(("access", "account", "api", "auth", "encryption", "private", "service", "signing", "ssh"))
_NOT_ITSELF = frozenset(("env", "file", "name", "names", "path", "policy", "type", "url"))  # `api_key_env` is a name

_LOOKS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        sk-[A-Za-z0-9_-]{16,}                       # OpenAI and those that copy it
      | hf_[A-Za-z0-9]{16,}                         # Hugging Face
      | (?:AKIA|ASIA)[0-9A-Z]{12,}                  # AWS
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
      | AIza[\w-]{30,} | xox[abprs]-[\w-]{10,} | wandb_v\d_\w{20,}
      | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}        # JSON web token
      | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----(?:.|\n)*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    )""",
    re.VERBOSE,
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d|\S{20})[\w.~+/=-]{8,}")  # not "a basic understanding"
_URL = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)@")
_PAIR = re.compile(
    r"""((?i:key|token|secret|passw|pwd|passphrase|auth|cookie|credential)[\w.-]{0,60})"""
    r"""(["']?\s{0,3}[:=]\s{0,3}["']?)([^\s"',;}&)\]]+)"""
)
_WORD_END = re.compile(r"[\w.-]*\Z")
_FLAG = re.compile(r"(--[A-Za-z][\w.-]{1,80})(\s+)([^\s-]\S*)")

_known: set[str] = set()


@lru_cache(maxsize=4096)
def is_secret(key: str) -> bool:
    """Whether a key by this name holds a credential: `api_key`, `hf_token`; not `max_tokens`, `eos_token`."""
    last = key.rpartition(".")[2]
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", last)]
    if not words or words[-1] in _NOT_ITSELF:
        return False
    if _ALWAYS.intersection(words):
        return True
    pairs = set(pairwise(words))
    if any(second in ("key", "keys") and first in _BEFORE_KEY for first, second in pairs):
        return True
    return words[-1] == "token" and not _VOCABULARY.intersection(words)


def mask(value: Any) -> Any:
    """A copy with every secret replaced by '***': by the names of keys, and by the looks of strings.

    Mappings, lists, tuples and sets are gone through; other objects come back as they are. A secret found under its
    key is remembered, so that `mask_text` knows it again in an error message or another program's output.
    """
    if isinstance(value, str):
        return _mask_looks(value)
    if isinstance(value, Mapping):
        return {key: _mask_entry(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_mask_after(value, index, item) for index, item in enumerate(value)]
        if isinstance(value, tuple):
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        return items
    if isinstance(value, (set, frozenset)):
        return type(value)(mask(item) for item in value)
    return value


def mask_text(text: str) -> str:
    """Text for a log or a terminal: also `name=value`, `--flag value`, and secrets that are remembered."""
    text = _mask_looks(text)
    text = _FLAG.sub(lambda found: f"{found[1]}{found[2]}{MASK}" if is_secret(found[1]) else found[0], text)
    return _PAIR.sub(_mask_pair, text)


def remember(secret: str) -> None:
    """Mask this very string from now on, wherever it stands."""
    if len(secret) >= _SHORTEST and secret != MASK:
        _known.add(secret)


def remember_environment() -> None:
    """Mask the values of environment variables that hold credentials, such as `OPENAI_API_KEY`."""
    for name, value in os.environ.items():
        if is_secret(name) and name not in ("PWD", "OLDPWD"):  # the shell's folders, not passwords
            remember(value)


def _mask_entry(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool) or value == "" or not is_secret(key):
        return mask(value)
    if key.rpartition(".")[2].lower().endswith("token") and not _is_credential(value):
        return mask(value)
    if isinstance(value, str):
        remember(value)
    return MASK


def _is_credential(value: Any) -> bool:
    """Under a key such as `my_token`: a string that is not itself a special token like `<|user|>` or `[PAD]`."""
    return isinstance(value, str) and not (value[:1] in "<[" and value[-1:] in ">]")


def _mask_after(items: list[Any] | tuple[Any, ...], index: int, item: Any) -> Any:
    """An item of a list, which is a secret if the flag before it says so: `['--api-key', 'x']`."""
    before = items[index - 1] if index else None
    if isinstance(item, str) and isinstance(before, str) and before.startswith("--") and "=" not in before:
        return _mask_entry(before, item)
    return mask_text(item) if isinstance(item, str) and item.startswith("--") else mask(item)


def _mask_pair(found: re.Match[str]) -> str:
    key, between, value = found.groups()
    before = _WORD_END.search(found.string, max(0, found.start() - 60), found.start())
    name = (before[0] if before else "") + key
    prose = between.startswith(":") and name.lower() == "token"  # "unexpected token: ..." names no credential
    return found[0] if prose or not is_secret(name) or not _is_credential(value) else f"{key}{between}{MASK}"


def _mask_looks(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    text = _LOOKS.sub(MASK, text)
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    if "://" in text:
        text = _URL.sub(rf"\1:{MASK}@", text)
    return _BEARER.sub(rf"\1 {MASK}", text)
