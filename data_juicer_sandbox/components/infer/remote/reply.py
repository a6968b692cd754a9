"""Parser of replies: extracts an answer or an error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import msgspec

from data_juicer_sandbox.components.infer.base import Completion, Failure
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import shorten
from data_juicer_sandbox.types import JsonValue

_decode = msgspec.json.Decoder().decode
_READ = 1 << 16
"""Maximum bytes of a non-JSON reply that are read for an excerpt."""
PATHS = {"chat": "choices.0.message.content", "completions": "choices.0.text"}


@dataclass(frozen=True)
class ReplyParser:
    """Extracts the answer from a reply.

    Args:
        path: dotted path of the answer. With several samples, the first `0` in it is the index of the sample.
        samples: number of requested samples.
    """

    path: str
    samples: int = 1

    def read(self, reply: Reply) -> Completion | Failure:
        """The answer in a successful reply, or a failure."""
        try:
            body = _decode(reply.body)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            return Failure("bad_reply", f"the reply is not JSON ({error}): {_excerpt(reply.body)}")
        usage = body.get("usage") if isinstance(body, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        prompt_tokens, completion_tokens = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        texts = []
        for keys in self.key_paths:
            value = get_nested(body, keys)
            if value is MISSING or value is None:
                what = "is null" if value is None else "is not in the reply"
                return Failure(
                    "bad_reply", f"{'.'.join(keys)} {what}{_reason(body, keys)}", prompt_tokens, completion_tokens
                )
            texts.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return Completion(texts, prompt_tokens, completion_tokens)

    @cached_property
    def key_paths(self) -> list[list[str]]:
        """The keys of each sample's path."""
        keys = self.path.split(".")
        if self.samples == 1:
            return [keys]
        position = keys.index("0")
        return [[*keys[:position], str(number), *keys[position + 1 :]] for number in range(self.samples)]


def error_of(reply: Reply) -> tuple[str, str | None]:
    """The error message of a reply, and the error's code if it has one."""
    try:
        body = loads(reply.body)
    except ValueError:
        return _excerpt(reply.body), None
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or json.dumps(error)
        return shorten(str(message), 300), str(error["code"]) if error.get("code") else None
    return shorten(str(error), 300), None


def _reason(body: JsonValue, keys: list[str]) -> str:
    """The reason for which the model stopped, if the reply has one."""
    reason = get_nested(body, [*keys[:2], "finish_reason"])
    return f" (finish_reason: {reason})" if isinstance(reason, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:_READ].decode("utf-8", "replace").split())
    return shorten(text, 120, "...") or "it is empty"
