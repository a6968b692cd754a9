"""Masks keys and passwords as '***' wherever they would be shown or stored. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from numbers import Number
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST = 8  # masking a shorter one would also mask ordinary words

# Tokens of a language model's vocabulary and of its input: `eos_token`, `image_token`, ... are not credentials.
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
_BEFORE_KEY = frozenset(
    re.findall(
        r"\w+",
        "access account admin api auth consumer encryption functions license master private service shared signing ssh "
        "storage subscription",
    )
)
_IN_QUERIES = frozenset(("key", "sig", "signature"))  # of a URL; elsewhere these words name other things
_SIGNATURES = frozenset(("sig", "signature"))
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
_KEY_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")
_KEY_LINE = re.compile(r"\s*[A-Za-z0-9+/=]*\s*")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d|\S{20})[\w.~+/=-]{8,}")  # not "a basic understanding"
_URL = re.compile(r"""(?<=://)([^\s/:@"'<>]*):([^\s/"'<>]+)@""")
# A password with a bare slash, which drivers of databases accept; not `host:8080/path@v2`, nor an address in brackets.
_URL_SLASH = re.compile(r"""(?<=://)(?!\[)([^\s/:@"'<>]*):(?!\d{1,5}/|\*\*\*@)([^\s@"'<>]+)@""")
_URL_USER = re.compile(r"""(?<=://)(?=\S{0,200}\d)[\w.~%+-]{16,200}(?=@)""")  # a token in place of user and password
_QUERY = re.compile(r"""(?<=[?&])([\w.%-]{1,80})=([^&#\s"'<>]+)""")
_NAME = r"(?P<name>(?i:key|token|secret|passw|pwd|passphrase|auth|bearer|cookie|credential)[\w.-]{0,60})"
_PAIR = re.compile(
    _NAME
    + r"""(?P<between>\\{0,7}["']?\s{0,3}[:=]\s{0,3})(?:
        (?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\n])*)          # "a text", also one that was cut
      | (?P<escaped>\\{1,7}["'])(?P<inner>(?:(?!(?P=escaped))[^\n])*)      # JSON within JSON
      | (?P<bare>[^\s"',;}&)\]]+)
    )""",
    re.VERBOSE,
)
_HEADER = re.compile(
    r"""(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(\\{0,7}["']?\s{0,3}[:=]\s{0,3}\\{0,7}["']?)([^"'\\\n]+)"""
)
_LINE_START = re.compile(r"""(?:\A|[\n"'{]|-H|--header=?)[ \t]*\Z""")
_NUMBER = re.compile(r"(?:np\.\w+\()?(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf))%?\.?")
_WORD_END = re.compile(r"[\w.-]*\Z")
_FLAG = re.compile(r"(--[A-Za-z][\w.-]{1,80})(\s+)([^\s-]\S*)")

_LONG = 1 << 20
"""Characters of a text that is to be shortened; the rest is ignored."""

_secrets: set[str] = set()


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


def mask(value: object) -> Any:
    """A copy with every secret replaced by '***': by the names of keys, and by the looks of strings.

    Mappings, lists, tuples and sets are gone through; other objects come back as they are. Numbers are never secrets. A
    secret found under its key is remembered, so that `mask_text` knows it again in an error message or another
    program's output.
    """
    if isinstance(value, str):
        return _mask_string(value)
    if isinstance(value, Mapping):
        return _with_masked_keys((key, _mask_entry(str(key), item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        items = [_mask_after(value, index, item) for index, item in enumerate(value)]
        if isinstance(value, tuple):
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        return items
    if isinstance(value, (set, frozenset)):
        return type(value)(mask(item) for item in value)
    return value


def mask_known(value: object) -> Any:
    """A copy of a result without the secrets that are remembered or have the looks of one.

    The names of its keys make nothing a secret: `{"token": "word"}` is what a model said.
    """
    if isinstance(value, str):
        return _mask_patterns(value)
    if isinstance(value, Mapping):
        return _with_masked_keys((key, mask_known(item)) for key, item in value.items())
    if isinstance(value, list):
        return [item if isinstance(item, float) else mask_known(item) for item in value]
    return value


def mask_text(text: str) -> str:
    """Text for a log or a terminal: also `name=value`, `--flag value`, and secrets that are remembered."""
    text = _mask_queries(_mask_patterns(text))
    text = _FLAG.sub(lambda match: f"{match[1]}{match[2]}{MASK}" if is_secret(match[1]) else match[0], text)
    return _PAIR.sub(_mask_pair, _HEADER.sub(rf"\1\2{MASK}", text))


def shorten(text: str, limit: int, ending: str = "") -> str:
    """A text masked as by `mask_text`, and only then cut: of a secret that is cut first, a part would be shown, for it
    no longer looks like one.

    Args:
        text: of any length.
        limit: characters that are kept.
        ending: put behind a text that was cut.
    """
    if len(text) > _LONG:
        text = text[:_LONG].rpartition(" ")[0] or text[:_LONG]
    text = mask_text(text)
    return text if len(text) <= limit else text[:limit] + ending


def shown(value: object, limit: int = 60, key: str = "") -> str:
    """A value for an error message: its `repr`, masked, then cut.

    Args:
        value: anything, such as an entry of a config.
        limit: characters that are kept.
        key: the key of the value; the value of a key that names a secret is not shown.
    """
    return shorten(repr(_mask_entry(key, value)), limit)


def remember_all(value: object) -> None:
    """Remember the secrets of a config, so that they are masked in every text from now on."""
    mask(value)


def remember(secret: str) -> None:
    """Mask this string from now on: as it is, and as it is written in JSON, a `repr` or a URL."""
    if len(secret) >= _SHORTEST and secret != MASK:
        escaped = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
        in_url = secret.encode("utf-8", "surrogatepass")
        _secrets.update((secret, *escaped, quote(in_url, safe=""), quote(in_url), quote_plus(in_url)))


def remember_environment() -> None:
    """Mask the values of environment variables that hold credentials, such as `OPENAI_API_KEY`; of one that ends like
    `AZURE_OPENAI_KEY`, unless it may be an ordinary word; and the passwords of URLs in any.
    """
    for name, value in os.environ.items():
        if is_secret(name) and name not in ("PWD", "OLDPWD"):  # the shell's folders, not passwords
            remember(value)
        elif name.upper().endswith(("_KEY", "_PAT")):
            _remember_unless_word(value)
        _remember_urls(value)


def _with_masked_keys(items: Iterable[tuple[object, object]]) -> dict[object, object]:
    """A mapping whose keys hold no secret; keys that have become equal are numbered."""
    masked: dict[object, object] = {}
    for key, item in items:
        shown_key = _mask_patterns(key) if isinstance(key, str) else key
        number = 2
        while shown_key in masked:
            shown_key = f"{MASK} {number}"
            number += 1
        masked[shown_key] = item
    return masked


def _mask_entry(key: str, value: object) -> object:
    if value is None or (isinstance(value, str) and not value) or not is_secret(key) or _is_number(value):
        return mask(value)
    if key.rpartition(".")[2].lower().endswith("token") and not _is_credential(value):
        return mask(value)
    _remember_strings(value)
    return MASK


def _is_number(value: object) -> bool:
    """Whether it is a number (a truth value is one), or a list of numbers."""
    if isinstance(value, (list, tuple)):
        return all(_is_number(item) for item in value)
    return isinstance(value, Number)


def _remember_strings(value: object) -> None:
    if isinstance(value, str):
        remember(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            _remember_strings(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _remember_strings(item)


def _is_credential(value: object) -> bool:
    """Under a key such as `my_token`: a string that is not itself a special token like `<|user|>` or `[PAD]`."""
    return isinstance(value, str) and not (value[:1] in "<[" and value[-1:] in ">]")


def _mask_after(items: list[object] | tuple[object, ...], index: int, item: object) -> Any:
    """An item of a list, which is a secret if the flag before it says so: `['--api-key', 'x']`."""
    before = items[index - 1] if index else None
    if isinstance(item, str) and isinstance(before, str) and before.startswith("--") and "=" not in before:
        return _mask_entry(before, item)
    return mask_text(item) if isinstance(item, str) and item.startswith("--") else mask(item)


def _mask_string(text: str) -> str:
    """A string of a config: what looks like a secret, and pairs that are not prose: `API_KEY=K`, `"api_key": "K"`, a
    header at the start of a line. What is masked is remembered.
    """
    _remember_urls(text)
    text = _mask_queries(_mask_patterns(text), remembered=True)
    if len(text) < _SHORTEST or not (":" in text or "=" in text):
        return text
    text = _HEADER.sub(_mask_header, text)

    def mask_pair(match: re.Match[str]) -> str:
        between, start = match["between"], match.start() - len(_word_before(match))
        written = (
            "=" in between or between[:1] in "\\\"'" or _LINE_START.search(match.string, max(0, start - 20), start)
        )
        masked = _mask_pair(match) if written else match[0]
        if masked != match[0]:
            _remember_unless_word(_value(match))
        return masked

    return _PAIR.sub(mask_pair, text)


def _mask_header(match: re.Match[str]) -> str:
    start = match.start()
    if "=" not in match[2] and not _LINE_START.search(match.string, max(0, start - 20), start):
        return match[0]
    return f"{match[1]}{match[2]}{MASK}"


def _mask_pair(match: re.Match[str]) -> str:
    between, value = match["between"], _value(match)
    name = _word_before(match) + match["name"]
    prose = between.startswith(":") and name.lower() == "token"  # "unexpected token: ..." names no credential
    if prose or not is_secret(name) or not value or not _is_credential(value):
        return match[0]
    if _NUMBER.fullmatch(value) and not _names_credential(name):
        return match[0]
    quote = match["quote"] or match["escaped"] or ""
    return f"{match['name']}{between}{quote}{MASK}"


def _value(match: re.Match[str]) -> str:
    return match["quoted"] or match["inner"] or match["bare"] or ""


def _word_before(match: re.Match[str]) -> str:
    """The part of a name directly before the match: the `OPENAI_API_` of `OPENAI_API_KEY`."""
    before = _WORD_END.search(match.string, max(0, match.start() - 60), match.start())
    return before[0] if before else ""


def _names_credential(name: str) -> bool:
    """Whether a name ends with the word for a secret: `password`, `api_key`; not `password_strength`, `auth_rate`."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.rpartition(".")[2])]
    return bool(words) and (words[-1] in _ALWAYS or words[-1] in ("key", "keys", "token"))


def _mask_queries(text: str, *, remembered: bool = False) -> str:
    """Mask keys in the query of a URL: `?api_key=K`, `&sig=K`."""

    def mask_query(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        last = re.split(r"[._-]", name.lower())[-1]  # X-Amz-Signature
        if not (is_secret(name) or name.lower() in _IN_QUERIES or last in _SIGNATURES) or value == MASK:
            return match[0]
        if _NUMBER.fullmatch(value) and not _names_credential(name):
            return match[0]
        if remembered:
            _remember_unless_word(value)
        return f"{name}={MASK}"

    return _QUERY.sub(mask_query, text) if "=" in text else text


def _remember_unless_word(value: str) -> None:
    """Remember what stood in a pair within a string, unless it may be an ordinary word."""
    if len(value) >= 20 or any(character.isdigit() for character in value):
        remember(value)


def _remember_urls(text: str) -> None:
    """Remember the passwords of the URLs in a text: a driver's error may show one without its URL."""
    if "://" in text:
        for pattern in (_URL, _URL_SLASH):
            for match in pattern.finditer(text):
                _remember_unless_word(match[2])


def _mask_patterns(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    text = _mask_rest_of_key(_LOOKS.sub(MASK, text))
    for secret in sorted(_secrets, key=len, reverse=True):  # one may begin with another
        if secret in text:
            text = text.replace(secret, MASK)
    if "://" in text:
        text = _URL_USER.sub(MASK, _URL_SLASH.sub(rf"\1:{MASK}@", _URL.sub(rf"\1:{MASK}@", text)))
    return _BEARER.sub(rf"\1 {MASK}", text)


def _mask_rest_of_key(text: str) -> str:
    """Mask the last lines of a private key whose first lines are not in the text, as in a program's last lines."""
    end = _KEY_END.search(text)
    if end is None:
        return text
    lines = text[: end.start()].split("\n")
    while len(lines) > 1 and _KEY_LINE.fullmatch(lines[-1]):
        lines.pop()
    if _KEY_LINE.fullmatch(lines[-1]):
        lines[-1] = ""
    return "\n".join([*lines, MASK]).lstrip("\n") + text[end.end() :]
